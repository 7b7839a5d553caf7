"""Captured outputs of the canonical network are those of its layers."""

import numpy as np
import pytest
import torch

from effconvert.model import EfficientNet, create_model
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from effconvert.model.capture import capture


@pytest.fixture(scope="module")
def network() -> EfficientNet:
    return calibrate(random_weights(create_model("b0")), synthetic_images(8, 64, 64))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return synthetic_images(2, 64, 64, seed=1)


def test_layers_are_named_in_order(network: EfficientNet, images: torch.Tensor) -> None:
    layers = capture(network, images)
    assert list(layers) == ["stem", *(f"blocks.{index}" for index in range(16)), "head", "pooled", "logits"]
    assert {array.dtype for array in layers.values()} == {np.dtype(np.float32)}


@torch.no_grad()
def test_values_are_those_of_the_network(network: EfficientNet, images: torch.Tensor) -> None:
    layers = capture(network, images)
    assert np.array_equal(layers["logits"], network(images).numpy())
    assert np.array_equal(layers["head"], network.forward_features(images).numpy())
    assert np.array_equal(layers["blocks.0"], network.blocks[0](network.stem(images)).numpy())


@pytest.mark.parametrize(
    ("layer", "before"), [("blocks.0", "stem"), ("head", "blocks.15"), ("pooled", "head"), ("logits", "pooled")]
)
def test_a_fed_layer_computes_from_what_it_is_given(
    network: EfficientNet, images: torch.Tensor, layer: str, before: str
) -> None:
    arrived, other = capture(network, images), capture(network, images.flip(0))
    fed = capture(network, images, {layer: other[before]})
    assert np.array_equal(fed[before], arrived[before])
    assert np.array_equal(fed[layer], other[layer])
    assert not np.array_equal(fed[layer], arrived[layer])


def test_what_the_network_lacks_is_missing(images: torch.Tensor) -> None:
    assert list(capture(create_model("b0", classes=0), images))[-2:] == ["head", "pooled"]
    assert list(capture(create_model("b0", classes=0, head_conv=False), images))[-1] == "blocks.15"


def test_no_hook_stays_behind(network: EfficientNet, images: torch.Tensor) -> None:
    capture(network, images)
    with pytest.raises(RuntimeError):
        capture(network, images, {"head": np.zeros((1, 7, 2, 2), np.float32)})
    hooks = [module for module in network.modules() if module._forward_hooks or module._forward_pre_hooks]
    assert hooks == []


def test_half_precision_is_captured_as_float32(images: torch.Tensor) -> None:
    layers = capture(create_model("b0").bfloat16(), images.bfloat16())
    assert {array.dtype for array in layers.values()} == {np.dtype(np.float32)}
