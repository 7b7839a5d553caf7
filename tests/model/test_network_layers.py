"""Padding, fused blocks and expert kernels are what their plain definitions say."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from effconvert.architecture.padding import same_padding
from effconvert.model import create_model
from effconvert.model.calibration import random_weights
from effconvert.model.layers import CondConv2d, Convolution, drop_connect

SIZES = [(8, 8), (7, 7), (8, 7), (7, 12), (1, 6), (2, 3)]


def convolved_by_definition(image, kernel, stride, before, size):
    """Every output pixel as the sum over its window; what lies outside of the image is zero."""
    result = torch.zeros(size, dtype=image.dtype)
    for y in range(size[0]):
        for x in range(size[1]):
            for dy in range(kernel.shape[0]):
                for dx in range(kernel.shape[1]):
                    row, column = y * stride + dy - before[0], x * stride + dx - before[1]
                    if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                        result[y, x] += image[row, column] * kernel[dy, dx]
    return result


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (224, 3, 2, (0, 1)),
        (225, 3, 2, (1, 1)),
        (224, 5, 2, (1, 2)),
        (225, 5, 2, (2, 2)),
        (7, 3, 1, (1, 1)),
        (1, 5, 2, (2, 2)),
        (8, 1, 2, (0, 0)),
    ],
)
def test_same_padding_puts_the_odd_pixel_after(size, kernel, stride, expected):
    assert same_padding(size, kernel, stride) == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_tf_same_convolves_as_tensorflow_defines_it(size, kernel, stride):
    conv = Convolution(1, 1, kernel, stride=stride, padding="tf-same").double()
    image = torch.randn(size, dtype=torch.float64)
    out = [math.ceil(pixels / stride) for pixels in size]
    totals = [max((o - 1) * stride + kernel - pixels, 0) for o, pixels in zip(out, size, strict=True)]
    expected = convolved_by_definition(image, conv.weight[0, 0], stride, [total // 2 for total in totals], out)
    torch.testing.assert_close(conv(image[None, None])[0, 0], expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_symmetric_pads_half_a_kernel_on_every_side(size, kernel, stride):
    conv = Convolution(1, 1, kernel, stride=stride, padding="symmetric").double()
    image = torch.randn(size, dtype=torch.float64)
    half = (kernel - 1) // 2
    out = [(pixels + 2 * half - kernel) // stride + 1 for pixels in size]
    expected = convolved_by_definition(image, conv.weight[0, 0], stride, [half, half], out)
    torch.testing.assert_close(conv(image[None, None])[0, 0], expected)


def test_padding_reaches_every_strided_layer_of_the_network():
    network = create_model("b0", padding="symmetric")
    strided = [module for module in network.modules() if isinstance(module, nn.Conv2d) and module.stride == (2, 2)]
    assert [module.padding for module in strided] == [(1, 1), (1, 1), (2, 2), (1, 1), (2, 2)]
    assert not any(module.pads_as_tensorflow for module in strided)


@pytest.mark.parametrize("size", [(16, 16), (15, 15), (16, 13)])
@pytest.mark.parametrize("padding", ["tf-same", "symmetric"])
def test_a_stride_on_the_projection_equals_the_literal_form(size, padding):
    block: Any = random_weights(create_model("edgetpu-s", padding=padding)).double().blocks[1]
    images = torch.randn(2, 24, *size, dtype=torch.float64)
    everywhere = F.relu(block.expand.bn(F.conv2d(images, block.expand.conv.weight, padding=1)))
    literal = block.project.bn(F.conv2d(everywhere, block.project.conv.weight, stride=2))
    torch.testing.assert_close(block(images), literal, rtol=1e-12, atol=1e-12)


def test_a_stride_on_the_expansion_pads_as_the_facts_say():
    block: Any = random_weights(create_model("edgetpu-s", fused_stride="expand")).blocks[1]
    images = torch.randn(2, 24, 16, 16)
    padded = F.pad(images, (0, 1, 0, 1))
    expanded = F.relu(block.expand.bn(F.conv2d(padded, block.expand.conv.weight, stride=2)))
    torch.testing.assert_close(block(images), block.project(expanded))


@pytest.mark.parametrize("padding", ["tf-same", "symmetric"])
@pytest.mark.parametrize(
    ("out_channels", "kernel", "stride", "groups"), [(10, 1, 1, 1), (6, 5, 2, 6), (6, 3, 1, 6), (4, 3, 2, 2)]
)
def test_one_routed_convolution_equals_a_loop_over_the_images(out_channels, kernel, stride, groups, padding):
    routed = CondConv2d(6, out_channels, kernel, experts=3, stride=stride, groups=groups, padding=padding)
    plain = Convolution(6, out_channels, kernel, stride=stride, groups=groups, padding=padding)
    images, routing = torch.randn(4, 6, 9, 8), torch.rand(4, 3)
    expected = []
    for image, shares in zip(images, routing, strict=True):
        plain.weight.data = sum(share * expert for share, expert in zip(shares, routed.weight.data, strict=True))
        expected.append(plain(image[None]))
    torch.testing.assert_close(routed(images, routing), torch.cat(expected))


@torch.no_grad()
def test_a_routed_block_mixes_its_experts_by_the_mean_of_its_input():
    block = random_weights(create_model("cc-b0-4e")).blocks[12]
    images = torch.randn(3, 192, 6, 5)
    for image, result in zip(images, block(images), strict=True):
        shares = torch.sigmoid(block.routing.weight @ image.mean((1, 2)) + block.routing.bias)

        def mixed(layer, shares=shares):
            return torch.einsum("e,eoihw->oihw", shares, layer.conv.weight)

        expanded = F.silu(block.expand.bn(F.conv2d(image[None], mixed(block.expand))))
        kernel = mixed(block.depthwise)
        gated = block.se(F.silu(block.depthwise.bn(F.conv2d(expanded, kernel, padding=2, groups=1152))))
        expected = image + block.project.bn(F.conv2d(gated, mixed(block.project)))[0]
        torch.testing.assert_close(result, expected)


def test_drop_connect_drops_whole_images_and_scales_the_others():
    torch.manual_seed(0)
    dropped = drop_connect(torch.ones(1000, 2, 3, 3), survival=0.8)
    assert sorted(dropped.unique().tolist()) == [0.0, 1.25]
    assert torch.equal(dropped.amin((1, 2, 3)), dropped.amax((1, 2, 3)))
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)


def test_survival_falls_from_block_to_block():
    survivals = [block.survival for block in create_model("b0").blocks]
    assert survivals == pytest.approx([1 - 0.2 * index / 16 for index in range(16)])


@torch.no_grad()
def test_drop_connect_only_in_training_and_only_the_branch():
    torch.manual_seed(0)
    block: Any = random_weights(create_model("b0")).blocks[2]
    images = torch.randn(64, 24, 8, 8)
    branch = block(images) - images
    assert torch.equal(block(images), block(images))
    block.training, block.survival = True, 0.5  # the BatchNorm layers stay in eval mode
    scales = ((block(images) - images) / branch).flatten(1).median(1).values
    assert sorted({round(scale, 2) for scale in scales.tolist()}) == [0.0, 2.0]


def test_a_block_without_residual_drops_nothing():
    block: Any = random_weights(create_model("b0")).blocks[1]
    images = torch.randn(2, 16, 8, 8)
    expected = block(images)
    block.training, block.survival = True, 0.01
    assert torch.equal(block(images), expected)
