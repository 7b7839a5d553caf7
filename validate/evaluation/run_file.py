"""Where the answers of a run lie: while it lasts in journals, one for each rank, at its end in one file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from effconvert.validate.evaluation.journal import ANSWER, Answers, begin_journal, read_journal
from effconvert.validate.evaluation.ranks import Ranks

from effconvert.errors import OutputProblem, listing

_NONE: Answers = np.zeros(0, ANSWER)


def journal_path(out: Path, rank: int) -> Path:
    """Return where the rank's journal of the run `out` lies."""
    return out.with_name(f"{out.name}.part-{rank}")


def journals_of(out: Path) -> list[Path]:
    """Return the journals that an unfinished run has left."""
    return sorted(out.parent.glob(f"{_escaped(out.name)}.part-[0-9]*"))


def check_run(out: Path, resume: bool, force: bool) -> None:
    """Raise OutputProblem where a run may not begin at `out`: there is one, finished or not."""
    if out.exists() and not (force or resume):
        raise OutputProblem(f"{out}: exists; --resume takes its results, --force replaces it")
    if journals_of(out) and not (force or resume):
        raise OutputProblem(f"{out}: an unfinished run lies here; --resume continues it, --force begins anew")


def take_up(out: Path, header: Mapping[str, Any], resume: bool, ranks: Ranks) -> Answers:
    """Return what an earlier run to `out` has answered, each image once, and begin this rank's journal.

    The first rank's journal then holds all of it, and the earlier ones are removed. Without `resume` nothing is taken.
    Raises OutputProblem where the earlier run was another one, with everything that differs.
    """
    found = journals_of(out)
    earlier = ranks.agree(lambda: _read(found, header) if resume else _NONE)
    answers = _once(np.concatenate(ranks.gather(earlier)))
    mine = journal_path(out, ranks.rank)

    def begin() -> None:
        if ranks.first:
            begin_journal(mine, header, answers)

    ranks.agree(begin)
    for path in found:
        if path != journal_path(out, 0):
            path.unlink(missing_ok=True)
    if not ranks.first:
        ranks.agree(lambda: begin_journal(mine, header, _NONE))
    else:
        ranks.agree(lambda: None)
    return answers


def check_same_run(path: Path, found: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Raise OutputProblem, with everything that differs, where the run at `path` has another header."""
    other = [name for name in header if found.get(name) != header[name]]
    if other:
        words = [f"{name}: was {found.get(name)!r}, is {header[name]!r}" for name in other]
        raise OutputProblem(listing(f"{path}: is of another run, and --force begins anew:", words))


def gathered(answers: Answers, ranks: Ranks) -> Answers:
    """Return the answers of all ranks, each image once, in the data set's order."""
    return _once(np.concatenate(ranks.gather(answers)))


def remove_journals(out: Path) -> None:
    """Remove what was only needed to continue."""
    for path in journals_of(out):
        path.unlink(missing_ok=True)


def _read(paths: list[Path], header: Mapping[str, Any]) -> Answers:
    parts = [_NONE]
    for path in paths:
        found, answers = read_journal(path)
        check_same_run(path, found, header)
        parts.append(answers)
    return np.concatenate(parts)


def _once(answers: Answers) -> Answers:
    _, first = np.unique(answers["id"], return_index=True)
    return answers[first]


def _escaped(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
