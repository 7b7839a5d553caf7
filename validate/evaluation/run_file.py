"""Where the answers of a run lie: while it lasts in journals, one for each rank, at its end in one file."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from effconvert.validate.evaluation.earlier_runs import (
    OtherImage,
    difference_of_journals,
    difference_of_run,
    same_header,
)
from effconvert.validate.evaluation.journal import ANSWER, Answers, begin_journal, is_being_written, read_journal
from effconvert.validate.evaluation.ranks import Ranks

from effconvert.errors import OutputProblem

_NONE: Answers = np.zeros(0, ANSWER)


@dataclass(frozen=True)
class Chosen:
    """The file of a run. passed: sentences on the runs that lie where it would else."""

    out: Path
    passed: tuple[str, ...]


def journal_path(out: Path, rank: int) -> Path:
    """Return where the rank's journal of the run `out` lies."""
    return out.with_name(f"{out.name}.part-{rank}")


def journals_of(out: Path) -> list[Path]:
    """Return the journals that an unfinished run has left."""
    return sorted(out.parent.glob(f"{_escaped(out.name)}.part-[0-9]*"))


def choose_run(
    folder: Path, name: str, header: Mapping[str, Any], resume: bool, force: bool, other_image: OtherImage
) -> Chosen:
    """Return the file for a run with that header: `name`.npz, or the first of `name`-2.npz, … where no other run lies.

    The same run, measured once more, replaces itself; it is not the same where `other_image` finds an image that has
    changed since. Raises OutputProblem where it is being written at this moment, or lies unfinished with answers in it,
    and neither `resume` (go on) nor `force` (begin anew) says what is to become of them.
    """
    passed: list[str] = []
    for number in count(1):
        out = folder / f"{name}{'' if number == 1 else f'-{number}'}.npz"
        journals = journals_of(out)
        words = difference_of_journals(journals, header, force, other_image) if journals else ""
        if not words and out.exists():
            words = difference_of_run(out, header, other_image)
        if words:
            passed.append(f"{out} is another run: {words}")
            continue
        if any(map(is_being_written, journals)):
            raise OutputProblem(f"{out}: another process is writing this run at this moment")
        if not (resume or force) and any(len(read_journal(path)[1]) for path in journals):
            raise OutputProblem(f"{out}: this run lies here unfinished; --resume continues it, --force begins anew")
        return Chosen(out, tuple(passed))
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
        if same_header(found, header):
            parts.append(answers)
    return np.concatenate(parts)


def _once(answers: Answers) -> Answers:
    _, first = np.unique(answers["id"], return_index=True)
    return answers[first]


def _escaped(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
