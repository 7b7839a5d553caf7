"""The layers of the network: torch.nn with TensorFlow's padding, initial values and expert kernels.

Sources: tensorflow/tpu, models/official/efficientnet (efficientnet_model.py, utils.py, condconv/condconv_layers.py).
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from effconvert.architecture.padding import same_padding

# x * relu6(x + 3) / 6 is hswish, which MindSpore's model zoo gives its b0.
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU, "relu": nn.ReLU, "relu6": nn.ReLU6, "hswish": nn.Hardswish,
}  # fmt: skip

_MOMENTUM = 0.01  # TensorFlow's 0.99 is the share of the old value; torch gives the share of the new one


def drop_connect(x: Tensor, survival: float) -> Tensor:
    """Return `x` [N, C, H, W] with some images set to zero; each is kept with probability `survival` and scaled up."""
    kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device) < survival
    return x * kept / survival


class BatchNorm(nn.BatchNorm2d):
    """BatchNorm that saves the four canonical tensors only, and not the count of batches."""

    num_batches_tracked: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__(channels, eps=eps, momentum=_MOMENTUM)
        self.register_buffer("num_batches_tracked", self.num_batches_tracked, persistent=False)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Mapping[str, Any], *rest: Any
    ) -> None:
        # Without a version, as in a plain dict, torch adds the count, and strict loading then fails.
        super()._load_from_state_dict(state_dict, prefix, {**local_metadata, "version": 2}, *rest)
        if self.num_batches_tracked.is_meta and not self.running_mean.is_meta:  # loaded with assign=True
            self.num_batches_tracked = torch.zeros((), dtype=torch.long, device=self.running_mean.device)


class Convolution(nn.Conv2d):
    """Convolution with the padding of the facts and the initial values of the official code.

    padding: `tf-same` or `symmetric`, as in `Facts`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        padding: str = "symmetric",
        bias: bool = False,
    ) -> None:
        # At stride 1 an odd kernel needs equal padding on both sides, which torch does without a copy.
        self.pads_as_tensorflow = padding == "tf-same" and stride > 1
        amount = 0 if self.pads_as_tensorflow else (kernel - 1) // 2
        super().__init__(in_channels, out_channels, kernel, stride, amount, groups=groups, bias=bias)

    def reset_parameters(self) -> None:
        """Draw the kernel from N(0, 2 / fan_out) and set the bias to zero (`conv_kernel_initializer`)."""
        fan_out = self.out_channels // self.groups * math.prod(self.kernel_size)
        _draw(self.weight, fan_out)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, out_channels, ceil(H / stride), ceil(W / stride)] for `x` [N, in_channels, H, W]."""
        if self.pads_as_tensorflow:
            x = _pad_same(x, self.kernel_size[0], self.stride[0])
        return super().forward(x)


class CondConv2d(nn.Module):
    """CondConv: convolution of every image with its own mixture of expert kernels [experts, O, I / groups, k, k]."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        experts: int,
        stride: int = 1,
        groups: int = 1,
        padding: str = "symmetric",
    ) -> None:
        super().__init__()
        self.stride, self.groups = stride, groups
        self.pads_as_tensorflow = padding == "tf-same" and stride > 1
        self.amount = 0 if self.pads_as_tensorflow else (kernel - 1) // 2
        self.weight = nn.Parameter(torch.empty(experts, out_channels, in_channels // groups, kernel, kernel))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every expert like the kernel of a separate convolution (`get_condconv_initializer`)."""
        _, out_channels, _, *kernel = self.weight.shape
        _draw(self.weight, out_channels // self.groups * math.prod(kernel))

    def forward(self, x: Tensor, routing: Tensor) -> Tensor:
        """Return [N, O, H', W'] for `x` [N, I, H, W] and `routing` [N, experts].

        The images become groups of one convolution, so that no loop over them is needed.
        """
        count = x.shape[0]
        _, out_channels, *kernel = self.weight.shape
        kernels = (routing @ self.weight.flatten(1)).reshape(count * out_channels, *kernel)
        if self.pads_as_tensorflow:
            x = _pad_same(x, kernel[-1], self.stride)
        x = x.reshape(1, -1, *x.shape[2:])
        x = F.conv2d(x, kernels, stride=self.stride, padding=self.amount, groups=count * self.groups)
        return x.reshape(count, out_channels, *x.shape[2:])


class Routing(nn.Linear):
    """The weights of the experts in the kernels of an image."""

    def reset_parameters(self) -> None:
        """Draw by Glorot's uniform rule, TensorFlow's default for a dense layer."""
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, experts] in 0..1 for the block's input `x` [N, C, H, W]."""
        return torch.sigmoid(super().forward(x.mean((2, 3))))


class Classifier(nn.Linear):
    """The last layer, with the official initial values."""

    def reset_parameters(self) -> None:
        """Draw from +-1 / sqrt(classes) and set the bias to zero (`dense_kernel_initializer`)."""
        limit = 1 / math.sqrt(self.out_features)
        nn.init.uniform_(self.weight, -limit, limit)
        nn.init.zeros_(self.bias)


class SqueezeExcite(nn.Module):
    """Squeeze and excite: scale every channel by a gate, computed from the averages of all channels."""

    def __init__(self, channels: int, reduced: int, activation: str) -> None:
        super().__init__()
        self.reduce = Convolution(channels, reduced, bias=True)
        self.activation = ACTIVATIONS[activation]()
        self.expand = Convolution(reduced, channels, bias=True)
        self.overwrites = False  # True: the input is overwritten, which saves a copy

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` [N, C, H, W] times its gates."""
        gates = torch.sigmoid(self.expand(self.activation(self.reduce(x.mean((2, 3), keepdim=True)))))
        return x.mul_(gates) if self.overwrites else x * gates


class ConvNorm(nn.Module):
    """A convolution, its BatchNorm and an optional activation."""

    def __init__(self, conv: Convolution | CondConv2d, bn: BatchNorm, activation: str | None) -> None:
        super().__init__()
        self.conv = conv
        self.bn = bn
        self.activation = ACTIVATIONS[activation]() if activation else nn.Identity()

    def forward(self, x: Tensor, routing: Tensor | None = None) -> Tensor:
        """Return [N, O, H', W'] for `x` [N, I, H, W]; `routing` [N, experts] for a CondConv layer."""
        x = self.conv(x) if routing is None else self.conv(x, routing)
        result: Tensor = self.activation(self.bn(x))
        return result


def _pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    # Always kernel - 1 pixels in sum: where SAME needs one less, the last is never read. The result then has
    # (size - 1) // stride + 1 pixels for any size, a formula that torch.export needs for a dynamic size.
    height, width = x.shape[2:]
    above, _ = same_padding(height, kernel, stride)
    left, _ = same_padding(width, kernel, stride)
    return F.pad(x, (left, kernel - 1 - left, above, kernel - 1 - above))


def _draw(weight: Tensor, fan_out: int) -> None:
    # The meta device has no values; to draw from it, torch would import its compiler, which takes a second.
    if not weight.is_meta:
        nn.init.normal_(weight, std=math.sqrt(2 / fan_out))
