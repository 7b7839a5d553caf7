"""One pass over the images of a data set, for all networks that need the same pixels."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, NumericMismatch, listing
from effconvert.option_words import either, flag, option
from effconvert.preprocessing.recipes import Recipe
from effconvert.validate.data.dataset import Dataset
from effconvert.validate.engines.runtimes import Engine
from effconvert.validate.evaluation.computing import Computing, exact_arithmetic, images_at_once
from effconvert.validate.evaluation.engine_execution import EngineExecution
from effconvert.validate.evaluation.evaluation import EvaluatedModel, evaluate
from effconvert.validate.evaluation.execution import Execution
from effconvert.validate.evaluation.feeding import Batch, on_cpu, on_gpu
from effconvert.validate.evaluation.gpu_images import gpu_decoder, images_on_gpu
from effconvert.validate.evaluation.image_loader import Clock, prepared_images
from effconvert.validate.evaluation.jobs import FAST, Settings
from effconvert.validate.evaluation.journal import ANSWER, Answers, continued_journal
from effconvert.validate.predictions import NO_LABEL
from effconvert.validate.subjects import Subject


@dataclass(frozen=True)
class Task:
    """Data set and settings of a pass; workers: the number of processes that prepare images."""

    dataset: Dataset
    settings: Settings
    computing: Computing
    workers: int


@dataclass
class Pass:
    """A network in a pass.

    engine: what computes it, None for torch. journal: the file for its answers, None for no file. have: ids with an
    earlier answer; they are not answered again. answers: the result. images, seconds, at_once, how: the time that the
    network took, and how it was computed.
    """

    subject: Subject
    first_class: int
    engine: Engine | None = None
    journal: Path | None = None
    have: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    answers: list[Answers] = field(default_factory=list, repr=False)
    images: int = 0
    seconds: float = 0.0
    at_once: int = 0
    how: str = ""

    @property
    def answered(self) -> Answers:
        """The answers of this pass."""
        return np.concatenate([np.zeros(0, ANSWER), *self.answers])


@dataclass(frozen=True)
class PassStats:
    """Statistics of a pass.

    skipped: {id: problem}. images, seconds: without the first batch, which waits for the workers and warms up. elapsed:
    seconds with it, of the same clock as the workers' and the processes' times.
    """

    skipped: dict[int, str]
    images: int
    seconds: float
    elapsed: float
    clock: Clock

    @classmethod
    def together(cls, stats: Sequence["PassStats"]) -> "PassStats":
        """Return the statistics of a pass that several processes shared."""
        return cls(
            skipped={number: words for one in stats for number, words in one.skipped.items()},
            images=sum(one.images for one in stats),
            seconds=max(one.seconds for one in stats),
            elapsed=max(one.elapsed for one in stats),
            clock=Clock(*(sum(column) for column in zip(*(astuple(one.clock) for one in stats), strict=True))),
        )

    def rates(self, passes: Sequence[Pass], workers: int) -> dict[str, Any]:
        """Return images per second as plain values; a model's rate is its own, in this process."""
        return {
            "images_per_second": _rate(self.images, self.seconds),
            "prepared_per_core_second": _rate(self.clock.images, self.clock.preparing),
            "model_images_per_second": {str(one.subject.file.path): _rate(one.images, one.seconds) for one in passes},
            "seconds": round(self.elapsed, 3),
            "reading_seconds": round(self.clock.reading, 3),
            "preparing_seconds": round(self.clock.preparing, 3),
            "waiting_seconds": round(self.clock.waiting, 3),
            "copying_seconds": round(self.clock.copying, 3),
            "workers": workers,
        }


def run_pass(
    passes: Sequence[Pass], task: Task, ids: Sequence[int], pipeline: str, progress: Callable[[int], None]
) -> PassStats:
    """Run every network in `passes` on the images `ids`, and keep the answers.

    progress: called with the number of finished images. Raises DatasetProblem for unreadable images unless they are
    skipped, NumericMismatch where a network gives NaN or infinity, LayoutMismatch for one without a classifier.
    """
    clock, skipped, times = Clock(), dict[int, str](), list[tuple[float, int]]()

    def broken(failures: dict[int, str]) -> None:
        if not task.settings.skip_broken:
            words = [f"{_place(task.dataset, number)}: {problem}" for number, problem in failures.items()]
            given = either(" ", ", ").join([flag("resume"), flag("skip_broken")])
            remedy = f"{given} continues without them"
            raise DatasetProblem(listing(f"{task.dataset.path}: images that cannot be read ({remedy}):", words))
        skipped.update(failures)

    def count(images: int) -> None:
        times.append((time.perf_counter(), images))
        progress(images)

    at_once = min(_at_once(one, task, len(passes)) for one in passes)
    begin = time.perf_counter()
    with ExitStack() as stack:
        stack.enter_context(exact_arithmetic())
        if task.computing.on_gpu:  # streams, graphs and pinned memory belong to the current GPU
            stack.enter_context(torch.cuda.device(task.computing.device))
        batches = _batches(passes[0].subject.recipe, task, ids, pipeline, at_once, clock, stack)
        models = [_evaluated_model(one, task, at_once, stack) for one in passes]
        if len(ids):
            evaluate(models, batches, task.dataset.labels, broken, count)
    for one, model in zip(passes, models, strict=True):
        one.images, one.seconds = model.images, model.seconds
        one.at_once, one.how = model.execution.at_once, model.execution.how
    after_first = sum(images for _, images in times[1:])
    first, last = (times[0][0], times[-1][0]) if times else (begin, begin)
    return PassStats(skipped, after_first, last - first, last - begin, clock)


def _place(dataset: Dataset, number: int) -> str:
    """Return the place of the image, for a message."""
    location = dataset.locations[number]
    return location.path if location.reader == "file" else f"{dataset.names[number]} in {location.path}"


def _at_once(one: Pass, task: Task, networks: int) -> int:
    usual = images_at_once(one.subject.file.identity.variant, one.subject.recipe.size, task.computing, networks)
    if task.computing.on_gpu:
        return task.settings.batch or usual
    return min(task.settings.batch or usual, usual)  # more would need memory without being faster


def _batches(
    recipe: Recipe, task: Task, ids: Sequence[int], pipeline: str, at_once: int, clock: Clock, stack: ExitStack
) -> Iterator[Batch]:
    """Start the preparation of images, which ends with `stack`, and return the batches on the device."""
    locations, device, on_a_gpu = task.dataset.locations, task.computing.device, task.computing.on_gpu
    if pipeline == FAST and on_a_gpu and (found := gpu_decoder(device, at_once)):
        _, decode = found
        return stack.enter_context(
            images_on_gpu(
                locations, ids, recipe,
                decode=decode, device=device, images=at_once, threads=task.workers, clock=clock,
            )
        )  # fmt: skip
    chunks = stack.enter_context(
        prepared_images(locations, ids, recipe, pipeline=pipeline, workers=task.workers, clock=clock)
    )
    return on_gpu(chunks, at_once, device, clock) if on_a_gpu else on_cpu(chunks)


def _evaluated_model(one: Pass, task: Task, at_once: int, stack: ExitStack) -> EvaluatedModel:
    execution = _execution(one, task, at_once)
    write = stack.enter_context(continued_journal(one.journal)) if one.journal else None

    def keep(answers: Answers) -> None:
        answers = answers[~np.isin(answers["id"], one.have)]
        _check_finite(answers, task.dataset, one.subject.file.path)
        one.answers.append(answers)
        if write:
            write(answers)

    only = _present(task, execution.classes, one.first_class) if task.settings.only_present else None
    return EvaluatedModel(execution, keep, one.first_class, only)


def _execution(one: Pass, task: Task, at_once: int) -> Execution | EngineExecution:
    if one.engine:
        return EngineExecution(one.engine, one.subject.recipe, one.subject.file.facts.classes, task.computing)
    return Execution(one.subject.network(), one.subject.recipe, task.computing, at_once)


def _present(task: Task, outputs: int, first_class: int) -> torch.Tensor:
    labels = task.dataset.labels[task.dataset.labels != NO_LABEL].astype(np.int64)
    present = torch.zeros(outputs, dtype=torch.bool)
    present[torch.from_numpy(labels) + first_class] = True
    return present.to(task.computing.device)


def _check_finite(answers: Answers, dataset: Dataset, path: Path) -> None:
    bad = answers["id"][~np.isfinite(answers["margin"] + answers["confidence"])]
    if len(bad):
        names = [dataset.names[number] for number in bad]
        remedy = f"wrong weights or facts, or values too large for the dtype: try {option('dtype', 'float32')}"
        raise NumericMismatch(listing(f"{path}: the network gives NaN or infinity ({remedy}):", names))


def _rate(images: int, seconds: float) -> float | None:
    return round(images / seconds, 1) if seconds > 0 else None
