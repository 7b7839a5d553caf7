"""How runs agree, image by image: matrices over all of them, of images that are matched by name."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.validate.accuracy.matching import paths, stems
from effconvert.validate.accuracy.statistics import mcnemar
from effconvert.validate.predictions import NO_LABEL, Predictions

MOST_COMPARED = 100  # as many pairs as a reader, and a second, are enough for

_MATRICES = ("images", "same", "only_first", "only_second", "p")
_Places = NDArray[np.intp] | slice
_NOTHING = (0, 0, 0, 0, None)
_p = cache(mcnemar)


def agreement(runs: Sequence[tuple[str, Predictions]]) -> dict[str, Any] | None:
    """Return the matrices of `runs`, (id, predictions) each; None where no two of them have an image in common.

    Images are judged by the labels of the row's run. Runs of other classes have no image in common, and neither have
    runs whose names do not tell images apart.
    """
    compared = runs[:MOST_COMPARED]
    found = _Images([predictions for _, predictions in compared])
    cells = [[_cell(found, row, column) for column in range(len(compared))] for row in range(len(compared))]
    if not any(cell[0] for row, line in enumerate(cells) for column, cell in enumerate(line) if row != column):
        return None
    matrices = {name: [[cell[place] for cell in line] for line in cells] for place, name in enumerate(_MATRICES)}
    return {"ids": [name for name, _ in compared], "left_out": len(runs) - len(compared), **matrices}


class _Images:
    """Where runs have the same images. Those whose names are equal, as most are, need no search."""

    def __init__(self, runs: Sequence[Predictions]) -> None:
        self.runs = runs
        alike: dict[tuple[str, bytes], int] = {}
        self._kinds = [alike.setdefault((run.names.dtype.str, run.names.tobytes()), len(alike)) for run in runs]
        self._names = {kind: run.names for kind, run in zip(self._kinds, runs, strict=True)}
        self._classes = [_classes(run) for run in runs]
        self._numbers: dict[str, int] = {}
        self._common = cache(self._matched)
        self._keys = cache(self._keys_of)

    def places(self, first: int, second: int) -> tuple[_Places, _Places]:
        """Return the places of the images that two runs have in common, in each of them."""
        if self._classes[first] != self._classes[second]:
            return slice(0), slice(0)
        one, other = self._kinds[first], self._kinds[second]
        if first == second or (one == other and self._are_apart(one)):
            return slice(None), slice(None)
        if one == other:
            return slice(0), slice(0)
        return self._common(one, other) if one < other else self._common(other, one)[::-1]

    def _are_apart(self, kind: int) -> bool:
        """Return whether the names tell the images apart."""
        return any(self._keys(kind, read) is not None for read in (stems, paths))

    def _matched(self, first: int, second: int) -> tuple[_Places, _Places]:
        """Return the same of two kinds of names, as `match` of two runs finds them."""
        for read in (stems, paths):
            one, other = self._keys(first, read), self._keys(second, read)
            if one is not None and other is not None:
                _, here, there = np.intersect1d(one, other, assume_unique=True, return_indices=True)
                return here, there
        return slice(0), slice(0)

    def _keys_of(self, kind: int, read: Callable[[Sequence[str]], list[str]]) -> NDArray[np.int64] | None:
        """Return a number for what tells each image apart, None where that does not."""
        keys = read(self._names[kind].tolist())
        if len(set(keys)) < len(keys):
            return None
        return np.array([self._numbers.setdefault(key, len(self._numbers)) for key in keys], np.int64)


def _cell(found: _Images, first: int, second: int) -> tuple[int, int, int, int, float | None]:
    """Return what each matrix has of a pair."""
    here, there = found.places(first, second)
    one, other = found.runs[first], found.runs[second]
    best, others, labels = one.top5[here, 0], other.top5[there, 0], one.labels[here]
    if not len(best):
        return _NOTHING
    right, others_right = ((answers[:, None] == labels).any(1) for answers in (best, others))
    only_first, only_second = int((right & ~others_right).sum()), int((others_right & ~right).sum())
    labelled = bool((labels != NO_LABEL).any())
    p = _p(*sorted((only_first, only_second))) if labelled else None
    return len(best), int((best == others).sum()), only_first, only_second, p


def _classes(run: Predictions) -> Any:
    dataset = run.record["dataset"]
    return dataset.get("classes"), dataset.get("class_names")
