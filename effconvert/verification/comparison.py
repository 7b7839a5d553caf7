"""Compares what two networks gave of the same images, layer by layer, and says where they first differ."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, Context
from typing import Any

import numpy as np
from numpy.typing import NDArray

ACCUMULATED, FED = "accumulated", "fed"
REFERENCE, CONVERTED = "reference", "converted"


@dataclass(frozen=True)
class Tolerance:
    """The largest relative difference of a layer that rounding explains.

    accumulated: where each network went its own way up to the layer. fed: where the layer got the reference's input.
    """

    accumulated: float
    fed: float

    def of(self, mode: str) -> float:
        """Return the tolerance of `mode`."""
        return self.fed if mode == FED else self.accumulated


# By the dtype of the converted weights; both networks compute in float32. Measured on B, Lite, EdgeTPU and CondConv:
#   float32: frameworks add the same products in another order. That moves a layer that gets the same input by 1.6e-6 of
#       its largest value at most, and adds up to 1e-5 over a network (1.9e-5 in MindCV's B5, whose sigmoid is less
#       exact). A kernel, a gamma or a variance scaled by 1.001 moves its layer by more than 9e-5; only a gate's kernel
#       moves it by less than rounding does, which is why tensors are compared as well.
#   float16, bfloat16: each weight is rounded by up to 2^-11 and 2^-8 of itself, the reference's are not. That moves a
#       layer by 1.0e-3 and 8.8e-3, a network by 1.4e-2 and 1.1e-1 (Lite0, whose ReLU6 caps the largest value). What
#       the rounding costs is said; faults that are smaller cannot be seen.
TOLERANCES = {
    "float32": Tolerance(accumulated=2e-5, fed=5e-6),
    "float16": Tolerance(accumulated=3e-2, fed=2e-3),
    "bfloat16": Tolerance(accumulated=2e-1, fed=2e-2),
}


@dataclass(frozen=True)
class LayerDifference:
    """How far one layer's outputs are apart.

    largest, mean: of |Δ|, in the layer's own units. relative: the largest in shares of `scale`, the layer's largest
    absolute value in the reference; NaN where one of them is not finite. cosine: of both outputs as vectors. at: index
    of the largest. not_finite: how many values are NaN or infinite, in the reference and in the other. shapes: of both,
    where they differ and nothing could be compared.
    """

    layer: str
    mode: str
    largest: float
    mean: float
    scale: float
    relative: float
    cosine: float
    at: tuple[int, ...]
    not_finite: tuple[int, int]
    allowed: float
    shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the layer is within its tolerance; what is not finite never is."""
        return self.relative <= self.allowed

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain values, numbers to four digits, None for those that are not finite."""
        return {name: plain(value) for name, value in asdict(self).items()} | {"passed": self.passed}


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same images.

    rows: in the order of the layers; of each mode where there is one. only: {layer: the side that has it}. top1, top5:
    the share of images whose class, or set of five, agrees; None without a classifier.
    """

    rows: tuple[LayerDifference, ...]
    only: Mapping[str, str]
    top1: float | None
    top5: float | None

    @property
    def same(self) -> bool:
        """Whether every layer of the reference is within its tolerance, and the network ends where it does.

        Some libraries end in a map that others average as well.
        """
        one_sided = {layer for layer, side in self.only.items() if side == REFERENCE or layer != "pooled"}
        return bool(self.rows) and not one_sided and all(row.passed for row in self.rows)

    @property
    def first(self) -> LayerDifference | None:
        """The first layer that differs: one that does so from the same input is guilty, others may only suffer."""
        failing = [row for row in self.rows if not row.passed]
        return next((row for row in failing if row.mode == FED), failing[0] if failing else None)

    @property
    def worst(self) -> LayerDifference:
        """The row that comes nearest to its tolerance, or exceeds it most."""
        return max(self.rows, key=lambda row: math.inf if math.isnan(row.relative) else row.relative / row.allowed)

    def of(self, mode: str) -> list[LayerDifference]:
        """Return the rows of one mode."""
        return [row for row in self.rows if row.mode == mode]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain values, for JSON."""
        return {
            "same": self.same,
            "first": self.first.to_dict() if self.first else None,
            "rows": [row.to_dict() for row in self.rows],
            "only": dict(self.only),
            "top1_agreement": plain(self.top1),
            "top5_agreement": plain(self.top5),
        }


def relative_difference(found: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return max |found - reference| / max |reference|, NaN where one is not finite."""
    return difference("", ACCUMULATED, reference, found, 0.0).relative


def difference(layer: str, mode: str, reference: NDArray[Any], found: NDArray[Any], allowed: float) -> LayerDifference:
    """Return how far `found` is from `reference`; another shape is a difference that has no size."""
    if reference.shape != found.shape:
        return _unmeasured(layer, mode, (), (0, 0), allowed, (reference.shape, found.shape))
    expected, given = np.asarray(reference, np.float64), np.asarray(found, np.float64)
    not_finite = (_not_finite(expected), _not_finite(given))
    if any(not_finite):
        return _unmeasured(layer, mode, _index(~(np.isfinite(expected) & np.isfinite(given))), not_finite, allowed)
    apart = np.abs(given - expected)
    largest, scale = float(apart.max()), float(np.abs(expected).max())
    relative = largest / scale if scale else (0.0 if largest == 0 else math.inf)
    lengths = float(np.linalg.norm(expected)) * float(np.linalg.norm(given))
    cosine = float(np.vdot(expected, given)) / lengths if lengths else float(largest == 0)
    return LayerDifference(
        layer, mode, largest, float(apart.mean()), scale, relative, cosine, _index(apart), not_finite, allowed
    )


def agreement(reference: NDArray[Any], found: NDArray[Any], count: int) -> float:
    """Return the share of images whose `count` largest logits, arrays [N, classes], are of the same classes."""
    best = [np.argsort(-logits, axis=1, kind="stable")[:, :count] for logits in (reference, found)]
    return float(np.mean([set(one) == set(other) for one, other in zip(*best, strict=True)]))


def would_pass(value: float) -> float:
    """Return the least tolerance of two digits that `value` is within."""
    nearest = float(f"{value:.1e}")
    return nearest if not nearest < value else float(Context(2, ROUND_CEILING).create_decimal(value))


def _unmeasured(
    layer: str,
    mode: str,
    at: tuple[int, ...],
    not_finite: tuple[int, int],
    allowed: float,
    shapes: tuple[tuple[int, ...], ...] = (),
) -> LayerDifference:
    return LayerDifference(
        layer, mode, math.nan, math.nan, math.nan, math.nan, math.nan, at, not_finite, allowed, shapes
    )


def plain(value: Any) -> Any:
    """Return `value` for JSON: numbers to four digits, None for those that are not finite."""
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, tuple | list) else value


def _index(values: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(number) for number in np.unravel_index(int(values.argmax()), values.shape))


def _not_finite(values: NDArray[Any]) -> int:
    return int(values.size - np.isfinite(values).sum())
