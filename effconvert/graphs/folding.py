"""The values of a folded graph: each BatchNorm becomes part of the convolution before it."""

from collections.abc import Callable, Iterable, Iterator

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


def folded_in_order(arrays: Iterable[tuple[str, Array]], bn_eps: float) -> Iterator[tuple[str, Array]]:
    """Yield the values of a folded graph from canonical tensors in their order; memory holds those of one layer."""
    layer: dict[str, Array] = {}
    for name, array in arrays:
        if not name.endswith(".conv.weight") and ".bn." not in name:
            yield name, array
            continue
        layer[name] = array
        if name.endswith(".bn.running_var"):  # the layer's last tensor
            read, prefix = folding(layer.__getitem__, bn_eps), name.removesuffix(".bn.running_var")
            for part in (WEIGHT, BIAS):
                yield prefix + part, read(prefix + part)
            layer = {}


def place_of(name: str) -> str:
    """Return the canonical tensor in whose place a value of a folded graph stands."""
    if name.endswith(WEIGHT):
        return f"{name.removesuffix(WEIGHT)}.conv.weight"
    return f"{name.removesuffix(BIAS)}.bn.weight" if name.endswith(BIAS) else name
