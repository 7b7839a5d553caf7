"""A draft set against what the tensors really are."""

from dataclasses import dataclass

import numpy as np

from effconvert.drafting.draft import Draft

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Judgement:
    """right, wrong: the canonical tensors that were decided. lost: open ones whose true tensor is not a candidate."""

    right: list[str]
    wrong: list[str]
    lost: list[str]


def judge(draft: Draft, file: Tensors, truth: Tensors) -> Judgement:
    """Compare what was decided with the canonical tensors, by values, each of which must be there once."""
    right: list[str] = []
    wrong: list[str] = []
    for target, move in draft.moves.items():
        found = file[move.source]
        same = found.shape == move.source_shape and np.array_equal(move.apply(found), truth[target])
        (right if same else wrong).append(target)
    lost = [
        target
        for target, names in draft.open.items()
        if not any(_fingerprint(file[name]) == _fingerprint(truth[target]) for name in names)
    ]
    assert draft.moves.keys() | draft.open.keys() == truth.keys()
    return Judgement(right, wrong, lost)


def _fingerprint(tensor: np.ndarray) -> bytes:
    """The values whatever the axes."""
    return np.sort(tensor, axis=None).tobytes()
