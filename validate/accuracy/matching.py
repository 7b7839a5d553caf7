"""Matching of images between two runs by name, with checks that pictures and classes are the same.

Names may come from a folder, an archive or a table. Only runs with the same pictures and classes are compared.
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
    """Images that are in both runs: names in the first run's order, and positions in each run."""

    names: tuple[str, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]


def match(first: Sequence[str], second: Sequence[str]) -> Matched:
    """Return the images that two runs have in common.

    Images are matched by the last part of their name, without its suffix: `n01440764/x.JPEG` in one run is `x` in the
    other. If that is not unique in one of the runs (`cat/1.png` and `dog/1.png`), the whole name without its suffix is
    used. If no whole name is in both, the folders that all images of a run share are left out.

    Raises NumericMismatch with the names that still belong to several images.
    """
    keys = [stems(names) for names in (first, second)]
    if any(len(set(side)) < len(side) for side in keys):
        keys = [paths(names) for names in (first, second)]
    twice = sorted({key for side in keys for key, count in Counter(side).items() if count > 1})
    if twice:
        raise NumericMismatch(listing("each of these names belongs to several images, so none can be matched:", twice))
    if not set(keys[0]) & set(keys[1]):  # one may have folders that the other lacks: val/cat/1 and cat/1
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
    """Return each path without the folders that all paths begin with."""
    common = len(common_folders([key.split("/")[:-1] for key in keys]))
    return ["/".join(key.split("/")[common:]) for key in keys]


def _without_suffix(last: str) -> str:
    """Return the last part of a path without its suffix; `.hidden` and `x.` have none."""
    stem, dot, suffix = last.rpartition(".")
    return stem if dot and stem and suffix else last


_SOME = 3


def class_difference(one: Predictions, other: Predictions) -> str:
    """Return how the classes of two runs differ, also in their order; "" where they do not."""
    said = [run.record["dataset"] for run in (one, other)]
    key = "class_identifiers" if all("class_identifiers" in each for each in said) else "class_names"
    lists = [each.get(key) for each in said]
    if lists[0] == lists[1]:
        return ""
    called = " and of ".join(str(each.get("classes")) for each in said)
    return f"the runs have different classes, those of {called}{_detail(*lists)}"


def picture_difference(names: Sequence[str], one: Hashes | None, other: Hashes | None) -> str:
    """Return which images have the same name but other bytes in the two runs, "" where none is known.

    names [N]: in both runs. one, other [N, 16]: hashes of the images' bytes; None in an old run without hashes.
    """
    if one is None or other is None:
        return ""
    others = np.flatnonzero((one != other).any(1)).tolist()
    if not others:
        return ""
    shown = some([str(names[place]) for place in others[: _SOME + 1]], _SOME)
    return f"{len(others):,} of {len(names):,} images have the same name but are different pictures ({shown})"


def _detail(one: Any, other: Any) -> str:
    if not (isinstance(one, list) and isinstance(other, list)):
        return ""
    if len(one) != len(other):
        return f" ({len(one):,} and {len(other):,})"
    place = next(place for place, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])
    order = "in another order: " if sorted(map(str, one)) == sorted(map(str, other)) else ""
    return f" ({order}class {place} is {one[place]!r} and {other[place]!r})"
