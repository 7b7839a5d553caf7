"""The float64 reference gives the outputs of the PyTorch network and of official TensorFlow."""

from typing import Any

import numpy as np
import pytest
import torch

from effconvert.architecture.variants import VARIANTS, blocks
from effconvert.model import EfficientNet, create_model
from effconvert.model.calibration import calibrate, random_weights, sensitivity, synthetic_images
from effconvert.model.capture import capture
from effconvert.verification.numpy_network import compute
from helpers.official_weights import canonical_weights, golden

SAME = 1e-11  # of the layer's largest value: both compute in float64
SIZE = 65, 82  # odd and even, halved to odd and even: TensorFlow's padding differs between them


def network_of(variant: str, **facts: Any) -> EfficientNet:
    network = random_weights(create_model(variant, **facts))
    return calibrate(network, synthetic_images(8, 64, 64, channels=network.facts.in_channels)).double()


def tensors_of(network: EfficientNet) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def both(network: EfficientNet) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Every layer of the reference and of the PyTorch network, whose last layer sees its images."""
    images = synthetic_images(2, *SIZE, seed=1, channels=network.facts.in_channels).double()
    expected = capture(network, images)
    last = expected[list(expected)[-1]]
    assert sensitivity(torch.from_numpy(last.reshape(2, -1))) > 0.1
    return compute(tensors_of(network), network.variant, network.facts, images.numpy()), expected


def differences(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> dict[str, float]:
    assert list(found) == list(expected)
    assert {name: array.shape for name, array in found.items()} == {name: a.shape for name, a in expected.items()}
    assert {array.dtype for array in found.values()} == {np.dtype(np.float64)}
    return {name: float(np.abs(found[name] - a).max() / np.abs(a).max()) for name, a in expected.items()}


@pytest.mark.parametrize(
    ("variant", "facts"),
    [
        ("b0", {}),
        ("b0", {"padding": "symmetric", "bn_eps": 1e-5}),
        ("b0", {"activation": "hswish"}),
        ("b0", {"in_channels": 1}),
        ("lite0", {"in_channels": 6, "padding": "symmetric"}),
        ("b2", {}),
        ("lite0", {}),
        ("cc-b0-4e", {}),
        ("edgetpu-s", {"fused_stride": "project"}),
        ("edgetpu-s", {"fused_stride": "expand"}),
        ("edgetpu-s", {"fused_stride": "project", "padding": "symmetric"}),
    ],
    ids=str,
)
def test_every_layer_is_that_of_the_pytorch_network(variant: str, facts: dict[str, Any]) -> None:
    far = {name: value for name, value in differences(*both(network_of(variant, **facts))).items() if value > SAME}
    assert far == {}


def test_where_the_stride_sits_is_seen() -> None:
    network = network_of("edgetpu-s", fused_stride="project")
    images = synthetic_images(1, 64, 64, seed=1).numpy()
    tensors = tensors_of(network)
    one, other = (
        compute(tensors, network.variant, create_model("edgetpu-s", fused_stride=place).facts, images)["logits"]
        for place in ("project", "expand")
    )
    assert np.abs(one - other).max() > 1e-2 * np.abs(one).max()


def test_without_a_classifier_the_pooled_features_are_last() -> None:
    found, expected = both(network_of("b0", classes=0))
    assert list(found)[-2:] == ["head", "pooled"]
    assert max(differences(found, expected).values()) <= SAME


def test_without_a_head_the_last_block_is_last() -> None:
    found, expected = both(network_of("b0", classes=0, head_conv=False))
    assert list(found) == ["stem", *(f"blocks.{block.index}" for block in blocks(VARIANTS["b0"]))]
    assert max(differences(found, expected).values()) <= SAME


def test_a_fed_layer_computes_from_what_it_is_given() -> None:
    network = network_of("b0")
    tensors, images = tensors_of(network), synthetic_images(2, 64, 64, seed=1).numpy()
    arrived = compute(tensors, network.variant, network.facts, images)
    other = compute(tensors, network.variant, network.facts, images[::-1])
    fed = compute(tensors, network.variant, network.facts, images, {"blocks.4": other["blocks.3"]})
    assert np.array_equal(fed["blocks.3"], arrived["blocks.3"])
    assert np.array_equal(fed["blocks.4"], other["blocks.4"])
    assert np.array_equal(fed["logits"], other["logits"])


def test_weights_of_another_precision_are_taken_as_they_are() -> None:
    network = network_of("b0")
    images = synthetic_images(1, 32, 32).numpy()
    halved = {name: array.astype(np.float16) for name, array in tensors_of(network).items()}
    widened = {name: array.astype(np.float64) for name, array in halved.items()}
    logits = [compute(tensors, network.variant, network.facts, images)["logits"] for tensors in (halved, widened)]
    assert np.array_equal(logits[0], logits[1])


def test_a_negative_variance_gives_no_number_and_no_warning() -> None:
    network = network_of("b0")
    tensors = tensors_of(network)
    tensors["head.bn.running_var"] = -tensors["head.bn.running_var"]
    logits = compute(tensors, network.variant, network.facts, synthetic_images(1, 32, 32).numpy())["logits"]
    assert np.isnan(logits).all()


@pytest.mark.parametrize("variant", ["b0", "lite0"])
def test_logits_are_those_of_official_tensorflow(variant: str) -> None:
    expected, network = golden(f"efficientnet-{variant}"), create_model(variant)
    weights = canonical_weights(f"efficientnet-{variant}", average=True)
    found = compute(weights, network.variant, network.facts, expected["input"].transpose(0, 3, 1, 2))
    assert np.abs(found["logits"] - expected["logits_ema"]).max() <= 1e-5 * np.abs(expected["logits_ema"]).max()


@pytest.mark.parametrize("variant", ["b0", "lite0"])
def test_the_mean_of_every_map_is_that_of_official_tensorflow(variant: str) -> None:
    expected, network = golden(f"efficientnet-{variant}"), create_model(variant)
    weights = canonical_weights(f"efficientnet-{variant}", average=True)
    found = compute(weights, network.variant, network.facts, expected["input"].transpose(0, 3, 1, 2))
    endpoints = {"stem": "stem", "head": "head_1x1"}
    endpoints |= {f"blocks.{block.index}": f"block_{block.index}" for block in blocks(network.variant)}
    errors = {
        layer: np.abs(found[layer].mean((2, 3)) - expected[f"endpoint_mean:{name}"]).max() / np.abs(found[layer]).max()
        for layer, name in endpoints.items()
    }
    assert {layer: error for layer, error in errors.items() if error > 1e-5} == {}
