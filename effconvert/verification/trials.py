"""Trials: the result of correcting one known cause of a difference, and a sentence on all trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_HELPS = 0.5  # a change after which more than this share of the difference remains is not a hint


@dataclass(frozen=True)
class Trial:
    """One known cause, corrected in the converted network.

    cause: a key of `causes.CAUSES`; words: its description. before, difference: the largest relative difference of any
    layer without and with the change, infinite if a value is not finite. vanishes: with the change every layer is
    within its tolerance, end to end and isolated. effect: False if there was nothing to change or no output changed.
    where: the changed layers, "" for a fact of the whole network. change: what a user has to do. options: those that
    are to be different when the source is converted again; None if that does not help. command: what converts it so.
    """

    cause: str
    words: str
    before: float
    difference: float
    vanishes: bool
    effect: bool
    where: str
    change: str
    options: Mapping[str, Any] | None = None
    command: str = ""


def in_words(trials: Sequence[Trial]) -> str:
    """Return a sentence on `trials`, the result of `explain`."""
    if not trials:
        return "there is no difference to explain"
    causes = [trial for trial in trials if trial.vanishes]
    if causes:
        return "the cause is " + ", or ".join(_sentence(trial) for trial in causes)
    best = trials[0]
    if not best.difference < _HELPS * best.before:
        return "no known cause alone explains the difference"
    return f"no known cause alone explains the whole difference; the best one is {_sentence(best)}"


def cause_and_fix(trials: Sequence[Trial]) -> tuple[str, str]:
    """Return the cause that `trials` found, and what to do; the fix is "" if no known cause explains the difference."""
    causes = [trial for trial in trials if trial.vanishes]
    if not causes:
        return in_words(trials), ""
    cause = ", or ".join(_cause(trial) for trial in causes)
    return f"{cause}; with the fix the difference vanishes", "; or ".join(trial.change for trial in causes)


def fixing_commands(trials: Sequence[Trial]) -> tuple[str, ...]:
    """Return the commands, each in one line, that convert the source again without the causes that `trials` found."""
    return tuple(dict.fromkeys(trial.command for trial in trials if trial.vanishes and trial.command))


def _cause(trial: Trial) -> str:
    return f"{trial.words} in {trial.where}" if trial.where else trial.words


def _sentence(trial: Trial) -> str:
    where = f" in {trial.where}" if trial.where else ""
    return f"{trial.words}{where} ({trial.change}): the difference {trial.before:.1e} becomes {trial.difference:.1e}"
