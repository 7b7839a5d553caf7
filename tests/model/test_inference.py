"""The network that is rewritten for speed computes the same function, and the original is left alone."""

import copy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from effconvert.model import EfficientNet, create_model
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from effconvert.model.inference import for_inference, in_channels_last
from effconvert.model.layers import CondConv2d, Convolution
from helpers.deep import deep_but

ROUNDING = 2e-5  # of the largest value: what float32 may do to a deep network
NETWORKS: list[tuple[str, dict[str, Any]]] = [
    ("b0", {}),
    ("b1", {"padding": "symmetric", "bn_eps": 1e-5}),
    ("b0", {"activation": "hswish"}),
    ("lite0", {}),
    ("cc-b0-4e", {}),
    ("edgetpu-s", {"fused_stride": "project"}),
    ("edgetpu-s", {"fused_stride": "expand"}),
    ("b0", {"classes": 0}),
    ("b0", {"classes": 0, "head_conv": False}),
]


def made(variant: str, **facts: Any) -> tuple[EfficientNet, Tensor]:
    """Return a network that tells images apart, and an image."""
    return copy.deepcopy(_made(variant, tuple(facts.items()))), synthetic_images(1, 96, 96, seed=2)


@cache
def _made(variant: str, facts: tuple[tuple[str, Any], ...]) -> EfficientNet:
    network = random_weights(create_model(variant, **dict(facts)))
    return calibrate(network, synthetic_images(8, 64, 64, seed=1))


def largest_difference(one: Tensor, other: Tensor) -> float:
    """In shares of the largest value."""
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize(("variant", "facts"), NETWORKS)
def test_it_computes_the_same(variant: str, facts: dict[str, Any]) -> None:
    network, images = made(variant, **facts)
    with torch.no_grad():
        expected = network(images)
        assert largest_difference(for_inference(network, 96)(images), expected) < ROUNDING
        assert largest_difference(for_inference(network)(images), expected) < ROUNDING


@pytest.mark.parametrize(
    ("variant", "facts"), deep_but(NETWORKS, lambda network: network in NETWORKS[:1] + NETWORKS[4:5])
)
def test_in_float64_only_the_last_digits_differ(variant: str, facts: dict[str, Any]) -> None:
    network, _ = made(variant, **facts)
    network = network.double()
    with torch.no_grad():
        for size in (97, 130):  # odd all the way down, and both in turn
            images = synthetic_images(1, size, size, seed=3).double()
            assert largest_difference(for_inference(network, size)(images), network(images)) < 1e-12


@pytest.mark.parametrize(("variant", "facts"), NETWORKS[:1] + NETWORKS[4:5])
def test_another_epsilon_would_be_seen(variant: str, facts: dict[str, Any]) -> None:
    network, images = made(variant, **facts)
    other = copy.deepcopy(network)
    for layer in other.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-5
    with torch.no_grad():
        assert largest_difference(for_inference(other, 96)(images), network(images)) > 10 * ROUNDING


def test_kernels_for_another_size_would_be_seen() -> None:
    network, images = made("b0")
    with torch.no_grad():
        assert largest_difference(for_inference(network, 97)(images), network(images)) > 10 * ROUNDING


@pytest.mark.parametrize("variant", ["b0", "cc-b0-4e", "edgetpu-s"])
def test_the_original_is_untouched(variant: str) -> None:
    network, images = made(variant)
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fast = in_channels_last(for_inference(network, 96))
    with torch.no_grad():
        fast(images)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert before.keys() == network.state_dict().keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(getattr(layer, "inplace", False) for layer in network.modules())


def test_images_are_not_overwritten() -> None:
    network, images = made("b0")
    before = images.clone()
    with torch.no_grad():
        for_inference(network, 96)(images)
    assert torch.equal(images, before)


def test_no_batchnorm_is_left_nor_a_gradient() -> None:
    network, _ = made("cc-b0-4e")
    fast = for_inference(network.train(), 96)
    assert not fast.training
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in fast.modules())
    assert not any(parameter.requires_grad for parameter in fast.parameters())


def test_of_a_known_size_no_convolution_pads_a_copy() -> None:
    network, _ = made("b0")
    padding = [layer for layer in for_inference(network, 96).modules() if getattr(layer, "pads_as_tensorflow", False)]
    assert padding == []
    assert any(getattr(layer, "pads_as_tensorflow", False) for layer in for_inference(network).modules())


def test_kernels_lie_with_their_channels_last_and_compute_the_same() -> None:
    network, images = made("b0")
    fast = in_channels_last(for_inference(network, 96))
    kernels = [layer.weight for layer in fast.modules() if isinstance(layer, Convolution | CondConv2d)]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    with torch.no_grad():
        assert largest_difference(fast(images), network(images)) < ROUNDING
