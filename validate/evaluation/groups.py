"""Measures networks that want the same pixels: goes on with what there is, shows the rest to all, writes the runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from effconvert.validate.dataset import Dataset
from effconvert.validate.evaluation.computing import choose_computing
from effconvert.validate.evaluation.entries import Entry, Measured
from effconvert.validate.evaluation.journal import Answers
from effconvert.validate.evaluation.loading import usual_workers
from effconvert.validate.evaluation.passes import Pass, Task, run_pass
from effconvert.validate.evaluation.ranks import Ranks
from effconvert.validate.evaluation.run_file import (
    check_same_run,
    gathered,
    journal_path,
    remove_journals,
    take_up,
)
from effconvert.validate.evaluation.settings import EXACT, FAST, Settings
from effconvert.validate.predictions import read_predictions, write_predictions
from effconvert.validate.run_records import header_of, predictions_of
from numpy.typing import NDArray

from effconvert.errors import EffconvertError

# How many images show what the fast pipeline changes.
_SAMPLE = 512

Progress = Callable[[int, int], None]


def measure_group(
    group: Sequence[Entry],
    dataset: Dataset,
    ids: NDArray[np.int64],
    settings: Settings,
    ranks: Ranks,
    progress: Progress,
) -> dict[Path, Measured]:
    """Return {its file: the run} of every network in `group`, in one pass over what any of them has not answered.

    ids: the images to evaluate, of which each rank takes its share. Raises what `run_pass` does, OutputProblem for a
    run that cannot be gone on with or written, EffconvertError where an image was not answered just once.
    """
    computing = choose_computing(settings.device, settings.dtype, settings.compiled, ranks.local_rank)
    workers = usual_workers(ranks.local_count) if settings.workers is None else settings.workers
    task = Task(dataset, settings, computing, workers)
    headers = {entry.out: header_of(entry.subject, dataset, ids, settings, computing) for entry in group}
    finished = ranks.agree(lambda: _finished(group, headers, settings) if ranks.first else {})
    finished = ranks.gather(finished)[0]
    entries = [entry for entry in group if entry.out not in finished]
    if not entries:
        return finished
    earlier = {entry.out: take_up(entry.out, headers[entry.out], settings.resume, ranks) for entry in entries}
    passes = [
        Pass(entry.subject, entry.first_class, journal_path(entry.out, ranks.rank), earlier[entry.out]["id"])
        for entry in entries
    ]
    exact = _exact_sample(entries, task, ids, ranks)
    done = set.intersection(*(set(one.have.tolist()) for one in passes))
    mine = ranks.share([number for number in ids.tolist() if number not in done])
    course = ranks.agree(lambda: run_pass(passes, task, mine, settings.pipeline, _counting(progress, len(mine))))
    skipped = {number: words for part in ranks.gather(course.skipped) for number, words in part.items()}
    run = course.rates(passes, workers) | {"ranks": ranks.count}
    for entry, one in zip(entries, passes, strict=True):
        answers = gathered(np.concatenate([earlier[entry.out], one.answered]), ranks)
        _check_once(answers, ids, skipped)
        how = {"execution": one.how, "at_once": one.at_once, **_effect(answers, exact.get(entry.out), dataset)}
        record = {"settings": headers[entry.out], "computing": {**computing.record(), **how}, "run": run}
        finished[entry.out] = Measured(entry.out, predictions_of(entry.subject, dataset, answers, skipped, record))
    ranks.agree(lambda: _write([finished[entry.out] for entry in entries]) if ranks.first else None)
    for entry in entries:
        remove_journals(entry.out)
    return finished


def _finished(
    group: Sequence[Entry], headers: Mapping[Path, Mapping[str, Any]], settings: Settings
) -> dict[Path, Measured]:
    """Return the runs that are to be gone on with, and of which nothing is left to do."""
    found = {}
    for out in (entry.out for entry in group if settings.resume and entry.out.exists()):
        predictions = read_predictions(out)
        check_same_run(out, predictions.record.get("settings", {}), headers[out])
        found[out] = Measured(out, predictions)
    return found


def _counting(progress: Progress, total: int) -> Callable[[int], None]:
    done = 0

    def count(images: int) -> None:
        nonlocal done
        done += images
        progress(done, total)

    return count


def _write(runs: Sequence[Measured]) -> None:
    for run in runs:
        write_predictions(run.out, run.predictions, force=True)


def _exact_sample(entries: Sequence[Entry], task: Task, ids: NDArray[np.int64], ranks: Ranks) -> dict[Path, Answers]:
    """Return what each network answers to a sample of the images, exactly prepared, where they will not be."""
    if task.settings.pipeline != FAST:
        return {}
    count = min(_SAMPLE, len(ids))
    sample = ranks.share(ids[np.arange(count) * len(ids) // count].tolist())
    passes = [Pass(entry.subject, entry.first_class) for entry in entries]
    ranks.agree(lambda: run_pass(passes, task, sample, EXACT, lambda images: None))
    return {entry.out: gathered(one.answered, ranks) for entry, one in zip(entries, passes, strict=True)}


def _effect(answers: Answers, exact: Answers | None, dataset: Dataset) -> dict[str, Any]:
    """Return how images were prepared, and of the fast pipeline what it changed on the sample."""
    if exact is None:
        return {"pipeline": EXACT}
    _, fast_places, exact_places = np.intersect1d(answers["id"], exact["id"], return_indices=True)
    fast, exact = answers[fast_places], exact[exact_places]
    right, right_exact = (int((one["top5"][:, :1] == dataset.labels[one["id"]]).any(1).sum()) for one in (fast, exact))
    effect = {
        "images": len(fast),
        "changed_top1": int((fast["top5"][:, 0] != exact["top5"][:, 0]).sum()),
        "hits": right,
        "hits_exact": right_exact,
        "top1_difference": round(100 * (right - right_exact) / max(1, len(fast)), 4),
    }
    return {"pipeline": FAST, "effect": effect}


def _check_once(answers: Answers, ids: NDArray[np.int64], skipped: Mapping[int, str]) -> None:
    """Raise EffconvertError unless every image was answered once, or could not be read."""
    wanted = np.setdiff1d(ids, np.fromiter(skipped, np.int64, len(skipped)))
    if not np.array_equal(answers["id"], wanted):
        missing, strange = np.setdiff1d(wanted, answers["id"]), np.setdiff1d(answers["id"], wanted)
        raise EffconvertError(
            f"a fault of effconvert: {len(missing):,} images were not answered, {len(strange):,} not asked for"
        )
