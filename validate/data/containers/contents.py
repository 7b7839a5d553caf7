"""What a container holds, before anybody asks what the labels mean."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from effconvert.preprocessing.image_files import SUFFIXES
from effconvert.validate.data.locations import Location

_MOST_DIGITS = 18


class Image(NamedTuple):
    """One image: its name in the container, with folders; what the container says of its class; where it lies.

    label: an identifier or a name of a class, a place in the class list, counted from 0, or None.
    """

    name: str
    label: str | int | None
    location: Location


@dataclass
class Contents:
    """The images of a container, in its order, and whatever else was found.

    kind: of container, for people. folders: the class folders, also those without an image. class_names: of the labels
    that are numbers, where the container says them. left_out: how many files of which sort are no images. label_files:
    that may hold the labels. problems: all that is wrong.
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
        """Yield a sentence for each sort of file that was left out."""
        for sort, count in sorted(self.left_out.items()):
            yield f"left out: {sort} ({count:,})"


def sort_of(name: str) -> str:
    """Return "image", or what sort of file `name`, without folders, is instead."""
    if name.startswith("."):
        return "hidden files"
    if name.lower().endswith(SUFFIXES):
        return "image"
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    return f"files of another kind, .{suffix}" if suffix else "files without a suffix"


def is_number(text: str) -> bool:
    """Return whether `text` is a number that int() takes: Unicode has more digits, and int() refuses thousands."""
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def counted(count: int, noun: str) -> str:
    """Return "1 image" or "2,000 images"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def stem(name: str) -> str:
    """Return `name` without folders and suffix."""
    base = name.rpartition("/")[2]
    return base.rpartition(".")[0] or base


def common_folders(folders: Sequence[list[str]]) -> list[str]:
    """Return the folders that all lie in, of [N] paths of folders."""
    first, last = min(folders, default=[]), max(folders, default=[])
    return [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
