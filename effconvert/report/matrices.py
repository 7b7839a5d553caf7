"""Agreement of runs, image by image: matrices over all runs, with images matched by name."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from effconvert.report.contents.report import Agreement, Refused
from effconvert.validate.accuracy.matching import class_difference, paths, picture_difference, stems
from effconvert.validate.accuracy.statistics import mcnemar
from effconvert.validate.predictions import NO_LABEL, Predictions

MOST_COMPARED = 100  # runs: more pairs are too many for a reader, and take longer than a second

_Places = NDArray[np.intp] | slice
_NOTHING = (0, 0, 0, 0, None)
_p = cache(mcnemar)


def compare_answers(runs: Sequence[tuple[str, Predictions]]) -> Agreement | None:
    """Return the matrices of `runs`, (id, predictions) each; None if no two runs have an image of the same name.

    Labels are those of the row's run. Pairs of runs with different classes, or with different pictures under the same
    names, are `refused` with the reason. `by_name` lists runs without hashes of their images. Runs with ambiguous names
    have no image in common.
    """
    compared = runs[:MOST_COMPARED]
    found = _Images([predictions for _, predictions in compared])
    cells = [[_cell(found, row, column) for column in range(len(compared))] for row in range(len(compared))]
    pairs = list(combinations(range(len(compared)), 2))
    refused = [(one, other, words) for one, other in pairs if (words := found.difference(one, other))]
    related = {place for pair in pairs if cells[pair[0]][pair[1]][0] for place in pair}
    if not related and not refused:
        return None
    ids = tuple(name for name, _ in compared)
    return Agreement(
        ids=ids,
        left_out=len(runs) - len(compared),
        images=tuple(tuple(cell[0] for cell in line) for line in cells),
        same=tuple(tuple(cell[1] for cell in line) for line in cells),
        only_first=tuple(tuple(cell[2] for cell in line) for line in cells),
        only_second=tuple(tuple(cell[3] for cell in line) for line in cells),
        p=tuple(tuple(cell[4] for cell in line) for line in cells),
        refused=tuple(Refused(ids[one], ids[other], words) for one, other, words in refused),
        by_name=tuple(ids[place] for place in sorted(related) if compared[place][1].hashes is None),
        uncompared=(),
    )


class _Images:
    """The images that runs have in common; runs with equal lists of names need no search."""

    def __init__(self, runs: Sequence[Predictions]) -> None:
        self.runs = runs
        alike: dict[tuple[str, bytes], int] = {}
        self._kinds = [alike.setdefault((run.names.dtype.str, run.names.tobytes()), len(alike)) for run in runs]
        self._names = {kind: run.names for kind, run in zip(self._kinds, runs, strict=True)}
        pictures: dict[bytes | None, int] = {}
        held = (None if run.hashes is None else run.hashes.tobytes() for run in runs)
        self._pictures = [pictures.setdefault(each, len(pictures)) for each in held]
        self._numbers: dict[str, int] = {}
        self._common = cache(self._matched)
        self._keys = cache(self._keys_of)
        self.difference = cache(self._difference)

    def places(self, first: int, second: int) -> tuple[_Places, _Places]:
        """Return the positions, in each of two runs, of the images that they have in common."""
        if first != second and self.difference(*sorted((first, second))):
            return slice(0), slice(0)
        return self._named_alike(first, second)

    def _difference(self, first: int, second: int) -> str:
        """Return why images of the same names cannot be compared, "" if they can or if there are none."""
        here, there = self._named_alike(first, second)
        one, other = self.runs[first], self.runs[second]
        if not len(one.names[here]):
            return ""
        if words := class_difference(one, other):
            return words
        if self._kinds[first] == self._kinds[second] and self._pictures[first] == self._pictures[second]:
            return ""
        hashes = (None if run.hashes is None else run.hashes[at] for run, at in ((one, here), (other, there)))
        return picture_difference(one.names[here].tolist(), *hashes)

    def _named_alike(self, first: int, second: int) -> tuple[_Places, _Places]:
        """Return the positions, in each of two runs, of the images with the same names."""
        one, other = self._kinds[first], self._kinds[second]
        if first == second or (one == other and self._are_apart(one)):
            return slice(None), slice(None)
        if one == other:
            return slice(0), slice(0)
        return self._common(one, other) if one < other else self._common(other, one)[::-1]

    def _are_apart(self, kind: int) -> bool:
        """Return whether the names are unambiguous."""
        return any(self._keys(kind, read) is not None for read in (stems, paths))

    def _matched(self, first: int, second: int) -> tuple[_Places, _Places]:
        """Return the positions for two lists of names, matched as `match` does for two runs."""
        for read in (stems, paths):
            one, other = self._keys(first, read), self._keys(second, read)
            if one is not None and other is not None:
                _, here, there = np.intersect1d(one, other, assume_unique=True, return_indices=True)
                return here, there
        return slice(0), slice(0)

    def _keys_of(self, kind: int, read: Callable[[Sequence[str]], list[str]]) -> NDArray[np.int64] | None:
        """Return a number for each image's key, None if the keys are ambiguous."""
        keys = read(self._names[kind].tolist())
        if len(set(keys)) < len(keys):
            return None
        return np.array([self._numbers.setdefault(key, len(self._numbers)) for key in keys], np.int64)


def _cell(found: _Images, first: int, second: int) -> tuple[int, int, int, int, float | None]:
    """Return the value of each matrix for a pair."""
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
