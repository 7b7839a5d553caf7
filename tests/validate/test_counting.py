"""The costs computed from the blocks equal those counted in the running network, for every layer and image size."""

import dataclasses
from typing import Any

import pytest

from effconvert.architecture.canonical import default_facts, tensor_shapes
from effconvert.architecture.variants import VARIANTS
from effconvert.costs.conventions import CONVENTIONS, QUANTITIES
from effconvert.costs.quantities import compute_quantities
from helpers.deep import deep_but
from helpers.validate.network_counting import Operation, count_operations, count_quantities

FAMILIES = ("b0", "b3", "cc-b0-4e", "cc-b1-8e", "edgetpu-s", "lite0")
MACS = CONVENTIONS["multiply-adds"]


def operations(name: str, height: int, width: int, **facts: Any) -> tuple[Operation, ...]:
    variant = VARIANTS[name]
    return count_operations(variant, dataclasses.replace(default_facts(variant), **facts), height, width)


@pytest.mark.parametrize("name", deep_but(VARIANTS, lambda name: name in ("b0", "cc-b0-4e", "edgetpu-s", "lite0")))
def test_the_running_network_has_the_quantities_that_its_blocks_say(name: str) -> None:
    variant, usual = VARIANTS[name], default_facts(VARIANTS[name])
    others = dataclasses.replace(usual, padding="symmetric", fused_stride="expand", activation="relu", classes=7)
    backbone = dataclasses.replace(usual, head_conv=False, classes=0)
    for facts in (usual, others, backbone):
        for height, width in ((variant.resolution, variant.resolution), (97, 130)):
            computed = compute_quantities(variant, facts, height, width)
            counted = count_quantities(variant, facts, height, width)
            assert {quantity: amount for quantity, amount in computed.items() if amount} == counted


@pytest.mark.parametrize("name", FAMILIES)
def test_every_layer_with_weights_is_counted_once(name: str) -> None:
    counted = [
        operation for operation in operations(name, 64, 64) if operation.quantity in (*MACS.weights, "batch_norm")
    ]
    layers = {tensor.rpartition(".")[0] for tensor in tensor_shapes(VARIANTS[name])}
    assert {operation.layer for operation in counted} == layers
    assert len(counted) == len({(operation.layer, operation.quantity) for operation in counted})


def test_every_quantity_occurs_somewhere() -> None:
    assert {each.quantity for name in FAMILIES for each in operations(name, 64, 64)} == set(QUANTITIES)


def test_height_and_width_are_told_apart() -> None:
    assert Operation("stem.conv", "strided", 16 * 24 * 32 * 27) in operations("b0", 32, 48)
    assert operations("b0", 32, 48) != operations("b0", 32, 32)


def test_a_classifier_costs_its_weights_and_nothing_else() -> None:
    with_ten, without = operations("b0", 64, 64, classes=10), operations("b0", 64, 64, classes=0)
    assert set(with_ten) - set(without) == {
        Operation("head.fc", "classifier", 12_800),
        Operation("head.fc", "classifier_biases", 10),
    }


def test_a_backbone_without_head_pools_its_last_block() -> None:
    variant = VARIANTS["b0"]
    backbone = dataclasses.replace(default_facts(variant), classes=0, head_conv=False)
    assert Operation("pooling", "pooling", 2 * 2 * 320) in count_operations(variant, backbone, 64, 64)


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="0 x 224"):
        operations("b0", 0, 224)
