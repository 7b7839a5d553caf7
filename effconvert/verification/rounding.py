"""Rounding error of each network against float64, and the decision which of two networks is wrong."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from effconvert.architecture.facts import Facts
from effconvert.verification.comparison import relative_difference
from effconvert.verification.network_files import NetworkFile
from effconvert.verification.numpy_network import compute
from effconvert.verification.runs import Run

_OF_ROUNDING = 1e-4  # float32 networks are within 2e-5 of float64; a larger difference is not rounding


@dataclass(frozen=True)
class Rounding:
    """The difference of a float32 run from the float64 computation with its file's weights, on the first image.

    outputs: relative difference of the last layer. worst: of the layer with the largest difference.
    """

    framework: str
    outputs: float
    worst: float
    layer: str

    @property
    def computes_its_weights(self) -> bool:
        """Whether the run agrees with the file's weights and facts."""
        return self.worst <= _OF_ROUNDING


def in_double(file: NetworkFile, run: Run, facts: Facts) -> dict[str, NDArray[Any]]:
    """Return the float64 outputs, layer by layer, of the weights of `file` in the network with `facts`.

    Only the first image of `run` is computed.
    """
    return {**compute(file.canonical_tensors(), file.identity.variant, facts, run.images[:1])}


def rounding_cost(exact: Mapping[str, NDArray[Any]], rounded: Mapping[str, NDArray[Any]]) -> float:
    """Return the relative difference of the outputs with rounded weights."""
    last = list(exact)[-1]
    return relative_difference(rounded[last], exact[last])


def measure_rounding(run: Run, reference: Mapping[str, NDArray[Any]]) -> Rounding:
    """Return the difference of `run` from `reference`, the float64 computation of its first image."""
    found = {
        name: relative_difference(run.layer(name)[:1], reference[name]) for name in run.layers if name in reference
    }
    finite = {name: math.inf if math.isnan(value) else value for name, value in found.items()}
    worst = max(finite, key=finite.__getitem__)
    return Rounding(run.words, finite[list(finite)[-1]], finite[worst], worst)


def judge(roundings: Sequence[Rounding], changes: Sequence[str]) -> str:
    """Return a sentence on which side is wrong, comparing each run with its own file; the source's run is first.

    changes: the differences between the two files.
    """
    source, *others = roundings
    if not source.computes_its_weights:
        return (
            f"float64: {source.framework} does not agree with the source's tensors and facts as effconvert reads them "
            f"({source.worst:.2g} off at {source.layer}): the map or the facts do not describe its network"
        )
    for other in others:
        if not other.computes_its_weights:
            return (
                f"float64: {other.framework} does not agree with the converted file's tensors and facts "
                f"({other.worst:.2g} off at {other.layer})"
            )
    if changes:
        return f"float64: each side agrees with its own file, and the files differ: {', '.join(changes)}"
    further = max(roundings, key=lambda rounding: rounding.worst)
    return (
        f"float64: the files have the same weights and facts, and each side agrees with them within rounding; the "
        f"largest difference is {further.worst:.1e} at {further.layer} in {further.framework}"
    )
