"""Finds the same images in two runs by their names, and says whether they are the same pictures of the same classes.

Names may come from a folder, an archive or a table. Only runs of the same pictures and classes are set side by side.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from effconvert.errors import NumericMismatch, listing, some
from effconvert.validate.data.containers.contents import common_folders
from effconvert.validate.data.image_hashes import Hashes
from effconvert.validate.predictions import Predictions


@dataclass(frozen=True)
class Matched:
    """Images that are in both: their names, in the first run's order, and their places in each run."""

    names: tuple[str, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]


def match(first: Sequence[str], second: Sequence[str]) -> Matched:
    """Return the images that two runs have in common.

    A name's last part without its suffix tells images apart, so `n01440764/x.JPEG` in one run is `x` in the other;
    where that is not enough in one of the runs, as in `cat/1.png` and `dog/1.png`, the whole name without its suffix
    does, below the folders that all images lie in where the whole names have nothing in common.

    Raises NumericMismatch with the names that still stand for several images.
    """
    keys = [stems(names) for names in (first, second)]
    if any(len(set(side)) < len(side) for side in keys):
        keys = [paths(names) for names in (first, second)]
    twice = sorted({key for side in keys for key, count in Counter(side).items() if count > 1})
    if twice:
        raise NumericMismatch(listing("these names stand for several images each, so none can be matched:", twice))
    if not set(keys[0]) & set(keys[1]):  # one may lie in folders that the other has not: val/cat/1 and cat/1
        keys = [_below_common_folders(side) for side in keys]
    places = [{key: place for place, key in enumerate(side)} for side in keys]
    common = [key for key in keys[0] if key in places[1]]
    one, other = (tuple(found[key] for key in common) for found in places)
    return Matched(tuple(first[place] for place in one), one, other)


def stems(names: Sequence[str]) -> list[str]:
    """Return the last part of each name, without its suffix."""
    return [_without_suffix(name.rpartition("/")[2]) for name in names]


def paths(names: Sequence[str]) -> list[str]:
    """Return each whole name, without its suffix."""
    parts = (name.rpartition("/") for name in names)
    return [folder + slash + _without_suffix(last) for folder, slash, last in parts]


def _below_common_folders(keys: Sequence[str]) -> list[str]:
    """Return each path below the folders that all of them lie in."""
    common = len(common_folders([key.split("/")[:-1] for key in keys]))
    return ["/".join(key.split("/")[common:]) for key in keys]


def _without_suffix(last: str) -> str:
    """Return the last part of a path without its suffix; `.hidden` and `x.` have none."""
    stem, dot, suffix = last.rpartition(".")
    return stem if dot and stem and suffix else last


_SOME = 3


def class_difference(one: Predictions, other: Predictions) -> str:
    """Return how the classes of two runs, or their order, differ, "" where they do not; whoever called them what."""
    said = [run.record["dataset"] for run in (one, other)]
    key = "class_identifiers" if all("class_identifiers" in each for each in said) else "class_names"
    lists = [each.get(key) for each in said]
    if lists[0] == lists[1]:
        return ""
    called = " and of ".join(str(each.get("classes")) for each in said)
    return f"the classes are those of {called}, which are not the same{_detail(*lists)}"


def picture_difference(names: Sequence[str], one: Hashes | None, other: Hashes | None) -> str:
    """Return which of the images that two runs call the same are other pictures, "" where none is known to be.

    names: [N], what both call them. one, other [N, 16]: of their bytes; None in a run that is older than these.
    """
    if one is None or other is None:
        return ""
    others = np.flatnonzero((one != other).any(1)).tolist()
    if not others:
        return ""
    shown = some([str(names[place]) for place in others[: _SOME + 1]], _SOME)
    return f"{len(others):,} of {len(names):,} images of the same names are other pictures ({shown})"


def _detail(one: Any, other: Any) -> str:
    if not (isinstance(one, list) and isinstance(other, list)):
        return ""
    if len(one) != len(other):
        return f" ({len(one):,} and {len(other):,})"
    place = next(place for place, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])
    order = "their order is another: " if sorted(map(str, one)) == sorted(map(str, other)) else ""
    return f" ({order}class {place} is {one[place]!r} and {other[place]!r})"
