"""The network rewritten for speed, the same function: BatchNorm folded, padding part of kernels, values overwritten."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from effconvert.model.layers import CondConv2d, ConvNorm, Convolution, SqueezeExcite, same_padding
from effconvert.model.network import EfficientNet


def for_inference(network: EfficientNet, size: int | None = None) -> EfficientNet:
    """Return a copy of `network`, in eval mode and without gradients, that is faster and computes the same.

    Each BatchNorm becomes part of the convolution before it, computed in float64 and rounded once. size: height and
    width in pixels of all images to come; where it is given, convolutions that pad as TensorFlow does get kernels that
    need no copy of a padded map. None keeps them right for any size.
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
    scaled = (conv.weight.double() * scale.reshape(-1, 1, 1, 1)).to(dtype)  # an axis of experts may stand before
    conv.weight = nn.Parameter(scaled, requires_grad=False)
    if isinstance(conv, CondConv2d):  # each image has kernels of its own, and all have the same bias
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
    """Give convolutions that pad more on one side kernels that begin with as many zeros, and pad all sides equally."""
    for conv in network.modules():  # in the order in which an image passes them
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
    """Return `network` with its kernels [O, I, k, k] as [O, k, k, I] in memory, which convolutions are faster with."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network
