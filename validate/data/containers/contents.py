"""Contents of a container: images with labels as they are stored, not yet interpreted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from effconvert.errors import some
from effconvert.preprocessing.image_files import SUFFIXES
from effconvert.validate.data.locations import Location

_MOST_DIGITS = 18
_SORTS = 5
_OTHER = "files of another kind, "


class Image(NamedTuple):
    """One image: its name in the container, with folders; its label; its location.

    label: an identifier or a name of a class, a class index from 0, or None.
    """

    name: str
    label: str | int | None
    location: Location


@dataclass
class Contents:
    """The images of a container, in its order, and other findings.

    kind: of container, for people. folders: the class folders, also those without an image. class_names: the names of
    numeric labels, where the container has them. left_out: {sort of file: number of files that are not images}.
    label_files: files that may hold the labels. problems: errors.
    """

    kind: str
    images: list[Image] = field(default_factory=list)
    folders: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)
    label_files: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)

    def add(self, name: str, label: str | int | None, location: Location) -> None:
        """Add an image."""
        self.images.append(Image(name, label, location))

    def findings(self) -> Iterator[str]:
        """Yield one sentence on the files that were left out; of many sorts it has the most frequent ones."""
        sorts = [f"{sort} ({count:,})" for sort, count in sorted(self.left_out.items(), key=lambda item: -item[1])]
        if len(sorts) == 1:
            yield f"left out: {sorts[0]}"
        elif sorts:
            short = [words.removeprefix(_OTHER) for words in sorts]
            yield f"left out: {self.left_out.total():,} files: {some(short, _SORTS)}"


def sort_of(name: str) -> str:
    """Return "image", or the other sort of file that `name` (without folders) is."""
    if name.startswith("."):
        return "hidden files"
    if name.lower().endswith(SUFFIXES):
        return "image"
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    return f"{_OTHER}.{suffix}" if suffix else "files without a suffix"


def is_number(text: str) -> bool:
    """Return whether `text` is a number for int(): ASCII digits only, and not too many."""
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def counted(count: int, noun: str) -> str:
    """Return "1 image" or "2,000 images"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def stem(name: str) -> str:
    """Return `name` without folders and suffix."""
    base = name.rpartition("/")[2]
    return base.rpartition(".")[0] or base


def common_folders(folders: Sequence[list[str]]) -> list[str]:
    """Return the folders that all [N] paths begin with."""
    first, last = min(folders, default=[]), max(folders, default=[])
    return [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
