"""Measures networks that want the same pixels: goes on with what there is, shows the rest to all, writes the runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import EffconvertError
from effconvert.validate.data.dataset import Dataset
from effconvert.validate.data.image_hashes import Hashes
from effconvert.validate.evaluation.computing import choose_computing
from effconvert.validate.evaluation.earlier_runs import OtherImage
from effconvert.validate.evaluation.gpu_images import gpu_decoder
from effconvert.validate.evaluation.image_loader import usual_workers
from effconvert.validate.evaluation.jobs import EXACT, FAST, Entry, Measured, Settings
from effconvert.validate.evaluation.journal import Answers
from effconvert.validate.evaluation.passes import Course, Pass, Task, run_pass
from effconvert.validate.evaluation.ranks import Ranks
from effconvert.validate.evaluation.run_file import (
    Chosen,
    choose_run,
    gathered,
    header_of,
    journal_path,
    journals_of,
    predictions_of,
    remove_journals,
    take_up,
)
from effconvert.validate.predictions import read_predictions, write_predictions

# How many images show what the fast pipeline changes.
_SAMPLE = 512
# From how many images on reading them again takes long enough to be said.
_MANY = 1000

Progress = Callable[[int, int], None]


def measure_group(
    group: Sequence[Entry],
    dataset: Dataset,
    ids: NDArray[np.int64],
    folder: Path,
    settings: Settings,
    ranks: Ranks,
    *,
    progress: Progress,
    note: Callable[[str], None],
) -> dict[str, Measured]:
    """Return {name: the run} of every network in `group`, in one pass over what any of them has not answered.

    ids: the images to evaluate, of which each rank takes its share. folder: of the run files. note: is told in
    sentences which earlier runs are others, and why. Raises what `run_pass` does, OutputProblem for a run that cannot
    be begun or written, EffconvertError where an image was not answered just once.
    """
    computing = choose_computing(settings.device, settings.dtype, settings.compiled, ranks.local_rank)
    workers = usual_workers(ranks.local_count) if settings.workers is None else settings.workers
    task = Task(dataset, settings, computing, workers)
    found = gpu_decoder(computing.device) if settings.pipeline == FAST and computing.on_gpu else None
    decoder = found[0] if found else None
    headers = {entry.name: header_of(entry.subject, dataset, ids, settings, computing, decoder) for entry in group}
    other_image = _other_image(dataset, note)

    def choose(name: str) -> Chosen:
        return choose_run(
            folder, name, headers[name], resume=settings.resume, force=settings.force, other_image=other_image
        )

    outs, finished = _begun(group, task, choose, ranks, note)
    entries = [entry for entry in group if entry.name not in finished]
    if not entries:
        return finished
    earlier = [take_up(outs[entry.name], headers[entry.name], settings.resume, ranks) for entry in entries]
    passes = [
        Pass(entry.subject, entry.first_class, journal_path(outs[entry.name], ranks.rank), known["id"])
        for entry, known in zip(entries, earlier, strict=True)
    ]
    exact = _exact_sample(entries, task, ids, ranks)
    done = set.intersection(*(set(one.have.tolist()) for one in passes))
    mine = ranks.share([number for number in ids.tolist() if number not in done])
    course = ranks.agree(lambda: run_pass(passes, task, mine, settings.pipeline, _counting(progress, len(mine))))
    course = Course.together(ranks.gather(course))
    run = course.rates(passes, workers) | {"ranks": ranks.count}
    for entry, known, one in zip(entries, earlier, passes, strict=True):
        answers = gathered(np.concatenate([known, one.answered]), ranks)
        _check_once(answers, ids, course.skipped)
        how = {"decoder": decoder, "execution": one.how, "at_once": one.at_once}
        how |= computing.record() | _effect(answers, exact.get(entry.name), dataset)
        record = {"settings": headers[entry.name], "computing": how, "run": run}
        predictions = predictions_of(entry.subject, dataset, answers, course.skipped, settings, record)
        finished[entry.name] = Measured(outs[entry.name], len(known), predictions)
    ranks.agree(lambda: _write([finished[entry.name] for entry in entries]) if ranks.first else None)
    for entry in entries:
        remove_journals(outs[entry.name])
    return finished


def _begun(
    group: Sequence[Entry], task: Task, choose: Callable[[str], Chosen], ranks: Ranks, note: Callable[[str], None]
) -> tuple[dict[str, Path], dict[str, Measured]]:
    """Return where each run lies, as the first rank sees it, and those that --resume finds finished."""

    def look() -> tuple[dict[str, Path], dict[str, Measured]]:
        chosen = {entry.name: choose(entry.name) for entry in group}
        for each in chosen.values():
            for words in each.passed:
                note(f"{words}; this one is {each.out}")
        outs = {name: each.out for name, each in chosen.items()}
        if not task.settings.resume or task.settings.force:
            return outs, {}
        runs = {name: read_predictions(out) for name, out in outs.items() if out.exists() and not journals_of(out)}
        return outs, {name: Measured(outs[name], len(run), run) for name, run in runs.items()}

    return ranks.gather(ranks.agree(lambda: look() if ranks.first else ({}, {})))[0]


def _other_image(dataset: Dataset, note: Callable[[str], None]) -> OtherImage:
    """Return a function that reads images again, and gives the name of one that has changed since it was answered."""

    def other_image(ids: NDArray[np.int64], hashes: Hashes) -> str:
        if len(ids) >= _MANY:
            note(f"reads {len(ids):,} images that were answered before, to see whether they have changed")
        number = dataset.hashes.first_other(ids, hashes)
        return "" if number is None else dict(enumerate(dataset.names)).get(number, f"image {number:,}")

    return other_image


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


def _exact_sample(entries: Sequence[Entry], task: Task, ids: NDArray[np.int64], ranks: Ranks) -> dict[str, Answers]:
    """Return what each network answers to a sample of the images, exactly prepared, where they will not be."""
    if task.settings.pipeline != FAST:
        return {}
    count = min(_SAMPLE, len(ids))
    sample = ranks.share(ids[np.arange(count) * len(ids) // count].tolist())
    passes = [Pass(entry.subject, entry.first_class) for entry in entries]
    ranks.agree(lambda: run_pass(passes, task, sample, EXACT, lambda images: None))
    return {entry.name: gathered(one.answered, ranks) for entry, one in zip(entries, passes, strict=True)}


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
