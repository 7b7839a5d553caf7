"""Completeness of a data set: the number of images of each class, and the images missing from ImageNet's."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import some
from effconvert.option_words import flag
from effconvert.validate.data import imagenet
from effconvert.validate.data.class_order import Order
from effconvert.validate.data.classes import IMAGENET
from effconvert.validate.data.containers.contents import counted

_SOME = 10
_FEW = 3


def is_imagenet_validation(order: Order, numbers: Sequence[int | None]) -> tuple[bool, list[str]]:
    """Return whether these are ImageNet's validation images with ImageNet's labels, and findings against it.

    numbers [N]: the number of each image by its name. Without such names, there must be 50 images of each class.
    """
    if order.classes.name != IMAGENET:
        return False, []
    known = [(place, number) for place, number in enumerate(numbers) if number]
    if not known:
        counts = np.bincount(order.labels, minlength=len(order.classes))
        return bool((counts == imagenet.PER_CLASS).all()), []
    places, found = (np.array(column) for column in zip(*known, strict=True))
    own = imagenet.validation_labels()[found - 1]
    wrong = np.flatnonzero(order.labels[places] != own)
    if not len(wrong):
        others = len(numbers) - len(known)
        return not others, [f"{counted(others, 'image')} with other names than ImageNet's"] if others else []
    first = wrong[0]
    described = order.classes.described
    example = (
        f"{imagenet.image_name(found[first])} is {described(own[first])}, here {described(order.labels[places][first])}"
    )
    count = f"{len(wrong):,} of {len(known):,} images have another label than ImageNet gave them: {example}"
    return False, [f"{count}{_cause(order.labels[places], own)}"]


def _cause(labels: NDArray[np.int32], own: NDArray[np.int32]) -> str:
    ids = np.zeros(1001, np.int32)
    for number, index in imagenet.classes_of_ids().items():
        ids[number] = index
    if (ids[labels] == own).mean() > 0.9:
        return "; the labels are ids of the development kit, which has another class order; give synsets instead"
    if (labels - 1 == own).mean() > 0.9:
        return "; the labels count from 1; give synsets, or class indices from 0"
    return "; the classes are probably in another order" if (labels == own).mean() < 0.1 else ""


def missing_problems(order: Order, numbers: Sequence[int | None]) -> list[str]:
    """Return the classes of ImageNet's validation set with too few images, and the first missing images."""
    counts = np.bincount(order.labels, minlength=len(order.classes))
    few = np.flatnonzero(counts < imagenet.PER_CLASS)
    said = some([f"{order.classes.described(index)} has {counts[index]}" for index in few.tolist()], _SOME)
    problems = [f"{len(few):,} classes with fewer than {imagenet.PER_CLASS}: {said}"]
    there = {number for number in numbers if number}
    absent = [number for number in range(1, imagenet.IMAGES + 1) if number not in there]
    if there:
        problems.append(f"missing are {some(list(map(imagenet.image_name, absent[: _SOME + 1])), _SOME)}")
    return problems


def described(order: Order, own: bool, missing: int, only_present: bool = False) -> Iterator[str]:
    """Yield the numbers of images and classes, and the classes without images; only_present: these are left out."""
    counts = np.bincount(order.labels, minlength=len(order.classes))
    present = counts[counts > 0]
    each = (
        f"{present.min()} of each" if present.min() == present.max() else f"{present.min()} to {present.max()} of each"
    )
    what = f"{counted(len(order.labels), 'image')} of {len(present):,} class{'es' * (len(present) != 1)}, {each}"
    if own and not missing:
        what += ": ImageNet's validation set, complete"
    elif own:
        what += f": a part of ImageNet's validation set, {missing:,} images are missing"
    yield what
    empty = np.flatnonzero(counts == 0)
    if len(empty) and not (own and missing):
        words = some([order.classes.described(index) for index in empty.tolist()], _FEW)
        leaving = "they are left out" if only_present else f"{flag('only_present')} leaves them out"
        yield f"{len(empty):,} of {len(counts):,} classes have no image: {words} ({leaving})"
