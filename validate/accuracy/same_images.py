"""Whether two runs showed their networks the same images of the same classes: only such runs are set side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from effconvert.validate.data.image_hashes import Hashes
from effconvert.validate.predictions import Predictions

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
    some = ", ".join(str(names[place]) for place in others[:_SOME]) + (", …" if len(others) > _SOME else "")
    return f"{len(others):,} of {len(names):,} images of the same names are other pictures ({some})"


def _detail(one: Any, other: Any) -> str:
    if not (isinstance(one, list) and isinstance(other, list)):
        return ""
    if len(one) != len(other):
        return f" ({len(one):,} and {len(other):,})"
    place = next(place for place, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])
    order = "their order is another: " if sorted(map(str, one)) == sorted(map(str, other)) else ""
    return f" ({order}class {place} is {one[place]!r} and {other[place]!r})"
