"""Data set for the evaluation: each image once, with its name, its correct classes and its location.

Opening a data set lists the images without reading them. Missing, duplicate or unlabelled images are errors before
anything is computed; everything else that a user should know is a finding.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, listing
from effconvert.option_words import flag, option
from effconvert.paths import require_path
from effconvert.validate.data import imagenet
from effconvert.validate.data.class_order import Order, order_classes
from effconvert.validate.data.classes import IMAGENET, ClassList
from effconvert.validate.data.completeness import described, is_imagenet_validation, missing_problems
from effconvert.validate.data.containers.contents import Contents, counted
from effconvert.validate.data.identity import fingerprint, identity_names, listing_hashes
from effconvert.validate.data.image_hashes import Hashes, ImageHashes
from effconvert.validate.data.label_files import label, read_real
from effconvert.validate.data.locations import Location
from effconvert.validate.data.opening import open_contents
from effconvert.validate.data.text_lines import is_json
from effconvert.validate.predictions import NO_LABEL, OWN_LABELS

__all__ = ["Dataset", "Location", "open_dataset"]

Numbers = Sequence[int | None]


@dataclass(frozen=True)
class Dataset:
    """N images and their correct classes, in the container's order.

    kind: the container, for people. names [N]: unique; ImageNet's own where the container has them. labels [N, L]:
    correct classes, ended by NO_LABEL. findings: sentences for the user. imagenet_validation: these are ImageNet's own
    validation images, in its class order. missing: how many of them are not there. label_source: "own", or the name of
    the file of labels. identity_names [N]: names that are the same in any container. listing: the part of the identity
    that is known before an image is read, from `listing_hashes`. hashes: of the images' bytes.
    """

    path: str
    kind: str
    names: tuple[str, ...] = field(repr=False)
    labels: NDArray[np.int32] = field(repr=False)
    locations: tuple[Location, ...] = field(repr=False)
    classes: ClassList = field(repr=False)
    findings: tuple[str, ...]
    imagenet_validation: bool
    missing: int
    label_source: str
    identity_names: tuple[str, ...] = field(repr=False)
    listing: Mapping[str, str] = field(repr=False)
    hashes: ImageHashes = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def fingerprint(self) -> str:
        """The data set's identity, the same in any container: a hash of the classes and of every image's name,
        labels and bytes. It reads all images.
        """
        ids = np.arange(len(self), dtype=np.int64)
        return self.fingerprint_of(ids, self.hashes.of(ids))

    def fingerprint_of(self, ids: NDArray[np.int64], hashes: Hashes) -> str:
        """Return the fingerprint of only the images `ids` [N]; `hashes` [N, 16] are those of their bytes."""
        return fingerprint([self.identity_names[number] for number in ids], self.labels[ids], self.classes, hashes)


def open_dataset(
    path: str | Path,
    classes: ClassList | None = None,
    labels: str | Path | None = None,
    partial: bool = False,
    only_present: bool = False,
) -> Dataset:
    """Return the data set at `path`: a folder, a file, or a pattern of shards, recognised by its content.

    classes: the class list, if it is not ImageNet's. labels: a file of labels, instead of those in the container.
    partial: missing images of ImageNet's validation set are a finding and not an error. only_present: classes without
    images cannot be predicted, which the findings say.

    Raises MissingPath; DatasetProblem with all problems; Unavailable when a package is missing.
    """
    labels = require_path(labels) if labels is not None else None
    real = read_real(labels) if labels and is_json(labels, "labels") else None
    contents = open_contents(path)
    if not contents.images:
        _refuse(path, contents.problems or [_no_image(contents)])
    contents, findings = label(contents, None if real else labels, partial)
    numbers = [imagenet.image_number(image.name) for image in contents.images]
    order = order_classes(contents, classes)
    names = _names(contents, order)
    _refuse(path, [*contents.problems, *_doubled(contents, names), *order.problems])
    own, doubts = is_imagenet_validation(order, numbers)
    if doubts and labels is None and len(numbers) == imagenet.IMAGES and None not in numbers:
        insist = f"if other labels are intended, give them with {option('labels', 'FILE')}"
        raise DatasetProblem(listing(f"{path}: ImageNet's validation images without its labels; {insist}:", doubts))
    missing = imagenet.IMAGES - len(names) if own else 0
    if missing and not partial:
        remedy = f"use {flag('partial')} to evaluate the others"
        heading = f"{path}: {missing:,} of ImageNet's {imagenet.IMAGES:,} validation images are missing; {remedy}:"
        raise DatasetProblem(listing(heading, missing_problems(order, numbers)))
    findings = [
        *described(order, own, missing, only_present),
        *doubts,
        *order.findings,
        *findings,
        *contents.findings(),
    ]
    kept, right = np.arange(len(names)), order.labels[:, None]
    same = identity_names([image.name for image in contents.images], numbers, order.labels, order.classes)
    if real:
        kept, right = _real_labels(path, real, numbers, order)
        findings.append(_said_of_real(right, len(names)))
    names, same = ([each[place] for place in kept] for each in (names, same))
    locations = tuple(contents.images[place].location for place in kept)
    return Dataset(
        path=str(path),
        kind=contents.kind,
        names=tuple(names),
        labels=right,
        locations=locations,
        classes=order.classes,
        findings=tuple(findings),
        imagenet_validation=own,
        missing=missing,
        label_source=labels.name if labels else OWN_LABELS,
        identity_names=tuple(same),
        listing=listing_hashes(same, right, order.classes),
        hashes=ImageHashes(locations),
    )


def _refuse(path: str | Path, problems: Sequence[str]) -> None:
    if problems:
        raise DatasetProblem(f"{path}: {problems[0]}" if len(problems) == 1 else listing(f"{path}:", problems))


def _no_image(contents: Contents) -> str:
    return "; ".join((f"{contents.kind} without images", *contents.findings()))


def _names(contents: Contents, order: Order) -> list[str]:
    """Return ImageNet's own names where known, else file names, without folders where those are unique.

    A table has no folders: equal names in several classes get their class as a prefix.
    """
    whole = [image.name for image in contents.images]
    short = [name.rpartition("/")[2] for name in whole]
    if len(set(short)) < len(set(whole)):
        short = whole
    elif len(set(whole)) < len(whole):
        identifiers = order.classes.identifiers
        short = [
            f"{identifiers[label]}/{name}" if label >= 0 else name
            for name, label in zip(whole, order.labels.tolist(), strict=True)
        ]
    numbers = map(imagenet.image_number, whole)
    return [imagenet.image_name(number) if number else name for number, name in zip(numbers, short, strict=True)]


def _doubled(contents: Contents, names: list[str]) -> list[str]:
    counts = Counter(names)
    places: dict[str, list[str]] = {}
    for image, name in zip(contents.images, names, strict=True):
        if counts[name] > 1:
            places.setdefault(name, []).append(f"{image.name} in {image.location.path}")
    return [f"{name} occurs {counts[name]} times: {', '.join(found[:3])}" for name, found in places.items()]


def _real_labels(
    path: str | Path, real: list[list[int]], numbers: Numbers, order: Order
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the images with a label in ImageNet-ReaL [M], and these labels [M, L]."""
    if None in numbers or order.classes.name != IMAGENET:
        words = "ImageNet-ReaL's labels need the names of ImageNet's validation images (ILSVRC2012_val_00000001)"
        raise DatasetProblem(f"{path}: {words}; found {counted(numbers.count(None), 'image')} with other names")
    rows = [real[number - 1] for number in numbers if number]
    kept = np.array([place for place, row in enumerate(rows) if row], np.int64)
    if not len(kept):
        raise DatasetProblem(f"{path}: none of its images has a label in ImageNet-ReaL")
    right = np.full((len(kept), max(map(len, rows))), NO_LABEL, np.int32)
    for row, place in zip(right, kept, strict=True):
        row[: len(rows[place])] = rows[place]
    return kept, right


def _said_of_real(right: NDArray[np.int32], images: int) -> str:
    left = f"left out: {counted(images - len(right), 'image')} without a label"
    return f"labels of ImageNet-ReaL, up to {right.shape[1]} for each image; {left}"
