"""Measures each network's own rounding against float64, and says which side is wrong when two disagree."""

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

_OF_ROUNDING = 1e-4  # float32 networks are within 2e-5 of float64; what is further off computes something else


@dataclass(frozen=True)
class Rounding:
    """How far a float32 run is from the float64 computation of its own file's weights, on the first image.

    outputs: relative difference of the logits, or of what the network ends in. worst: of the layer furthest off.
    """

    framework: str
    outputs: float
    worst: float
    layer: str

    @property
    def computes_its_weights(self) -> bool:
        """Whether the run is what the file's weights and facts say."""
        return self.worst <= _OF_ROUNDING


def in_double(file: NetworkFile, run: Run, facts: Facts) -> dict[str, NDArray[Any]]:
    """Return what float64 gives for the weights of `file` in the network of `facts`, layer by layer.

    It is computed for the first image of `run`.
    """
    return {**compute(file.canonical_tensors(), file.identity.variant, facts, run.images[:1])}


def rounding_cost(exact: Mapping[str, NDArray[Any]], rounded: Mapping[str, NDArray[Any]]) -> float:
    """Return how far the outputs of rounded weights are off."""
    last = list(exact)[-1]
    return relative_difference(rounded[last], exact[last])


def measure_rounding(run: Run, reference: Mapping[str, NDArray[Any]]) -> Rounding:
    """Return how far `run` is from `reference`, the float64 computation of its first image."""
    found = {
        name: relative_difference(run.layer(name)[:1], reference[name]) for name in run.layers if name in reference
    }
    finite = {name: math.inf if math.isnan(value) else value for name, value in found.items()}
    worst = max(finite, key=finite.__getitem__)
    return Rounding(run.words, finite[list(finite)[-1]], finite[worst], worst)


def judge(roundings: Sequence[Rounding], changes: Sequence[str]) -> str:
    """Say who is wrong where the source's run, the first, differs from one of the others: each against its own file.

    changes: in what the two files differ, as they are read here.
    """
    source, *others = roundings
    if not source.computes_its_weights:
        return (
            f"float64: {source.framework} does not compute what the source's tensors and facts say, as they are read "
            f"here ({source.worst:.2g} off at {source.layer}): the map or the facts do not describe its network"
        )
    for other in others:
        if not other.computes_its_weights:
            return (
                f"float64: {other.framework} does not compute what the converted file's tensors and facts say "
                f"({other.worst:.2g} off at {other.layer})"
            )
    if changes:
        return f"float64: each side computes what its own file says, and the files differ: {', '.join(changes)}"
    further = max(roundings, key=lambda rounding: rounding.worst)
    return (
        f"float64: the files hold the same weights and facts, and each side computes them but for rounding; furthest "
        f"off is {further.framework}, {further.worst:.1e} at {further.layer}"
    )
