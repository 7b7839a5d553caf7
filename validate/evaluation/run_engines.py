"""The engine of each run: what was asked for, what an earlier part of the run had, or the fastest."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from effconvert.errors import OutputProblem, UnreadableCheckpoint
from effconvert.validate.engines.choice import EngineChoice, choose_engine, wanted_engine
from effconvert.validate.engines.names import AUTO, TORCH
from effconvert.validate.evaluation.computing import Computing, exact_arithmetic, images_at_once
from effconvert.validate.evaluation.earlier_runs import engine_of, same_header
from effconvert.validate.evaluation.engine_execution import normalised
from effconvert.validate.evaluation.execution import Execution
from effconvert.validate.evaluation.image_loader import prepared_images
from effconvert.validate.evaluation.jobs import EvaluationJob
from effconvert.validate.evaluation.journal import read_journal
from effconvert.validate.evaluation.passes import Task
from effconvert.validate.evaluation.run_file import journals_of, run_path
from effconvert.validate.predictions import read_predictions


def engine_choice(
    job: EvaluationJob, task: Task, ids: NDArray[np.int64], folder: Path, header: Mapping[str, Any]
) -> EngineChoice:
    """Return the engine of the run of `job`, compared with torch on the first images.

    header: of the run, with any engine. With `auto` a run that is continued keeps its engine. Raises Unavailable,
    NumericMismatch, and what preparing images does.
    """
    asked, other = task.settings.engine, _only_torch(task.computing)
    if asked == AUTO and not other and (earlier := _earlier_engine(job, task, folder, header)):
        return checked_choice(earlier, job, task, ids, "the earlier part of this run is torch's")
    wanted, reason = wanted_engine(asked, len(ids), other)
    return checked_choice(wanted, job, task, ids, reason)


def checked_choice(
    asked: str, job: EvaluationJob, task: Task, ids: Sequence[int] | NDArray[np.int64], reason: str
) -> EngineChoice:
    """Return the engine `asked`, or for `auto` the fastest, compared with torch on the first images.

    reason: for torch, if that is asked.
    """
    if asked == TORCH:
        return EngineChoice(reason=reason)
    subject = job.subject
    at_once = images_at_once(subject.file.identity.variant, subject.recipe.size, task.computing)
    pixels = _first_pixels(job, task, ids, max(at_once, min(torch.get_num_threads(), 16)))
    if pixels is None:
        return EngineChoice(reason="no image can be read")
    network = subject.network()
    execution = Execution(network, subject.recipe, task.computing, at_once)
    images = np.stack([normalised(image, subject.recipe) for image in pixels])

    def computed() -> NDArray[np.float32]:
        with torch.inference_mode(), exact_arithmetic():
            return execution.logits(torch.from_numpy(pixels)).numpy()

    return choose_engine(asked, network, images, computed, task.settings.batch)


def _only_torch(computing: Computing) -> str:
    """Return what of the computation only torch does, "" for nothing."""
    if computing.on_gpu:
        return f"device {computing.device.partition(':')[0]}"
    if computing.dtype != "float32":
        return f"dtype {computing.dtype}"
    return "compile" if computing.compiled else ""


def _earlier_engine(job: EvaluationJob, task: Task, folder: Path, header: Mapping[str, Any]) -> str | None:
    """Return the engine of the earlier run that this one continues or repeats, None to choose anew.

    A finished run by torch is no reason for torch: another engine may have been installed since.
    """
    for number in count(1):
        out = run_path(folder, job.name, number)
        journals = journals_of(out)
        if not journals and not out.exists():
            return None
        with suppress(OutputProblem, UnreadableCheckpoint):  # told where the file is chosen
            found = read_journal(journals[0])[0] if journals else read_predictions(out).record.get("settings", {})
            if same_header({**found, "engine": header["engine"]}, header):
                begun = bool(journals) and not task.settings.force
                return engine_of(found) if begun or engine_of(found) != TORCH else None
    raise AssertionError


def _first_pixels(
    job: EvaluationJob, task: Task, ids: Sequence[int] | NDArray[np.int64], images: int
) -> NDArray[np.generic] | None:
    """Return the pixels of the first images that can be read, of up to `images` at a time, as a batch prepares them."""
    numbers, settings = np.asarray(ids).tolist(), task.settings
    for start in range(0, len(numbers), images):
        part = numbers[start : start + images]
        with prepared_images(
            task.dataset.locations, part, job.subject.recipe, pipeline=settings.pipeline, workers=min(1, task.workers)
        ) as chunks:
            read = [
                chunk.pixels[[number not in chunk.failures for number in chunk.ids.tolist()]].copy() for chunk in chunks
            ]
        if good := [pixels for pixels in read if len(pixels)]:
            return np.concatenate(good)
    return None
