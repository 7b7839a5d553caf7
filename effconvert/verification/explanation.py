"""Why a converted file differs from its source: the known causes, tried one by one."""

from collections.abc import Mapping
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
) -> tuple[Trial, ...]:
    """Return a trial for each known cause, the most successful first; none where there is no difference.

    reference: what each layer of the source's network gave of `images` [N, C, H, W]. tensors: of the converted file, by
    their canonical names; variant, facts: of its network. sets: {"raw" or "averages": the source's canonical tensors}.
    Several trials vanish where several changes amount to the same.
    """
    mismatch = Mismatch(reference, images, tensors, variant, facts, sets, tolerance)
    if mismatch.passes(mismatch.layers):
        return ()
    return tuple(sorted((_best_trial(mismatch, cause) for cause in CAUSES), key=_rank))


def _best_trial(mismatch: Mismatch, cause: str) -> Trial:
    """Return the most successful of the changes that would put `cause` right."""
    words, changes = CAUSES[cause]
    before = mismatch.largest(mismatch.layers)
    trials = []
    for change in changes(mismatch):
        left, vanishes, effect = mismatch.tried(change)
        if effect:
            trials.append(Trial(cause, words, before, left, vanishes, True, change.where, change.words))
    return min(trials, key=_rank, default=Trial(cause, words, before, before, False, False, "", ""))


def _rank(trial: Trial) -> tuple[bool, float]:
    """Return by what trials are sorted, the most successful first."""
    return not trial.vanishes, trial.difference
