"""The canonical network in plain numpy and float64: slow and small, it decides which of two float32 networks is wrong.

It shares no code with the PyTorch network, so that a mistake in one is not in the other too. Sources:
tensorflow/tpu, models/official/efficientnet (efficientnet_model.py, condconv/condconv_layers.py).
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Block, Variant, blocks

Map = NDArray[np.float64]
Tensors = Mapping[str, np.ndarray[Any, np.dtype[Any]]]

_AT_ONCE = 2**18  # values of a depthwise convolution, 2 MB, which stay in a core's cache during the sum over taps


def compute(
    tensors: Tensors,
    variant: Variant,
    facts: Facts,
    images: ArrayLike,
    feed: Mapping[str, ArrayLike] = MappingProxyType({}),
) -> dict[str, Map]:
    """Return every layer's output: {"stem", "blocks.0", …, "head": [N, C, H, W]; "pooled", "logits": [N, C]}.

    tensors: by canonical name. images: [N, C, H, W], normalised. feed: {layer: its input, instead of the previous
    layer's output}. The last three layers are missing without a head, the last one without a classifier.
    """
    result: dict[str, Map] = {}
    x = np.asarray(images, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # exp(-x) of sigmoid; negative variances of a damaged file
        for name, layer in _layers(tensors, variant, facts):
            x = layer(np.asarray(feed[name], np.float64) if name in feed else x)
            result[name] = x
    return result


def _layers(tensors: Tensors, variant: Variant, facts: Facts) -> Iterator[tuple[str, Callable[[Map], Map]]]:
    """Yield every layer with its function, in order."""

    def convolved(layer: str, stride: int) -> Callable[[Map], Map]:
        kernel = _values(tensors, f"{layer}.conv.weight")[None]
        return lambda x: _activated(_normalised(_convolved(x, kernel, stride, facts), tensors, layer, facts), facts)

    yield "stem", convolved("stem", 2)
    for block in blocks(variant):
        yield f"blocks.{block.index}", partial(_block, tensors=tensors, block=block, facts=facts)
    if facts.head_conv:
        yield "head", convolved("head", 1)
        yield "pooled", lambda x: x.mean((2, 3))
    if facts.classes:
        weight, bias = _values(tensors, "head.fc.weight"), _values(tensors, "head.fc.bias")
        yield "logits", lambda x: x @ weight.T + bias


def _block(x: Map, tensors: Tensors, block: Block, facts: Facts) -> Map:
    """Return [N, out_channels, ceil(H / stride), ceil(W / stride)] for `x` [N, in_channels, H, W]."""
    name = f"blocks.{block.index}"
    routing = None
    if block.experts:
        weight, bias = _values(tensors, f"{name}.routing.weight"), _values(tensors, f"{name}.routing.bias")
        routing = _sigmoid(x.mean((2, 3)) @ weight.T + bias)

    def kernel(layer: str) -> Map:
        """Return the kernels [N, O, I, k, k] of the images; N is 1 if all images share them."""
        values = _values(tensors, f"{name}.{layer}.conv.weight")
        return values[None] if routing is None else np.tensordot(routing, values, 1)

    expand_stride = project_stride = 1
    if block.fused and facts.fused_stride == "expand":
        expand_stride = block.stride
    elif block.fused:
        project_stride = block.stride
    result = x
    if block.expanded:
        result = _convolved(result, kernel("expand"), expand_stride, facts)
        result = _activated(_normalised(result, tensors, f"{name}.expand", facts), facts)
    if not block.fused:
        result = _convolved_depthwise(result, kernel("depthwise"), block.stride, facts)
        result = _activated(_normalised(result, tensors, f"{name}.depthwise", facts), facts)
    if block.se_channels:
        result = result * _gates(result, tensors, f"{name}.se", facts)[:, :, None, None]
    result = _convolved(result, kernel("project"), project_stride, facts)
    result = _normalised(result, tensors, f"{name}.project", facts)
    return x + result if block.residual else result


def _gates(x: Map, tensors: Tensors, layer: str, facts: Facts) -> Map:
    """Return the factor [N, C] of each channel of `x` [N, C, H, W]."""
    reduce, expand = (_values(tensors, f"{layer}.{name}.weight")[:, :, 0, 0] for name in ("reduce", "expand"))
    reduced = x.mean((2, 3)) @ reduce.T + _values(tensors, f"{layer}.reduce.bias")
    return _sigmoid(_activated(reduced, facts) @ expand.T + _values(tensors, f"{layer}.expand.bias"))


def _convolved(x: Map, kernel: Map, stride: int, facts: Facts) -> Map:
    """Return `x` [N, I, H, W] convolved with `kernel` [N or 1, O, I, k, k]: a matrix product for each tap."""
    height, width = (-(-size // stride) for size in x.shape[2:])
    result = np.zeros((len(x), kernel.shape[1], height * width))
    for down, right, pixels in _taps(x, kernel.shape[-1], stride, facts):
        result += kernel[:, :, :, down, right] @ pixels.reshape(*x.shape[:2], -1)
    return result.reshape(*result.shape[:2], height, width)


def _convolved_depthwise(x: Map, kernel: Map, stride: int, facts: Facts) -> Map:
    """Return `x` [N, C, H, W] with each channel convolved with its own kernel of `kernel` [N or 1, C, 1, k, k]."""
    height, width = (-(-size // stride) for size in x.shape[2:])
    result = np.zeros((*x.shape[:2], height, width))
    step = max(1, _AT_ONCE // (len(x) * x.shape[2] * x.shape[3]))
    for first in range(0, x.shape[1], step):
        some = slice(first, first + step)
        for down, right, pixels in _taps(x[:, some], kernel.shape[-1], stride, facts):
            result[:, some] += pixels * kernel[:, some, :, down, right, None]
    return result


def _taps(x: Map, size: int, stride: int, facts: Facts) -> Iterator[tuple[int, int, Map]]:
    """Yield (row, column) of every tap of a kernel, and the pixels that it multiplies [N, C, H', W']."""
    height, width = x.shape[2:]
    rows, columns = (_border(pixels, size, stride, facts.padding) for pixels in (height, width))
    padded = np.pad(x, ((0, 0), (0, 0), rows, columns)) if size > 1 else x
    lower, rightmost = (-(-pixels // stride) * stride for pixels in (height, width))
    for down in range(size):
        for right in range(size):
            yield down, right, padded[:, :, down : down + lower : stride, right : right + rightmost : stride]


def _border(pixels: int, size: int, stride: int, padding: str) -> tuple[int, int]:
    """Return the number of zeros before and after an axis, so that ceil(pixels / stride) windows fit."""
    if padding == "symmetric":
        return size // 2, size // 2
    last_window_ends = (-(-pixels // stride) - 1) * stride + size
    missing = max(last_window_ends - pixels, 0)
    return missing // 2, missing - missing // 2


def _normalised(x: Map, tensors: Tensors, layer: str, facts: Facts) -> Map:
    """Return `x` [N, C, H, W] after the BatchNorm of `layer`."""
    weight, bias, mean, variance = (
        _values(tensors, f"{layer}.bn.{name}")[:, None, None]
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    result = x - mean
    result *= weight / np.sqrt(variance + facts.bn_eps)
    result += bias
    return result


def _activated(x: Map, facts: Facts) -> Map:
    match facts.activation:
        case "silu":
            return x * _sigmoid(x)
        case "relu":
            return np.maximum(x, 0)
        case "relu6":
            return np.clip(x, 0, 6)
        case _:
            return x * np.clip(x + 3, 0, 6) / 6


def _sigmoid(x: Map) -> Map:
    result = np.exp(-x)
    result += 1
    return np.reciprocal(result, out=result)


def _values(tensors: Tensors, name: str) -> Map:
    return np.asarray(tensors[name], np.float64)
