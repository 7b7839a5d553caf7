"""Why a converted file differs from its source: the known causes, tried one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Variant
from effconvert.verification.comparison import TOLERANCES, Tolerance

Tensors = Mapping[str, NDArray[Any]]


_HELPS = 0.5  # a change that leaves more than this share of the difference is no hint


@dataclass(frozen=True)
class Trial:
    """One known cause, put right in the converted network.

    cause: a key of `causes.CAUSES`; words: what it is. before, difference: the largest relative difference of any layer
    without and with the change, infinite where a value is not finite. vanishes: every layer is then within its
    tolerance, whichever input it gets. effect: False where there was nothing to change, or no output changed. where:
    the layers that are changed, "" for a fact of the whole network. change: what a user has to do.
    """

    cause: str
    words: str
    before: float
    difference: float
    vanishes: bool
    effect: bool
    where: str
    change: str


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
    from effconvert.verification.causes import CAUSES, best_trial  # these import torch, which comparing can do without
    from effconvert.verification.mismatch import Mismatch

    mismatch = Mismatch(reference, images, tensors, variant, facts, sets, tolerance)
    if mismatch.passes(mismatch.layers):
        return ()
    return tuple(sorted((best_trial(mismatch, cause) for cause in CAUSES), key=rank))


def rank(trial: Trial) -> tuple[bool, float]:
    """Return by what trials are sorted, the most successful first."""
    return not trial.vanishes, trial.difference


def in_words(trials: Sequence[Trial]) -> str:
    """Return in one sentence what `trials`, as `explain` gives them, tell."""
    if not trials:
        return "there is no difference to explain"
    causes = [trial for trial in trials if trial.vanishes]
    if causes:
        return "the cause is " + ", or ".join(_sentence(trial) for trial in causes)
    best = trials[0]
    if not best.difference < _HELPS * best.before:
        return "no known cause alone makes the difference vanish, or much smaller"
    return f"no known cause alone makes the difference vanish; nearest comes {_sentence(best)}"


def _sentence(trial: Trial) -> str:
    where = f" in {trial.where}" if trial.where else ""
    return f"{trial.words}{where} ({trial.change}): the difference {trial.before:.1e} becomes {trial.difference:.1e}"
