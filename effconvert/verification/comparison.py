"""Comparison of two networks' outputs for the same images, layer by layer, and the first diverging layer."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, Context
from typing import Any

import numpy as np
from numpy.typing import NDArray

END_TO_END, ISOLATED = "accumulated", "fed"  # the values are stored in files, under these older names
REFERENCE, CONVERTED = "reference", "converted"


@dataclass(frozen=True)
class Tolerance:
    """The largest relative difference of a layer that rounding can explain.

    end_to_end: of a layer after the network's own earlier layers. isolated: of a layer with the reference's input.
    """

    end_to_end: float
    isolated: float

    def of(self, mode: str) -> float:
        """Return the tolerance of `mode`."""
        return self.isolated if mode == ISOLATED else self.end_to_end

    def to_dict(self) -> dict[str, float]:
        """Return the tolerance as plain values, for JSON."""
        return {END_TO_END: self.end_to_end, ISOLATED: self.isolated}


# By the dtype of the converted weights; both networks compute in float32. Measured on B, Lite, EdgeTPU and CondConv:
#   float32: frameworks add the same products in another order. With the same input, this changes a layer by at most
#       1.6e-6 of its largest value; over a network it sums to 1e-5 (1.9e-5 in MindCV's B5, with a less exact sigmoid).
#       A kernel, a gamma or a variance scaled by 1.001 changes its layer by more than 9e-5. Only a gate's kernel
#       changes it by less than rounding; therefore tensors are compared too.
#   float16, bfloat16: each weight is rounded by up to 2^-11 and 2^-8 of itself; the reference's are not. This changes
#       a layer by 1.0e-3 and 8.8e-3, a network by 1.4e-2 and 1.1e-1 (Lite0, where ReLU6 limits the largest value). The
#       cost of rounding is reported; smaller faults cannot be seen.
TOLERANCES = {
    "float32": Tolerance(end_to_end=2e-5, isolated=5e-6),
    "float16": Tolerance(end_to_end=3e-2, isolated=2e-3),
    "bfloat16": Tolerance(end_to_end=2e-1, isolated=2e-2),
}


@dataclass(frozen=True)
class LayerDifference:
    """The difference between one layer's outputs in two networks.

    largest, mean: of |Δ|, in the layer's own units. relative: `largest` as a share of `scale`, the layer's largest
    absolute value in the reference; NaN if a value is not finite. cosine: similarity of both outputs as vectors. at:
    index of the largest. not_finite: number of NaN or infinite values in the reference and in the other network.
    shapes: of both, if they differ and nothing could be compared.
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
        """Whether the layer is within its tolerance; values that are not finite never are."""
        return self.relative <= self.allowed

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain values: numbers with four digits, None for numbers that are not finite."""
        return {name: plain(value) for name, value in asdict(self).items()} | {"passed": self.passed}


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same images.

    rows: in the order of the layers, for each measured mode. only: {layer: the only side that has it}. top1, top5: the
    share of images with the same class, or the same set of five; None without a classifier.
    """

    rows: tuple[LayerDifference, ...]
    only: Mapping[str, str]
    top1: float | None
    top5: float | None

    @property
    def same(self) -> bool:
        """Whether every layer of the reference is within its tolerance and both networks end at the same layer.

        Only "pooled" may be missing: some libraries end before the average.
        """
        one_sided = {layer for layer, side in self.only.items() if side == REFERENCE or layer != "pooled"}
        return bool(self.rows) and not one_sided and all(row.passed for row in self.rows)

    @property
    def first(self) -> LayerDifference | None:
        """The first diverging layer: isolated differences come first, since other layers may only propagate one."""
        failing = [row for row in self.rows if not row.passed]
        return next((row for row in failing if row.mode == ISOLATED), failing[0] if failing else None)

    @property
    def worst(self) -> LayerDifference:
        """The row with the largest difference compared with its tolerance."""
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
    return difference("", END_TO_END, reference, found, 0.0).relative


def difference(layer: str, mode: str, reference: NDArray[Any], found: NDArray[Any], allowed: float) -> LayerDifference:
    """Return the difference of `found` from `reference`; for different shapes its size is NaN."""
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
    """Return the share of images whose `count` largest logits, in arrays [N, classes], have the same classes."""
    best = [np.argsort(-logits, axis=1, kind="stable")[:, :count] for logits in (reference, found)]
    return float(np.mean([set(one) == set(other) for one, other in zip(*best, strict=True)]))


def would_pass(value: float) -> float:
    """Return the smallest tolerance with two digits that `value` would pass."""
    nearest = float(f"{value:.1e}")
    return nearest if not nearest < value else float(Context(2, ROUND_CEILING).create_decimal(value))


def times(ratio: float) -> str:
    """Return a ratio in words with two digits, or three where it is nearly 1: `450,000 times`, `1.3 times`."""
    digits = float(f"{ratio:.{3 if 1 < ratio < 1.1 else 2}g}")
    return f"{digits:,.0f} times" if digits >= 10 else f"{digits:g} times"


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
    """Return `value` for JSON: numbers with four digits, None for numbers that are not finite."""
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, tuple | list) else value


def _index(values: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(number) for number in np.unravel_index(int(values.argmax()), values.shape))


def _not_finite(values: NDArray[Any]) -> int:
    return int(values.size - np.isfinite(values).sum())
