"""A faster copy of the network, the same function: BatchNorm folded, padding inside kernels, values overwritten."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from effconvert.architecture.padding import same_padding
from effconvert.model.layers import CondConv2d, ConvNorm, Convolution, SqueezeExcite
from effconvert.model.network import EfficientNet


def for_inference(network: EfficientNet, size: int | None = None) -> EfficientNet:
    """Return a faster copy of `network` that computes the same, in eval mode and without gradients.

    Each BatchNorm becomes part of the convolution before it, computed in float64 and rounded once. size: height and
    width in pixels of all images; with it, convolutions with TensorFlow's padding get kernels that need no padded copy
    of their input. With None the copy is right for any size.
    """
    fast = copy.deepcopy(network).eval().requires_grad_(False)
    for layer in fast.modules():
        if isinstance(layer, ConvNorm):
            _fold(layer)
        elif isinstance(layer, SqueezeExcite):
            layer.overwrites = True
        elif isinstance(layer, nn.SiLU | nn.ReLU | nn.ReLU6 | nn.Hardswish):
            layer.inplace = True
    if size is not None:
        _absorb_padding(fast, size)
    return fast


def _fold(layer: ConvNorm) -> None:
    bn, conv = layer.bn, layer.conv
    scale = bn.weight.double() / torch.sqrt(bn.running_var.double() + bn.eps)
    bias = bn.bias.double() - bn.running_mean.double() * scale
    dtype = conv.weight.dtype
    scaled = (conv.weight.double() * scale.reshape(-1, 1, 1, 1)).to(dtype)  # an axis of experts may come first
    conv.weight = nn.Parameter(scaled, requires_grad=False)
    if isinstance(conv, CondConv2d):  # each image has its own kernels; the bias is shared
        layer.bn = _Bias(bias.to(dtype))  # type: ignore[assignment]
    else:
        conv.bias = nn.Parameter(bias.to(dtype), requires_grad=False)
        layer.bn = nn.Identity()  # type: ignore[assignment]


class _Bias(nn.Module):
    """Adds a number to each channel."""

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias.reshape(-1, 1, 1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


def _absorb_padding(network: EfficientNet, size: int) -> None:
    """Make padding equal on all sides: where one side has more, put zeros at the start of the kernel instead."""
    for conv in network.modules():  # in call order
        if not isinstance(conv, Convolution | CondConv2d):
            continue
        stride = conv.stride if isinstance(conv, CondConv2d) else conv.stride[0]
        if conv.pads_as_tensorflow and isinstance(conv, Convolution):
            before, after = same_padding(size, conv.kernel_size[0], stride)
            zeros = after - before
            conv.weight = nn.Parameter(F.pad(conv.weight, (zeros, 0, zeros, 0)), requires_grad=False)
            conv.kernel_size = (conv.kernel_size[0] + zeros,) * 2
            conv.padding = (after, after)
            conv.pads_as_tensorflow = False
        size = -(-size // stride)


def in_channels_last(network: EfficientNet) -> EfficientNet:
    """Return `network` with its kernels [O, I, k, k] in memory as [O, k, k, I], which makes convolutions faster."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network
