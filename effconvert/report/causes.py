"""Causes of a difference that `verify --explain` found, from the record of a verification."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from effconvert.report.contents.verification import Cause, Verification

_HELPS = 0.5  # a change after which more than this share of the difference remains is not a cause
_DIFFERENT = "different"
_AGAIN = "; convert again: "

Trial = Mapping[str, Any]


def found_causes(trials: Sequence[Trial]) -> tuple[Cause, ...]:
    """Return the causes among `trials`, the `causes` of a verification: those that explain the whole difference.

    Without one it is the best trial, if it removes at least half of the difference.
    """
    whole = [trial for trial in trials if trial["vanishes"]]
    return tuple(_cause(trial) for trial in whole or [trial for trial in trials[:1] if _helps(trial)])


def _helps(trial: Trial) -> bool:
    before = math.inf if trial["before"] is None else trial["before"]
    return trial["difference"] is not None and trial["difference"] < _HELPS * before


def _cause(trial: Trial) -> Cause:
    where = f", in {trial['where']}" if trial["where"] else ""
    again = f"{_AGAIN}{trial['command']}" if trial.get("command") else ""
    fix = f"{trial['change']}{again}"
    return Cause(f"{trial['words']}{where}", fix, trial["before"], trial["difference"], trial["vanishes"])


def cause_words(cause: Cause) -> str:
    """Return the words of a cause, which say if it explains only a part of the difference."""
    return cause.cause if cause.whole else f"{cause.cause} (a part of the difference)"


def fix_and_command(cause: Cause) -> tuple[str, str]:
    """Return what to do, and the command that does it, which is to be copied; "" if there is none."""
    fix, again, command = cause.fix.partition(_AGAIN)
    return f"{fix}{again}".rstrip(), command


def missing_cause(verification: Verification) -> str:
    """Return why a failed verification has no cause and what finds it, "" if it has one or did not fail."""
    if verification.verdict != _DIFFERENT or verification.causes:
        return ""
    if verification.explained:
        return "none of the known ones explains the difference"
    return "not known yet: `effconvert verify` with --explain tries the known ones"
