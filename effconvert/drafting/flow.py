"""The flow of means through the layers of a network, computed from its weights only.

A BatchNorm gives each channel the mean `bias` and the deviation `weight`, for any input. So the mean that the next
BatchNorm recorded in training follows from the weights between them. In a trained file this tells which layers follow
each other. The values are assumed to be normal and the images large, so a prediction is near, not equal.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.drafting.network_layers import Layer
from effconvert.drafting.shapes import stored_shape
from effconvert.formats.checkpoint import Shape
from effconvert.maps.axes import parse_axes

Vector = NDArray[np.float64]
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_CLOSEST = 0.9999  # a higher correlation counts as this one


def kernel_of(layer: Layer, stored: NDArray[Any], orders: tuple[str, ...]) -> Vector:
    """Return the action of a convolution on means: [O, I], or [C] for a depthwise one.

    stored: its kernel as the file has it, in the first of `orders` that fits.
    """
    values = canonical_values(stored, layer.shapes["weight"], orders)
    if values.ndim == 5:  # of experts; routing mixes them, each with about a half
        values = values.sum(axis=0) / 2
    sums: Vector = values.sum(axis=(2, 3))
    return sums[:, 0] if layer.role.startswith("depthwise") else sums


def means_behind(kernel: Vector, entering: Vector) -> Vector:
    """Return the means of a convolution's outputs. entering: the means of its inputs, [N, I] or [I]."""
    result: Vector = entering * kernel if kernel.ndim == 1 else entering @ kernel.T
    return result


def canonical_values(stored: NDArray[Any], shape: Shape, orders: tuple[str, ...]) -> NDArray[Any]:
    """Return a file's tensor in the canonical order of axes, by the first of `orders` that fits."""
    order = next(order for order in orders if stored_shape(shape, order) == stored.shape)
    if not order:
        return stored
    axes = parse_axes(order)
    parted, permutation = axes.parted(axes.letter_sizes(shape))
    return stored.reshape(parted).transpose(permutation).reshape(shape)


def activated(name: str, means: Vector, deviations: Vector) -> Vector:
    """Return the mean after the activation `name`, for normal values with these means and deviations."""
    values = _ACTIVATIONS[name](means[:, None] + np.abs(deviations)[:, None] * _NODES)
    result: Vector = values @ _WEIGHTS
    return result


def agreement(predicted: Vector, recorded: Vector) -> Vector:
    """Return how well two sets of vectors agree, [N, M]: Fisher's z of their correlation, in standard errors.

    Of unrelated vectors, one in a million is above 5.
    """
    channels = predicted.shape[1]
    correlation = np.clip(_standard(predicted) @ _standard(recorded).T, -_CLOSEST, _CLOSEST)
    result: Vector = np.arctanh(correlation) * np.sqrt(max(channels - 3, 1))
    return result


def _standard(vectors: Vector) -> Vector:
    centred: Vector = vectors - vectors.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    result: Vector = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    return result


def _sigmoid(values: Vector) -> Vector:
    return 1 / (1 + np.exp(-np.clip(values, -60, 60)))


_ACTIVATIONS: dict[str, Callable[[Vector], Vector]] = {
    "silu": lambda values: values * _sigmoid(values),
    "relu": lambda values: np.maximum(values, 0),
    "relu6": lambda values: np.clip(values, 0, 6),
    "hswish": lambda values: values * np.clip(values + 3, 0, 6) / 6,
}
