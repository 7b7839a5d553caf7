"""Differences between the tensors of a source and of a file converted from it, compared one at a time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.verification.network_files import NetworkFile

# The float32 loss from adding an epsilon to a variance and subtracting it again.
_ROUNDING = 1e-6


def unlike_tensors(source: NetworkFile, converted: NetworkFile) -> dict[str, float]:
    """Return {canonical name: largest difference, as a share of the tensor's largest value} of tensors that differ.

    A variance is also compared with its epsilon added, since an epsilon may be folded into it. A dropped background
    class is not a difference, and neither is a tensor that only one file has, as the classifier beside a backbone.
    """
    names = {move.target for move in converted.coverage.moves}
    with source.opened() as ours, converted.opened() as theirs:
        found = {
            move.target: _difference(move.target, ours(move.target), theirs(move.target), source, converted)
            for move in source.coverage.moves
            if move.target in names
        }
    return {name: value for name, value in found.items() if not value <= _ROUNDING}


def _difference(
    name: str, ours: NDArray[Any], theirs: NDArray[Any], source: NetworkFile, converted: NetworkFile
) -> float:
    if name.startswith("head.fc.") and (len(ours), len(theirs)) == (1001, 1000):
        ours = ours[1:]
    if ours.shape != theirs.shape:
        return np.inf
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        return _furthest(name, ours.astype(np.float64), theirs.astype(np.float64), source, converted)


def _furthest(
    name: str, expected: NDArray[Any], found: NDArray[Any], source: NetworkFile, converted: NetworkFile
) -> float:
    if np.array_equal(expected, found, equal_nan=True):
        return 0.0
    apart = _largest(found - expected)
    if name.endswith("running_var"):
        apart = min(apart, _largest(found - expected + converted.facts.bn_eps - source.facts.bn_eps))
    return apart / _largest(expected) if expected.any() else apart


def _largest(values: NDArray[np.float64]) -> float:
    return float(np.abs(values).max(initial=0.0))
