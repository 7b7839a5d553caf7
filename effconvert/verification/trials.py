"""What came of putting one known cause of a difference right, and what all trials together tell."""

from collections.abc import Sequence
from dataclasses import dataclass

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
