"""Verdict on runs of the same images: same or different, the first diverging layer, and the size of the difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.architecture.facts import only_assumed
from effconvert.option_words import option
from effconvert.preprocessing.synthetic import sensitivity
from effconvert.verification.comparison import (
    END_TO_END,
    ISOLATED,
    TOLERANCES,
    Comparison,
    LayerDifference,
    Tolerance,
    plain,
    times,
    would_pass,
)
from effconvert.verification.runs import Run, compare_runs, layer_of_tensor

SAME, DIFFERENT, NOT_VERIFIABLE = "same", "different", "not verifiable"
RELAXED = "same within the given tolerance"
# Below this sensitivity outputs hardly depend on the image, so a network with many faults could give the same outputs.
LEAST_SENSITIVITY = 0.1


@dataclass(frozen=True)
class Pair:
    """The comparison of the reference with one run; framework, network and loader are those of that run."""

    framework: str
    network: str
    loader: str
    comparison: Comparison


@dataclass(frozen=True)
class Verdict:
    """The verdict with its evidence.

    word: `same`, `different`, `not verifiable`, or `same within the given tolerance` for a looser tolerance. reason:
    why it is not verifiable. pairs: of the reference with each run. sensitivity: of the reference's outputs to the
    image. rounded: the dtype to which the source's weights were rounded, "" if they were not. unlike: {tensor: largest
    relative difference} of tensors that differ between the files although every layer is within its tolerance. assumed:
    facts of the networks that no file records.
    """

    word: str
    reason: str
    pairs: tuple[Pair, ...]
    sensitivity: float
    tolerance: Tolerance
    rounded: str
    unlike: Mapping[str, float] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()

    @property
    def failing(self) -> Pair | None:
        """The first pair that differs."""
        return next((pair for pair in self.pairs if not pair.comparison.same), None)

    @property
    def first(self) -> LayerDifference | None:
        """The first diverging layer."""
        return self.failing.comparison.first if self.failing else None

    @property
    def first_layer(self) -> str:
        """The name of the first diverging layer, by its outputs or else by its tensors; "" without one."""
        if self.first:
            return self.first.layer
        layers = [layer_of_tensor(name) for name in self.unlike]
        return layers[0] if layers else ""

    @property
    def sentence(self) -> str:
        """The verdict in one line, with the measurement, the tolerance, the layer and the assumptions."""
        if not self.assumed:
            return self._measurement
        return f"{self._measurement}; but {only_assumed(self.assumed)} ({option('facts')} tells)"

    @property
    def _measurement(self) -> str:
        if self.word == NOT_VERIFIABLE:
            return f"{self.word}: {self.reason}"
        if self.failing:
            whose = f"only {self.failing.framework} differs, not the canonical network of the same file; "
            return f"{self.word}: {whose if self.failing != self.pairs[0] else ''}{_first_difference(self.failing)}"
        if self.unlike:
            name, value = next(iter(self.unlike.items()))
            return (
                f"{self.word}: every layer is within its tolerance, but {len(self.unlike):,} of the file's tensors "
                f"have other values than the source's; {name} differs by {value:.1e} of its largest value "
                "(allowed 1.0e-06)"
            )
        word = f"{self.word} of {self.tolerance.end_to_end:.1e}" if self.word == RELAXED else self.word
        word += f" except for the rounding to {self.rounded}" if self.rounded else ""
        rows = [row for pair in self.pairs for row in pair.comparison.rows]
        if not any(row.largest for row in rows):
            return f"{word}: every layer is equal bit for bit"
        last = max((pair.comparison.of(END_TO_END)[-1] for pair in self.pairs), key=lambda row: row.relative)
        worst = max((pair.comparison.worst for pair in self.pairs), key=lambda row: row.relative / row.allowed)
        return (
            f"{word}: {last.layer} differ by {last.relative:.1e} of the largest value; "
            f"nearest to its tolerance is {worst.layer}: {_measured(worst)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain values: the word, the sentence, and a row for every layer and mode."""
        return {
            "verdict": self.word,
            "sentence": self.sentence,
            "assumed": list(self.assumed),
            "sensitivity": plain(self.sensitivity),
            "tolerance": {**self.tolerance.to_dict(), "relaxed": self.word == RELAXED, "rounded": self.rounded},
            "comparisons": [
                {
                    "framework": pair.framework,
                    "network": pair.network,
                    "loader": pair.loader,
                    **pair.comparison.to_dict(),
                }
                for pair in self.pairs
            ],
        }


def reach_verdict(reference: Run, runs: Sequence[Run], tolerance: float | None = None) -> Verdict:
    """Return the verdict on `runs` against `reference`; tolerance: instead of that of the weights' dtype.

    Raises NumericMismatch if the runs have different images or no layer in common, UnreadableCheckpoint for a damaged
    run.
    """
    settings = reference.record["settings"]
    rounded = rounded_to(settings, runs[0].record["settings"])
    usual = TOLERANCES[rounded or "float32"]
    allowed = usual if tolerance is None else Tolerance(tolerance, tolerance)
    pairs = tuple(
        Pair(
            run.words,
            run.record["network"],
            run.record["loader"],
            compare_runs(reference, run, allowed, lacks_background(settings, run.record["settings"])),
        )
        for run in runs
    )
    seen = _sensitivity(reference)
    reason = _not_verifiable(seen, reference.images)
    same = RELAXED if allowed.isolated > usual.isolated else SAME
    word = NOT_VERIFIABLE if reason else same if all(pair.comparison.same for pair in pairs) else DIFFERENT
    assumed = {name for run in (reference, *runs) for name in run.record["settings"].get("assumed", ())}
    return Verdict(
        word=word,
        reason=reason,
        pairs=pairs,
        sensitivity=seen,
        tolerance=allowed,
        rounded=rounded or _coarsest(settings.get("rounded")),
        assumed=tuple(sorted(assumed)),
    )


def _sensitivity(run: Run) -> float:
    """Return the sensitivity of the outputs, or of the pooled features if there is only one class."""
    outputs = run.outputs
    if outputs.shape[1] == 1 and "pooled" in run.layers:
        outputs = run.layer("pooled")
    return sensitivity(outputs) if len(outputs) > 1 else 0.0


def _coarsest(rounded: object) -> str:
    """Return the half precision to which the reference's tensors were rounded for the comparison, or ""."""
    held = rounded.values() if isinstance(rounded, dict) else ()
    return next((name for name in ("bfloat16", "float16") if name in held), "")


def lacks_background(reference: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Return whether a run lacks only the reference's first class, EdgeTPU's background, by the runs' settings."""
    return (reference.get("classes"), found.get("classes")) == (1001, 1000)


def rounded_to(reference: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Return the dtype to which only the run's weights were rounded, "" if none or also the reference's were."""
    dtype = found.get("dtype", "float32")
    return dtype if dtype in TOLERANCES and dtype not in ("float32", reference.get("dtype")) else ""


def _not_verifiable(seen: float, images: NDArray[np.float32]) -> str:
    if len(images) < 2:
        return (
            "one image cannot show whether the network reacts to its input; "
            f"give two or more, with {option('images', 'FOLDER')}"
        )
    if not (images != images[0]).any():
        return (
            "the images are all the same, so they cannot show whether the network reacts to its input; "
            f"give different ones, with {option('images', 'FOLDER')}"
        )
    if np.isnan(seen):
        return "the reference's own outputs are NaN or infinite; take a checkpoint from before the training failed"
    if seen < LEAST_SENSITIVITY:
        return (
            f"the reference hardly reacts to its input (sensitivity {seen:.2g}, needed {LEAST_SENSITIVITY}), so a "
            f"comparison could miss faults; give photographs, with {option('images', 'FOLDER')}; if that does not "
            "help, its weights are not trained"
        )
    return ""


def _first_difference(pair: Pair) -> str:
    row = pair.comparison.first
    if row is None:
        only = pair.comparison.only
        sides = {side: ", ".join(layer for layer in only if only[layer] == side) for side in only.values()}
        alone = " and ".join(f"only the {side} has {layers}" for side, layers in sides.items())
        return f"every common layer is the same, but {alone}"
    words = f"{row.layer} is the first layer that differs: "
    if row.shapes:
        return f"{words}its output has the shape {list(row.shapes[1])}, the reference's has {list(row.shapes[0])}"
    if any(row.not_finite):
        reference, other = row.not_finite
        return f"{words}it has {other:,} NaN or infinite values, the reference's has {reference:,}"
    if row.mode != ISOLATED and pair.comparison.of(ISOLATED):
        words = f"no layer differs in isolation; rounding adds up, and {row.layer} is the first beyond its tolerance: "
    return f"{words}{_measured(row)}"


def _measured(row: LayerDifference) -> str:
    given = " with the reference's input" if row.mode == ISOLATED else ""
    limit = (
        f"allowed {row.allowed:.1e}; {would_pass(row.relative):.1e} would have passed"
        if row.passed or not row.allowed
        else f"{times(row.relative / row.allowed)} its tolerance of {row.allowed:.1e}"
    )
    return f"max |Δ| is {row.relative:.1e} of its largest value at {list(row.at)}{given} ({limit})"
