"""Evaluation of a group of networks that need the same pixels: resume, one pass over the other images, write."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import EffconvertError
from effconvert.option_words import flag
from effconvert.validate.data.dataset import Dataset
from effconvert.validate.data.image_hashes import Hashes
from effconvert.validate.engines.choice import EngineChoice
from effconvert.validate.engines.names import OTHERS, TORCH
from effconvert.validate.evaluation.computing import Computing, choose_computing
from effconvert.validate.evaluation.earlier_runs import OtherImage
from effconvert.validate.evaluation.gpu_images import gpu_decoder
from effconvert.validate.evaluation.image_loader import usual_workers
from effconvert.validate.evaluation.jobs import EXACT, FAST, EvaluationJob, EvaluationRun, Settings
from effconvert.validate.evaluation.journal import Answers
from effconvert.validate.evaluation.passes import Pass, PassStats, Task, run_pass
from effconvert.validate.evaluation.ranks import Ranks
from effconvert.validate.evaluation.run_engines import checked_choice, engine_choice
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

# Images on which the effect of the fast pipeline is measured.
_SAMPLE = 512
# From this number on, reading images again takes long enough for a note.
_MANY = 1000

Progress = Callable[[int, int], None]


def measure_group(
    group: Sequence[EvaluationJob],
    dataset: Dataset,
    ids: NDArray[np.int64],
    folder: Path,
    settings: Settings,
    ranks: Ranks,
    *,
    progress: Progress,
    note: Callable[[str], None],
) -> dict[str, EvaluationRun]:
    """Return {name: run} for every network in `group`, in one pass over the images that any of them lacks.

    ids: the images to evaluate; each rank takes its share. folder: of the run files. note: called with a sentence for
    each earlier run that is another one, and why. Raises the errors of `run_pass`, OutputProblem for a run that cannot
    be started or written, EffconvertError if an image was not answered exactly once.
    """
    device = settings.device or ("cpu" if settings.engine in OTHERS else None)
    computing = choose_computing(device, settings.dtype, settings.compiled, ranks.local_rank)
    workers = usual_workers(ranks.local_count) if settings.workers is None else settings.workers
    task = Task(dataset, settings, computing, workers)
    found = gpu_decoder(computing.device) if settings.pipeline == FAST and computing.on_gpu else None
    decoder = found[0] if found else None
    headers = {job.name: header_of(job.subject, dataset, ids, settings, computing, TORCH, decoder) for job in group}
    engines = _engines(group, task, ids, folder, headers, ranks)
    headers = {name: header | {"engine": engines[name].name} for name, header in headers.items()}
    other_image = _other_image(dataset, note)

    def choose(name: str) -> Chosen:
        return choose_run(
            folder, name, headers[name], resume=settings.resume, force=settings.force, other_image=other_image
        )

    outs, finished = _begun(group, task, choose, ranks, note)
    jobs = [job for job in group if job.name not in finished]
    if not jobs:
        return finished
    earlier = [take_up(outs[job.name], headers[job.name], settings.resume, ranks) for job in jobs]
    passes = [
        Pass(
            job.subject,
            job.first_class,
            engines[job.name].engine,
            journal_path(outs[job.name], ranks.rank),
            known["id"],
        )
        for job, known in zip(jobs, earlier, strict=True)
    ]
    exact = _exact_sample(jobs, task, ids, ranks, engines)
    done = set.intersection(*(set(one.have.tolist()) for one in passes))
    mine = ranks.share([number for number in ids.tolist() if number not in done])
    stats = ranks.agree(lambda: run_pass(passes, task, mine, settings.pipeline, _counting(progress, len(mine))))
    stats = PassStats.together(ranks.gather(stats))
    run = stats.rates(passes, workers) | {"ranks": ranks.count}
    for job, known, one in zip(jobs, earlier, passes, strict=True):
        answers = gathered(np.concatenate([known, one.answered]), ranks)
        _check_once(answers, ids, stats.skipped)
        how = {"decoder": decoder, "execution": one.how, "at_once": one.at_once, "engine": engines[job.name].record()}
        how |= _computing_record(computing, engines[job.name]) | _effect(answers, exact.get(job.name), dataset)
        record = {"settings": headers[job.name], "computing": how, "run": run}
        predictions = predictions_of(job.subject, dataset, answers, stats.skipped, settings, record)
        finished[job.name] = EvaluationRun(outs[job.name], len(known), predictions)
    ranks.agree(lambda: _write([finished[job.name] for job in jobs]) if ranks.first else None)
    for job in jobs:
        remove_journals(outs[job.name])
    return finished


def _engines(
    group: Sequence[EvaluationJob],
    task: Task,
    ids: NDArray[np.int64],
    folder: Path,
    headers: Mapping[str, Mapping[str, Any]],
    ranks: Ranks,
) -> dict[str, EngineChoice]:
    """Return {name: engine} for every network: the first rank chooses, the others load and check the same."""

    def chosen() -> dict[str, EngineChoice]:
        return {job.name: engine_choice(job, task, ids, folder, headers[job.name]) for job in group}

    mine = ranks.agree(lambda: chosen() if ranks.first else {})
    of_first = ranks.gather({name: (choice.name, choice.reason) for name, choice in mine.items()})[0]

    def same() -> dict[str, EngineChoice]:
        given = [(job, *of_first[job.name]) for job in group]
        return {job.name: checked_choice(name, job, task, ids, reason) for job, name, reason in given}

    return ranks.agree(lambda: mine if ranks.first else same())


def _computing_record(computing: Computing, choice: EngineChoice) -> dict[str, Any]:
    record = computing.record()
    versions = {choice.engine.name: choice.engine.version} if choice.engine else {}
    return record | {"versions": record["versions"] | versions}


def _begun(
    group: Sequence[EvaluationJob],
    task: Task,
    choose: Callable[[str], Chosen],
    ranks: Ranks,
    note: Callable[[str], None],
) -> tuple[dict[str, Path], dict[str, EvaluationRun]]:
    """Return the file of each run, as the first rank sees it, and the runs that `resume` finds finished."""

    def look() -> tuple[dict[str, Path], dict[str, EvaluationRun]]:
        chosen = {job.name: choose(job.name) for job in group}
        for each in chosen.values():
            for words in each.passed:
                note(f"{words}; this run will be {each.out}")
        outs = {name: each.out for name, each in chosen.items()}
        if not task.settings.resume or task.settings.force:
            for out in outs.values():
                if out.exists() and not journals_of(out):
                    takes = f"{flag('resume')} takes it as it is"
                    note(f"{out} is complete: it is measured again and then replaced ({takes})")
            return outs, {}
        runs = {name: read_predictions(out) for name, out in outs.items() if out.exists() and not journals_of(out)}
        return outs, {name: EvaluationRun(outs[name], len(run), run) for name, run in runs.items()}

    return ranks.gather(ranks.agree(lambda: look() if ranks.first else ({}, {})))[0]


def _other_image(dataset: Dataset, note: Callable[[str], None]) -> OtherImage:
    """Return a function that reads images again and returns the name of one that has changed, else ""."""

    def other_image(ids: NDArray[np.int64], hashes: Hashes) -> str:
        if len(ids) >= _MANY:
            note(f"reading {len(ids):,} images of the earlier run, to check that they have not changed")
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


def _write(runs: Sequence[EvaluationRun]) -> None:
    for run in runs:
        write_predictions(run.out, run.predictions, force=True)


def _exact_sample(
    jobs: Sequence[EvaluationJob],
    task: Task,
    ids: NDArray[np.int64],
    ranks: Ranks,
    engines: Mapping[str, EngineChoice],
) -> dict[str, Answers]:
    """Return each network's answers to an exactly prepared sample of the images; {} unless the pipeline is fast."""
    if task.settings.pipeline != FAST:
        return {}
    count = min(_SAMPLE, len(ids))
    sample = ranks.share(ids[np.arange(count) * len(ids) // count].tolist())
    passes = [Pass(job.subject, job.first_class, engines[job.name].engine) for job in jobs]
    ranks.agree(lambda: run_pass(passes, task, sample, EXACT, lambda images: None))
    return {job.name: gathered(one.answered, ranks) for job, one in zip(jobs, passes, strict=True)}


def _effect(answers: Answers, exact: Answers | None, dataset: Dataset) -> dict[str, Any]:
    """Return the pipeline and, if it was fast, its effect on the sample."""
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
    """Raise EffconvertError unless every image was answered exactly once or skipped."""
    wanted = np.setdiff1d(ids, np.fromiter(skipped, np.int64, len(skipped)))
    if not np.array_equal(answers["id"], wanted):
        missing, strange = np.setdiff1d(wanted, answers["id"]), np.setdiff1d(answers["id"], wanted)
        raise EffconvertError(
            f"internal error (please report): {len(missing):,} images were not answered, "
            f"{len(strange):,} unexpected ones were"
        )
