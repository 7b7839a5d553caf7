"""Class index of each label. The order comes from synsets or from a class list, not from folder numbers.

Folders sorted as strings put `10` before `2`, and other trainings use other orders. So folder numbers are indices only
if they begin with 0 and end below 1,000, as in ImageNet-V2.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import some
from effconvert.option_words import option
from effconvert.validate.data.classes import ClassList, imagenet_classes, imagenet_rows
from effconvert.validate.data.containers.contents import Contents, counted, is_number
from effconvert.validate.data.imagenet import SYNSET

_UNLABELLED = -1


def _listing() -> str:
    """Return how to say which class each label is."""
    file = "a file with a line `identifier,name` for each class in order"
    return f"say which class each is with {option('classes')}, {file}"


@dataclass(frozen=True)
class Order:
    """labels [N]: the class index of each image, in `classes`. findings: sentences for the user. problems: errors."""

    labels: NDArray[np.int32]
    classes: ClassList
    findings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def order_classes(contents: Contents, classes: ClassList | None) -> Order:
    """Return the class of each image in `contents`, by `classes` or, without them, by the kind of the labels."""
    labels = [image.label for image in contents.images]
    counts = Counter(label for label in labels if label is not None)
    findings, problems = [], []
    unlabelled = [image.name for image in contents.images if image.label is None]
    if unlabelled:
        some = ", ".join(unlabelled[:3])
        problems.append(
            f"{counted(len(unlabelled), 'image')} without a label: {some}; give their labels with {option('labels')}"
        )
    # Without a list, numeric folders are those of ImageNet-V2, or a problem.
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
    """Return the class list of the labels, findings for the user, and problems."""
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
    # A few folders with ImageNet names (lemon, orange, …) are probably the user's own classes.
    named = set(words) == set(imagenet.names) if contents.folders else set(words) <= imagenet.places().keys()
    if named or set(words) & set(imagenet.identifiers):
        return imagenet, [], []
    return _own("the data set's own, sorted", tuple(words))


def _own(name: str, words: tuple[str, ...]) -> tuple[ClassList, list[str], list[str]]:
    said = f"{len(words):,} classes that are not ImageNet's, in this order: {some(words, 3)}"
    remedy = f"if the network has another order, give it with {option('classes')}"
    return ClassList(name, words, words), [f"{said}; {remedy}"], []


def _is_imagenet_name(name: str, row: Mapping[str, str]) -> bool:
    """Return whether `name` is one of the names of the class in `row`; Hugging Face's names are lists of lemmas."""
    words = {word.strip() for word in name.split(",")}
    return bool(words & {row["synset"], row["name"], *(lemma.strip() for lemma in row["lemmas"].split(","))})


def _numbers(counts: Counter[str | int]) -> list[str]:
    if not counts:
        return []
    return ["labels are numbers; they are read as ImageNet's class indices, from 0, in the order of the synsets"]


def _numeric_folders(words: list[str]) -> tuple[list[str], list[str]]:
    numbers = sorted(map(int, words))
    if numbers[0] == 0 and numbers[-1] < len(imagenet_classes()):
        return ["the folder numbers are read as ImageNet's class indices, from 0, as in ImageNet-V2"], []
    what = f"the class folders are numbers, {numbers[0]} to {numbers[-1]}, {len(numbers):,} of them"
    if numbers[0] == 1 and numbers[-1] == 1000:
        what += "; numbers from 1 to 1,000 may be ILSVRC ids or indices from 1, which are different classes"
    return [], [f"{what}; only numbers from 0 are unambiguous; {_listing()}"]


def _places(
    class_names: tuple[str, ...], classes: ClassList, labels: Iterable[str | int], numbered: bool
) -> dict[str | int, int]:
    """Return {label: class index} of the labels in the class list.

    class_names: the container's names for numeric labels. numbered: folder numbers are indices.
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
        remedy = "labels count from 0" if label == len(classes) else _listing()
        return f"{what} {label} ({images}) is not an index of the {len(classes):,} classes of {classes.name}; {remedy}"
    similar = " (a synset, but not one of ImageNet's 1,000)" if SYNSET.fullmatch(label) else ""
    return f"{what} {label!r}{similar} ({images}) is not in the class list {classes.name}; {_listing()}"
