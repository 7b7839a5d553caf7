"""Files of a run: its header, the journals during the run, and the predictions at its end.

A run may be continued if its header is equal and the images have not changed: each answer has a hash of its image's
bytes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, OutputProblem, listing
from effconvert.option_words import flag
from effconvert.validate.data.classes import IMAGENET
from effconvert.validate.data.dataset import Dataset
from effconvert.validate.evaluation.earlier_runs import SCHEMA as HEADER_SCHEMA
from effconvert.validate.evaluation.earlier_runs import (
    OtherImage,
    difference_of_journals,
    difference_of_run,
    same_header,
)
from effconvert.validate.evaluation.jobs import Settings
from effconvert.validate.evaluation.journal import ANSWER, Answers, begin_journal, is_being_written, read_journal
from effconvert.validate.evaluation.ranks import Ranks
from effconvert.validate.predictions import NO_LABEL, SCHEMA, Predictions
from effconvert.validate.subjects import Subject
from effconvert.version import VERSION

if TYPE_CHECKING:
    from effconvert.validate.evaluation.computing import Computing

_NONE: Answers = np.zeros(0, ANSWER)


@dataclass(frozen=True)
class Chosen:
    """The file of a run. passed: sentences on other runs that already have the preferred names."""

    out: Path
    passed: tuple[str, ...]


def header_of(
    one: Subject,
    dataset: Dataset,
    ids: NDArray[np.int64],
    settings: Settings,
    computing: "Computing",
    engine: str,
    decoder: str | None = None,
) -> dict[str, Any]:
    """Return everything that decides the answers of a run, as plain values; runs with equal headers may be joined.

    engine: the name of what computes the network. decoder: the decoder on the GPU, None for the CPU.
    """
    record = one.record()
    header = {
        "schema": HEADER_SCHEMA,
        "effconvert": VERSION,
        "weights": sorted(record["model"]["sha256"].values()),
        "taken": record["model"]["taken"],
        "root": one.file.identity.sets.roots.get(record["model"]["taken"], ""),
        "tensors": record["model"]["tensors"],
        "facts": record["model"]["facts"],
        "recipe": record["recipe"],
        **dataset.listing,
        "images": hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest(),
        "order": hashlib.sha256(json.dumps(dataset.identity_names).encode()).hexdigest(),
        "pipeline": settings.pipeline,
        "decoder": decoder,
        "device": computing.device.partition(":")[0],
        "dtype": computing.dtype,
        "compiled": computing.compiled,
        "engine": engine,
        "only_present": settings.only_present,
    }
    plain: dict[str, Any] = json.loads(json.dumps(header))  # as a file returns it
    return plain


def run_path(folder: Path, name: str, number: int) -> Path:
    """Return the path of the run `name`: `name`.npz, and from 2 on `name`-2.npz, …."""
    return folder / f"{name}{'' if number == 1 else f'-{number}'}.npz"


def journal_path(out: Path, rank: int) -> Path:
    """Return the path of a rank's journal for the run `out`."""
    return out.with_name(f"{out.name}.part-{rank}")


def journals_of(out: Path) -> list[Path]:
    """Return the journals of an unfinished run."""
    return sorted(out.parent.glob(f"{_escaped(out.name)}.part-[0-9]*"))


def choose_run(
    folder: Path, name: str, header: Mapping[str, Any], resume: bool, force: bool, other_image: OtherImage
) -> Chosen:
    """Return the file for a run with that header: `name`.npz, or `name`-2.npz, …, the first without another run.

    A repeated run replaces itself; it is not the same run if `other_image` finds a changed image. Raises OutputProblem
    if another process is writing it, or if it is unfinished and neither `resume` (continue) nor `force` (start again)
    is given.
    """
    passed: list[str] = []
    for number in count(1):
        out = run_path(folder, name, number)
        journals = journals_of(out)
        words = difference_of_journals(journals, header, force, other_image) if journals else ""
        if not words and out.exists():
            words = difference_of_run(out, header, other_image)
        if words:
            passed.append(f"{out} is another run: {words}")
            continue
        if any(map(is_being_written, journals)):
            raise OutputProblem(f"{out}: another process is writing this run now; wait for it to end")
        if not (resume or force) and any(len(read_journal(path)[1]) for path in journals):
            raise OutputProblem(
                f"{out}: this run is unfinished; {flag('resume')} continues it, {flag('force')} starts it again"
            )
        return Chosen(out, tuple(passed))
    raise AssertionError


def take_up(out: Path, header: Mapping[str, Any], resume: bool, ranks: Ranks) -> Answers:
    """Return the answers of an earlier run to `out`, each image once, and begin this rank's journal.

    The first rank's journal then holds all of them, and the old journals are removed. Without `resume`, or from a
    journal of another run, nothing is taken.
    """
    found = journals_of(out)
    earlier = ranks.agree(lambda: _read(found, header) if resume else _NONE)
    answers = _once(np.concatenate(ranks.gather(earlier)))
    mine, stale = journal_path(out, ranks.rank), [path for path in found if path != journal_path(out, 0)]
    # In steps on all ranks: no journal is removed before its answers are kept, or after another rank has begun it.
    ranks.agree(lambda: begin_journal(mine, header, answers) if ranks.first else None)
    ranks.agree(lambda: _remove(stale))
    ranks.agree(lambda: None if ranks.first else begin_journal(mine, header, _NONE))
    return answers


def gathered(answers: Answers, ranks: Ranks) -> Answers:
    """Return the answers of all ranks, each image once, in the data set's order."""
    return _once(np.concatenate(ranks.gather(answers)))


def remove_journals(out: Path) -> None:
    """Remove the journals of a finished run."""
    _remove(journals_of(out))


def predictions_of(
    one: Subject,
    dataset: Dataset,
    answers: Answers,
    skipped: Mapping[int, str],
    settings: Settings,
    more: Mapping[str, Any],
) -> Predictions:
    """Return predictions made of `answers`, each image once. more: further entries of the record.

    Raises DatasetProblem without answers.
    """
    if not len(answers):
        broken = [f"{dataset.names[number]}: {words}" for number, words in sorted(skipped.items())]
        raise DatasetProblem(listing(f"{dataset.path}: no image could be evaluated:", broken))
    ids = answers["id"].astype(np.int64)
    record = one.record() | {
        "schema": SCHEMA,
        "complete": True,
        "dataset": _dataset_record(dataset, answers, skipped, settings),
        **more,
    }
    record["run"] = {**record["run"], "finished": datetime.now(UTC).isoformat(timespec="seconds")}
    return Predictions(
        record=record,
        ids=ids,
        names=np.array([dataset.names[number] for number in ids], np.str_),
        labels=dataset.labels[ids],
        hashes=np.ascontiguousarray(answers["hash"]),
        **{name: np.ascontiguousarray(answers[name]) for name in ("top5", "label_logit", "margin", "confidence")},
    )


def _dataset_record(
    dataset: Dataset, answers: Answers, skipped: Mapping[int, str], settings: Settings
) -> dict[str, Any]:
    classes, left_out = dataset.classes, sorted(skipped)
    own = {"class_names": list(classes.names), "class_identifiers": list(classes.identifiers)}
    hashes = dataset.hashes.of(np.array(left_out, np.int64))
    return {
        "path": dataset.path,
        "kind": dataset.kind,
        "classes": dataset.classes.name,
        "images": len(dataset),
        "evaluated": len(answers),
        "missing": dataset.missing,
        "chosen": settings.chosen,
        "imagenet_validation": dataset.imagenet_validation,
        "labels": dataset.label_source,
        "findings": list(dataset.findings),
        "fingerprint": dataset.fingerprint_of(answers["id"].astype(np.int64), answers["hash"]),
        "skipped": {dataset.names[number]: skipped[number] for number in left_out},
        "skipped_hashes": {str(number): row.tobytes().hex() for number, row in zip(left_out, hashes, strict=True)},
        **({"competing": len(np.unique(dataset.labels[dataset.labels != NO_LABEL]))} if settings.only_present else {}),
        **({} if classes.name == IMAGENET else own),
    }


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
