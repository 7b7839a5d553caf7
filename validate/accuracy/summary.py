"""Accuracy summary: top-1 and top-5 with intervals, calibration, tables of classes and groups."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem
from effconvert.shown import Row, Shown
from effconvert.validate.accuracy.decimals import places
from effconvert.validate.accuracy.statistics import Calibration, Proportion, calibration, hits_by
from effconvert.validate.data.classes import ClassList, imagenet_classes
from effconvert.validate.predictions import NO_LABEL, Predictions


@dataclass(frozen=True)
class ClassRow:
    """The images of one class, that is, with this class as their first label.

    identifier: in folder names, n01440764. name: for people. group: "" where the class list has no groups.
    """

    index: int
    identifier: str
    name: str
    group: str
    top1: Proportion
    top5: Proportion


@dataclass(frozen=True)
class GroupRow:
    """The images of a group of classes; classes: the number of classes with images."""

    name: str
    classes: int
    top1: Proportion
    top5: Proportion


@dataclass(frozen=True, repr=False)
class Summary(Shown):
    """The accuracy of one network; images without a label count only in `unlabelled`.

    calibration: of the largest probability. mean_margin: between the two largest logits. classes: those with images, in
    their order. groups: the least accurate first; empty where the class list has no groups.
    """

    top1: Proportion
    top5: Proportion
    unlabelled: int
    calibration: Calibration
    mean_margin: float
    classes: tuple[ClassRow, ...]
    groups: tuple[GroupRow, ...]

    @property
    def images(self) -> int:
        """The number of images with a label."""
        return self.top1.images

    @property
    def line(self) -> str:
        """Top-1 and top-5 in one line."""
        top1, top5 = (f"{found.percent:.{places(self.images)}f} %" for found in (self.top1, self.top5))
        return f"top-1 {top1}, top-5 {top5} of {self.images:,} images"

    def to_rows(self) -> list[Row]:
        """Return a row for each class with images; accuracies in percent."""
        return [
            {
                "index": row.index,
                "identifier": row.identifier,
                "name": row.name,
                "group": row.group,
                "images": row.top1.images,
                "top1": row.top1.percent,
                "top5": row.top5.percent,
            }
            for row in self.classes
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values, for JSON: accuracies in percent, the calibration error as a share."""
        return {
            "images": self.images,
            "unlabelled": self.unlabelled,
            **_accuracies(self),
            "calibration_error": _number(self.calibration.error),
            "calibration_bins": [
                {name: _number(value) for name, value in asdict(bin_).items()} for bin_ in self.calibration.bins
            ],
            "mean_margin": _number(self.mean_margin),
            "classes": [
                {"index": row.index, "identifier": row.identifier, "name": row.name, "group": row.group}
                | _accuracies(row)
                for row in self.classes
            ],
            "groups": [{"name": row.name, "classes": row.classes} | _accuracies(row) for row in self.groups],
        }


def summarise(predictions: Predictions) -> Summary:
    """Return the accuracy summary of predictions. Raises DatasetProblem when no image has a label.

    Example: `effconvert.validate.summarise(run.predictions).top1.percent`
    """
    labelled = _labelled(predictions)
    first = predictions.labels[labelled, 0]
    right1, right5 = (predictions.hits(count)[labelled] for count in (1, 5))
    classes = _class_rows(class_list(predictions), first, right1, right5)
    return Summary(
        top1=measured_accuracy(predictions, 1),
        top5=measured_accuracy(predictions, 5),
        unlabelled=len(predictions) - len(first),
        calibration=calibration(predictions.confidence[labelled], right1),
        mean_margin=float(predictions.margin[labelled].mean(dtype=np.float64)),
        classes=tuple(classes),
        groups=tuple(_group_rows(classes)),
    )


def measured_accuracy(predictions: Predictions, count: int) -> Proportion:
    """Return the labelled images with a correct class among the first `count`.

    Raises DatasetProblem when no image has a label.
    """
    labelled = _labelled(predictions)
    return Proportion(int(predictions.hits(count)[labelled].sum()), int(labelled.sum()))


def class_list(predictions: Predictions) -> ClassList:
    """Return the class list of the predictions: ImageNet's, or the one in their record."""
    dataset = predictions.record["dataset"]
    names = tuple(dataset.get("class_names") or ())
    return ClassList(str(dataset.get("classes")), names, names) if names else imagenet_classes()


def _labelled(predictions: Predictions) -> NDArray[np.bool_]:
    labelled: NDArray[np.bool_] = (predictions.labels != NO_LABEL).any(1)
    if not labelled.any():
        raise DatasetProblem("no image has a label, so there is no accuracy to measure")
    return labelled


def _class_rows(known: ClassList, first: Any, right1: Any, right5: Any) -> list[ClassRow]:
    count = max(len(known.names), int(first.max()) + 1)
    tables = zip(hits_by(first, right1, count), hits_by(first, right5, count), strict=True)
    return [
        ClassRow(index, _at(known.identifiers, index), _at(known.names, index), _at(known.groups, index), top1, top5)
        for index, (top1, top5) in enumerate(tables)
        if top1.images
    ]


def _group_rows(classes: Sequence[ClassRow]) -> list[GroupRow]:
    members: dict[str, list[ClassRow]] = {}
    for row in classes:
        if row.group:
            members.setdefault(row.group, []).append(row)
    rows = [
        GroupRow(name, len(group), _together([row.top1 for row in group]), _together([row.top5 for row in group]))
        for name, group in members.items()
    ]
    return sorted(rows, key=lambda row: (row.top1.percent, row.name))


def _together(parts: Sequence[Proportion]) -> Proportion:
    return Proportion(sum(part.hits for part in parts), sum(part.images for part in parts))


def _at(texts: Sequence[str], index: int) -> str:
    return texts[index] if index < len(texts) else ""


def _accuracies(row: Summary | ClassRow | GroupRow) -> dict[str, Any]:
    return {"top1": row.top1.to_dict(), "top5": row.top5.to_dict()}


def _number(value: float) -> float | None:
    """Return a number for JSON, None if it is not finite."""
    return value if math.isfinite(value) else None
