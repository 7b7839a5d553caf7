"""Explanation of a difference between a converted file and its source: the known causes, tried one by one."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Variant
from effconvert.verification.causes import CAUSES
from effconvert.verification.comparison import TOLERANCES, Tolerance
from effconvert.verification.mismatch import Mismatch, Tensors
from effconvert.verification.trials import Trial


def explain(
    reference: Tensors,
    images: NDArray[np.float32],
    tensors: Tensors,
    variant: Variant,
    facts: Facts,
    *,
    sets: Mapping[str, Tensors] = MappingProxyType({}),
    tolerance: Tolerance = TOLERANCES["float32"],
    progress: Callable[[str], None] = lambda step: None,
) -> tuple[Trial, ...]:
    """Return a trial for each known cause, the most successful first; () without a difference.

    reference: the output of each layer of the source's network for `images` [N, C, H, W]. tensors: of the converted
    file, by canonical name; variant, facts: of its network. sets: {"raw" or "averages": the source's canonical
    tensors}. progress: called with a sentence as each step begins. Several trials may succeed if their changes are
    equivalent.
    """
    mismatch = Mismatch(reference, images, tensors, variant, facts, sets, tolerance)
    if mismatch.passes(mismatch.layers):
        return ()
    trials = []
    for cause, (words, _) in CAUSES.items():
        progress(f"trying a known cause: {words}")
        trials.append(_best_trial(mismatch, cause))
    return tuple(sorted(trials, key=_rank))


def _best_trial(mismatch: Mismatch, cause: str) -> Trial:
    """Return the most successful trial among the changes for `cause`."""
    words, changes = CAUSES[cause]
    before = mismatch.largest(mismatch.layers)
    trials = []
    for change in changes(mismatch):
        left, vanishes, effect = mismatch.tried(change)
        if effect:
            trials.append(Trial(cause, words, before, left, vanishes, True, change.where, change.words, change.options))
    return min(trials, key=_rank, default=Trial(cause, words, before, before, False, False, "", ""))


def _rank(trial: Trial) -> tuple[bool, float]:
    """Return the sort key of a trial; the most successful one comes first."""
    return not trial.vanishes, trial.difference
