"""Where the answers of a run lie: while it lasts in journals, one for each rank, at its end in one file."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from effconvert.validate.evaluation.journal import ANSWER, Answers, begin_journal, is_being_written, read_journal
from effconvert.validate.evaluation.ranks import Ranks
from effconvert.validate.predictions import read_predictions

from effconvert.errors import OutputProblem, UnreadableCheckpoint

_NONE: Answers = np.zeros(0, ANSWER)


def journal_path(out: Path, rank: int) -> Path:
    """Return where the rank's journal of the run `out` lies."""
    return out.with_name(f"{out.name}.part-{rank}")


def journals_of(out: Path) -> list[Path]:
    """Return the journals that an unfinished run has left."""
    return sorted(out.parent.glob(f"{_escaped(out.name)}.part-[0-9]*"))


def choose_run(folder: Path, name: str, header: Mapping[str, Any], resume: bool, force: bool) -> Path:
    """Return the file for a run with that header: `name`.npz, or the first of `name`-2.npz, … where no other run lies.

    The same run, measured once more, replaces itself. Raises OutputProblem where it is being written at this moment, or
    lies unfinished with answers in it, and neither `resume` (go on) nor `force` (begin anew) says what is to become of
    them.
    """
    for number in count(1):
        out = folder / f"{name}{'' if number == 1 else f'-{number}'}.npz"
        journals = journals_of(out)
        if not (out.exists() or journals):
            return out
        if journals and _is_of(journals[0], header, force):
            if any(map(is_being_written, journals)):
                raise OutputProblem(f"{out}: another process is writing this run at this moment")
            if not (resume or force) and any(len(read_journal(path)[1]) for path in journals):
                raise OutputProblem(f"{out}: this run lies here unfinished; --resume continues it, --force begins anew")
            return out
        if not journals and _is_finished(out, header):
            return out
    raise AssertionError


def take_up(out: Path, header: Mapping[str, Any], resume: bool, ranks: Ranks) -> Answers:
    """Return what an earlier run to `out` has answered, each image once, and begin this rank's journal.

    The first rank's journal then holds all of it, and the earlier ones are removed. Without `resume` nothing is taken,
    nor from a journal of another run.
    """
    found = journals_of(out)
    earlier = ranks.agree(lambda: _read(found, header) if resume else _NONE)
    answers = _once(np.concatenate(ranks.gather(earlier)))
    mine, stale = journal_path(out, ranks.rank), [path for path in found if path != journal_path(out, 0)]
    # Step by step on all ranks: nothing is removed that is not yet kept, and nothing that another rank has begun.
    ranks.agree(lambda: begin_journal(mine, header, answers) if ranks.first else None)
    ranks.agree(lambda: _remove(stale))
    ranks.agree(lambda: None if ranks.first else begin_journal(mine, header, _NONE))
    return answers


def gathered(answers: Answers, ranks: Ranks) -> Answers:
    """Return the answers of all ranks, each image once, in the data set's order."""
    return _once(np.concatenate(ranks.gather(answers)))


def remove_journals(out: Path) -> None:
    """Remove what was only needed to continue."""
    _remove(journals_of(out))


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _read(paths: list[Path], header: Mapping[str, Any]) -> Answers:
    parts = [_NONE]
    for path in paths:
        found, answers = read_journal(path)
        if _same(found, header):
            parts.append(answers)
    return np.concatenate(parts)


def _is_of(journal: Path, header: Mapping[str, Any], force: bool) -> bool:
    """Return whether the journal is of the run with that header; where `force` replaces it, a damaged one is too."""
    try:
        return _same(read_journal(journal)[0], header)
    except OutputProblem:
        if force:
            return True
        raise


def _is_finished(out: Path, header: Mapping[str, Any]) -> bool:
    """Return whether a run with that header lies at `out`, whole."""
    try:
        return _same(read_predictions(out).record.get("settings", {}), header)
    except UnreadableCheckpoint:
        return False


def _same(found: Mapping[str, Any], header: Mapping[str, Any]) -> bool:
    return all(found.get(name) == header[name] for name in header)


def _once(answers: Answers) -> Answers:
    _, first = np.unique(answers["id"], return_index=True)
    return answers[first]


def _escaped(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
