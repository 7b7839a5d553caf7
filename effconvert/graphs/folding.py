"""The values of a folded graph: each BatchNorm becomes part of the convolution before it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Read = Callable[[str], Array]

WEIGHT, BIAS = ".folded.weight", ".folded.bias"
_BN_TENSORS = ("weight", "bias", "running_mean", "running_var")


def folding(read: Read, bn_eps: float) -> Read:
    """Return a function that gives the values of a folded graph, computed from the canonical tensors that `read` gives.

    `stem.folded.weight` and `stem.folded.bias` are computed in float64 and rounded once; other names are read as they
    are.
    """

    def folded(name: str) -> Array:
        layer = name.removesuffix(WEIGHT).removesuffix(BIAS)
        if layer == name:
            return read(name)
        gamma, beta, mean, variance = (read(f"{layer}.bn.{tensor}").astype(np.float64) for tensor in _BN_TENSORS)
        scale = gamma / np.sqrt(variance + bn_eps)
        if name.endswith(BIAS):
            return (beta - mean * scale).astype(np.float32)
        kernel = read(f"{layer}.conv.weight").astype(np.float64)
        return (kernel * scale.reshape(-1, 1, 1, 1)).astype(np.float32)  # an axis of experts may come first

    return folded
