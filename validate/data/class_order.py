"""Which place in the class list each label means. The order comes from synsets or a list, never from folder numbers.

Folders sorted as text put `10` before `2`, and networks trained elsewhere know another order; so numbers are taken as
places only where they begin with 0 and end below 1,000, as the folders of ImageNet-V2.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import some
from effconvert.validate.data.classes import ClassList, imagenet_classes, imagenet_rows
from effconvert.validate.data.containers.contents import Contents, counted, is_number
from effconvert.validate.data.imagenet import SYNSET

_UNLABELLED = -1
_LIST = "say which class each is with --classes, a file with a line `identifier,name` for each class in order"


@dataclass(frozen=True)
class Order:
    """labels [N]: the class of each image. classes: what they are places in. All that is to be said, and is wrong."""

    labels: NDArray[np.int32]
    classes: ClassList
    findings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def order_classes(contents: Contents, classes: ClassList | None) -> Order:
    """Return the class of each image in `contents`, by `classes` or, without them, by what the labels are."""
    labels = [image.label for image in contents.images]
    counts = Counter(label for label in labels if label is not None)
    findings, problems = [], []
    unlabelled = [image.name for image in contents.images if image.label is None]
    if unlabelled:
        some = ", ".join(unlabelled[:3])
        problems.append(f"{counted(len(unlabelled), 'image')} without a label: {some}; give their labels with --labels")
    # Without a list, folders that are all numbers are ImageNet-V2's or a problem.
    numbered = classes is None and all(map(is_number, contents.folders))
    wrong: list[str] = []
    if classes is None:
        classes, said, wrong = _class_list(contents, counts)
        findings += said
        problems += wrong
    places = _places(contents.class_names, classes, counts, numbered)
    if not wrong:
        unknown = [label for label in counts if label not in places]
        problems += [_unknown(label, counts[label], classes, bool(contents.folders)) for label in unknown]
    found = [places.get(label, _UNLABELLED) if label is not None else _UNLABELLED for label in labels]
    return Order(np.array(found, np.int32), classes, findings, problems)


def _class_list(contents: Contents, counts: Counter[str | int]) -> tuple[ClassList, list[str], list[str]]:
    """Return the class list that labels are from, what is to be said of it, and what is wrong."""
    imagenet = imagenet_classes()
    words = sorted({label for label in counts if isinstance(label, str)} | set(contents.folders))
    if contents.class_names and not words:
        same_count = len(contents.class_names) == len(imagenet)
        if same_count and all(map(_is_imagenet_name, contents.class_names, imagenet_rows())):
            return imagenet, [], []
        return _own("the data set's own names", contents.class_names)
    if not words:
        return imagenet, _numbers(counts), []
    if all(map(is_number, words)):
        return imagenet, *_numeric_folders(words)
    # A few folders with names of ImageNet's (lemon, orange, …) are rather somebody's own classes.
    named = set(words) == set(imagenet.names) if contents.folders else set(words) <= imagenet.places().keys()
    if named or set(words) & set(imagenet.identifiers):
        return imagenet, [], []
    return _own("the data set's own, sorted", tuple(words))


def _own(name: str, words: tuple[str, ...]) -> tuple[ClassList, list[str], list[str]]:
    said = f"{len(words):,} classes of its own, not ImageNet's, in this order: {some(words, 3)}"
    remedy = "where the network has another order, give it with --classes"
    return ClassList(name, words, words), [f"{said}; {remedy}"], []


def _is_imagenet_name(name: str, row: Mapping[str, str]) -> bool:
    """Return whether `name` is what somebody calls the class in `row`: the hub's names are lists of lemmas."""
    words = {word.strip() for word in name.split(",")}
    return bool(words & {row["synset"], row["name"], *(lemma.strip() for lemma in row["lemmas"].split(","))})


def _numbers(counts: Counter[str | int]) -> list[str]:
    if not counts:
        return []
    return ["labels are numbers, taken as places in ImageNet's classes in the order of their synsets, from 0"]


def _numeric_folders(words: list[str]) -> tuple[list[str], list[str]]:
    numbers = sorted(map(int, words))
    if numbers[0] == 0 and numbers[-1] < len(imagenet_classes()):
        return ["the folders' numbers are taken as places in ImageNet's classes, from 0, as ImageNet-V2 has them"], []
    what = f"the class folders are numbers, {numbers[0]} to {numbers[-1]}, {len(numbers):,} of them"
    if numbers[0] == 1 and numbers[-1] == 1000:
        what += "; from 1 to 1,000 they can be ILSVRC's ids or places from 1, which are different classes"
    return [], [f"{what}; only those that begin with 0 say which class is which; {_LIST}"]


def _places(
    class_names: tuple[str, ...], classes: ClassList, labels: Iterable[str | int], numbered: bool
) -> dict[str | int, int]:
    """Return {label: place in the class list} of the labels that have one.

    class_names: what the container calls the labels that are numbers. numbered: folders are places.
    """
    by_word = classes.places()
    named = bool(class_names) and all(name in by_word for name in class_names)
    indexed = named or not class_names or len(class_names) == len(classes)
    found: dict[str | int, int] = {}
    for label in labels:
        if isinstance(label, str):
            place = int(label) if numbered and is_number(label) else by_word.get(label)
        elif named:
            place = by_word[class_names[label]] if label < len(class_names) else None
        else:
            place = by_word.get(str(label), label if indexed else None)
        if place is not None and 0 <= place < len(classes):
            found[label] = place
    return found


def _unknown(label: str | int, count: int, classes: ClassList, is_folder: bool) -> str:
    what = "class folder" if is_folder else "label"
    images = counted(count, "image")
    if isinstance(label, int):
        remedy = "labels count from 0" if label == len(classes) else _LIST
        return f"{what} {label} ({images}) is no place in the {len(classes):,} classes of {classes.name}; {remedy}"
    similar = " (a synset, but none of ImageNet's 1,000)" if SYNSET.fullmatch(label) else ""
    return f"{what} {label!r}{similar} ({images}) is not in the class list {classes.name}; {_LIST}"
