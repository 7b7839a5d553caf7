"""Comparison of the predictions of two networks, or of two runs of one network, on the same images."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import NumericMismatch
from effconvert.validate.accuracy.matching import class_difference, match, picture_difference
from effconvert.validate.accuracy.statistics import Interval, Proportion, agreement, mcnemar, paired_interval
from effconvert.validate.predictions import NO_LABEL, Predictions

SCHEMA = "effconvert/prediction-comparison/1"
_OF_IMAGES = ("ids", "names", "labels", "top5", "label_logit", "margin", "confidence")


@dataclass(frozen=True)
class Paired:
    """Correct predictions of both networks on the same labelled images.

    only_a, only_b: images that only A or only B got right (discordant pairs). p: McNemar's exact test. difference: B's
    share minus A's in percentage points, with its interval.
    """

    a: Proportion
    b: Proportion
    only_a: int
    only_b: int
    p: float
    difference: float
    interval: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "only_a": self.only_a,
            "only_b": self.only_b,
            "mcnemar_p": self.p,
            "difference": round(self.difference, 6),
            "interval": [round(bound, 6) for bound in self.interval],
        }


@dataclass(frozen=True)
class Changed:
    """An image with two different first classes: its labels, both classes, both margins between the largest logits."""

    name: str
    labels: tuple[int, ...]
    a: int
    b: int
    margin_a: float
    margin_b: float

    @property
    def margin(self) -> float:
        """The larger of both margins."""
        return max(self.margin_a, self.margin_b)


@dataclass(frozen=True)
class Largest:
    """The largest |Δ| of a number, and its image; None where no image has the number in both runs."""

    value: float | None
    name: str


@dataclass(frozen=True)
class PredictionComparison:
    """The comparison of two runs. A is the reference, and A's labels are used for both.

    images: number in both runs. only_a, only_b: number of images that only one run has. other_labels: names of images
    with other labels in B. same: images with the same first class. paired: {1: top-1, 5: top-5} of labelled images,
    empty where there are none. changed: the largest margin first. doubt: why the pictures may not be the same, "" where
    they are known to be.
    """

    images: int
    only_a: int
    only_b: int
    other_labels: tuple[str, ...]
    same: Proportion
    paired: Mapping[int, Paired]
    changed: tuple[Changed, ...]
    label_logit: Largest
    margin: Largest
    doubt: str = ""

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        if not self.changed:
            moved = f"; a label's logit differs by up to {self.label_logit.value:.2g}" if self.label_logit.value else ""
            return f"same answers: top-1 is the same for all {self.images:,} images{moved}"
        words = (
            f"different: top-1 differs for {len(self.changed):,} of {self.images:,} images "
            f"({100 - self.same.percent:.3g} %)"
        )
        if top1 := self.paired.get(1):
            others = len(self.changed) - top1.only_a - top1.only_b
            words += f"; correct only in A {top1.only_a:,}, only in B {top1.only_b:,}, in neither or both {others:,}"
        return words

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain values, for JSON, with every changed image."""
        return {
            "schema": SCHEMA,
            "verdict": "different" if self.changed else "same",
            "sentence": self.sentence,
            "images": self.images,
            "doubt": self.doubt,
            "only_a": self.only_a,
            "only_b": self.only_b,
            "other_labels": list(self.other_labels),
            "agreement": self.same.to_dict(),
            **{f"top{count}": paired.to_dict() for count, paired in self.paired.items()},
            "changed": [_plain(image) for image in self.changed],
            "largest_label_logit_difference": asdict(self.label_logit),
            "largest_margin_difference": asdict(self.margin),
        }


def compare_predictions(a: Predictions, b: Predictions) -> PredictionComparison:
    """Compare the predictions of `b` with those of `a`, image by image; images are matched by name.

    Raises NumericMismatch when the runs have no image in common, when names are not unique, when images of the same
    name are different pictures, or when the classes are not the same.
    """
    _check_same("nothing was compared; run both with the same classes", class_difference(a, b))
    matched = match(a.names.tolist(), b.names.tolist())
    if not matched.names:
        shown = " and ".join(repr(str(side.names[0])) for side in (a, b))
        raise NumericMismatch(f"the runs have no image in common (the first of each are {shown}): nothing was compared")
    one, other = _taken(a, matched.first), _taken(b, matched.second)
    names = matched.names
    others = picture_difference(names, one.hashes, other.hashes)
    _check_same("nothing was compared; measure both on the same images", others)
    labelled = (one.labels != NO_LABEL).any(1)
    judged = replace(other, labels=one.labels)
    return PredictionComparison(
        images=len(names),
        only_a=len(a) - len(names),
        only_b=len(b) - len(names),
        other_labels=tuple(names[index] for index in _other_labels(one.labels, other.labels)),
        same=agreement(one.top5[:, 0], other.top5[:, 0]),
        paired={
            count: _paired(one.hits(count)[labelled], judged.hits(count)[labelled])
            for count in ((1, 5) if labelled.any() else ())
        },
        changed=_changed(names, one, other),
        label_logit=_largest(names, one.label_logit, other.label_logit),
        margin=_largest(names, one.margin, other.margin),
        doubt=_doubt(a, b),
    )


def _check_same(remedy: str, difference: str) -> None:
    if difference:
        raise NumericMismatch(f"{difference}: {remedy}")


def _doubt(a: Predictions, b: Predictions) -> str:
    old = " and ".join(name for name, side in (("A", a), ("B", b)) if side.hashes is None)
    remedy = "images are matched by name only and may be different pictures; measure again to be sure"
    return f"{old} has no hashes of its images: {remedy}" if old else ""


def _taken(predictions: Predictions, places: Sequence[int]) -> Predictions:
    chosen = np.array(places, np.intp)
    hashes = None if predictions.hashes is None else predictions.hashes[chosen]
    return replace(predictions, hashes=hashes, **{name: getattr(predictions, name)[chosen] for name in _OF_IMAGES})


def _paired(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> Paired:
    images = len(right_a)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return Paired(
        a=Proportion(int(right_a.sum()), images),
        b=Proportion(int(right_b.sum()), images),
        only_a=only_a,
        only_b=only_b,
        p=mcnemar(only_a, only_b),
        difference=100 * (only_b - only_a) / images,
        interval=Interval(*(100 * bound for bound in paired_interval(only_b, only_a, images))),
    )


def _other_labels(one: NDArray[np.int32], other: NDArray[np.int32]) -> list[int]:
    rows = zip(one.tolist(), other.tolist(), strict=True)
    return [place for place, (a, b) in enumerate(rows) if set(_ended(a)) != set(_ended(b))]


def _ended(labels: list[int]) -> tuple[int, ...]:
    return tuple(label for label in labels if label != NO_LABEL)


def _changed(names: Sequence[str], one: Predictions, other: Predictions) -> tuple[Changed, ...]:
    found = [
        Changed(
            name=names[place],
            labels=_ended(one.labels[place].tolist()),
            a=int(one.top5[place, 0]),
            b=int(other.top5[place, 0]),
            margin_a=float(one.margin[place]),
            margin_b=float(other.margin[place]),
        )
        for place in np.flatnonzero(one.top5[:, 0] != other.top5[:, 0]).tolist()
    ]
    return tuple(sorted(found, key=lambda image: (-image.margin, image.name)))


def _largest(names: Sequence[str], one: NDArray[np.float32], other: NDArray[np.float32]) -> Largest:
    difference = np.abs(one.astype(np.float64) - other)
    if not np.isfinite(difference).any():
        return Largest(None, "")
    place = int(np.argmax(np.where(np.isfinite(difference), difference, -1)))
    return Largest(float(difference[place]), names[place])


def _plain(image: Changed) -> dict[str, Any]:
    values = asdict(image) | {"labels": list(image.labels)}
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
