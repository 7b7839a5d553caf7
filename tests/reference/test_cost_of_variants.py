"""Parameters and multiply-adds computed from blocks equal those counted in the official graphs."""

import dataclasses
from math import prod

import pytest

from effconvert.architecture.canonical import default_facts, tensor_shapes
from effconvert.architecture.variants import VARIANTS
from effconvert.costs.quantities import buffer_count, mac_count, parameter_count
from effconvert.reference_tables.cost import cost_table

# (parameters, MACs in M) of the graphs at tensorflow/tpu 7dc921f, which strides fused blocks on the expansion.
GRAPH = {
    "b0": (5_288_548, 386),
    "b1": (7_794_184, 687),
    "b2": (9_109_994, 994),
    "b3": (12_233_232, 1_827),
    "b4": (19_341_616, 4_394),
    "b5": (30_389_784, 10_266),
    "b6": (43_040_704, 19_068),
    "b7": (66_347_960, 37_746),
    "b8": (87_413_142, 62_597),
    "l2": (480_309_308, 475_704),
    "cc-b0-4e": (13_314_116, 397),
    "cc-b0-8e": (24_013_284, 407),
    "cc-b1-8e": (39_715_968, 606),
    "edgetpu-s": (5_439_673, 1_789),
    "edgetpu-m": (6_900_777, 3_013),
    "edgetpu-l": (10_591_249, 7_936),
    "lite0": (4_652_008, 385),
    "lite1": (5_416_680, 600),
    "lite2": (6_092_072, 860),
    "lite3": (8_197_096, 1_383),
    "lite4": (13_006_568, 2_553),
}


def test_every_variant_was_counted() -> None:
    assert list(GRAPH) == list(VARIANTS)


@pytest.mark.parametrize("name", GRAPH)
def test_parameters_equal_the_graphs(name: str) -> None:
    assert parameter_count(VARIANTS[name]) == GRAPH[name][0]


@pytest.mark.parametrize("name", GRAPH)
def test_macs_equal_the_graphs(name: str) -> None:
    assert round(mac_count(VARIANTS[name]) / 1e6) == GRAPH[name][1]


@pytest.mark.parametrize("name", GRAPH)
def test_the_table_has_what_was_counted(name: str) -> None:
    (row,) = (row for row in cost_table() if row.kind == "graph" and row.variant == name)
    assert (row.parameters, row.operations) == (GRAPH[name][0], GRAPH[name][1] * 10**6)
    assert row.fused_stride == ("expand" if name.startswith("edgetpu") else None)


def test_where_the_stride_of_a_fused_block_sits_costs_nothing_here() -> None:
    small = VARIANTS["edgetpu-s"]
    later = dataclasses.replace(default_facts(small), fused_stride="expand")
    assert mac_count(small) == mac_count(small, facts=later)


def test_parameters_and_buffers_are_all_tensors() -> None:
    b0 = VARIANTS["b0"]
    assert (
        parameter_count(b0) + buffer_count(b0) == sum(prod(shape) for shape in tensor_shapes(b0).values()) == 5_330_564
    )


def test_macs_grow_with_the_image() -> None:
    assert mac_count(VARIANTS["l2"], 475) // 10**9 == 170
    assert mac_count(VARIANTS["b0"], 225) > mac_count(VARIANTS["b0"], 224)


def test_a_network_without_classifier_or_head_costs_less_by_just_that() -> None:
    b0 = VARIANTS["b0"]
    no_classifier = dataclasses.replace(default_facts(b0), classes=0)
    backbone = dataclasses.replace(no_classifier, head_conv=False)
    assert mac_count(b0) - mac_count(b0, facts=no_classifier) == 1280 * 1000
    assert parameter_count(b0) - parameter_count(b0, no_classifier) == 1281 * 1000
    assert mac_count(b0, facts=no_classifier) - mac_count(b0, facts=backbone) == 7 * 7 * 320 * 1280


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="size=0"):
        mac_count(VARIANTS["b0"], 0)
