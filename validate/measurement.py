"""Measurement of accuracy from Python, with the options of the command `validate` as keywords of the same names."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from effconvert.options import Options
from effconvert.preprocessing.limits import pixels_allowed
from effconvert.validate.engines.names import AUTO
from effconvert.validate.evaluation.jobs import EXACT, EvaluationRun, Settings
from effconvert.validate.evaluation.measuring import RUNS, measure_files


def measure_accuracy(
    files: str | Path | Sequence[str | Path],
    data: str | Path,
    *,
    weights: str | None = None,
    recipe: str | None = None,
    size: int | None = None,
    classes: str | Path | None = None,
    labels: str | Path | None = None,
    limit: int | None = None,
    subset: str | Path | None = None,
    partial: bool = False,
    raw: bool = False,
    root: str | None = None,
    facts: Mapping[str, Any] | None = None,
    key: bytes | None = None,
    device: str | None = None,
    engine: str = AUTO,
    dtype: str = "auto",
    compile: bool = False,  # noqa: A002
    batch_size: int | None = None,
    workers: int | None = None,
    pipeline: str = EXACT,
    max_pixels: int | None = None,
    skip_broken: bool = False,
    only_present: bool = False,
    runs: str | Path = RUNS,
    resume: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[EvaluationRun]:
    """Run the networks in `files`, of any layout, on the images of `data`, and return the run of each network.

    data: a folder per class, a folder or tar of images, shards (`val-{000..049}.tar`), or Parquet.
    weights: the training, if a file does not tell it; it decides the preprocessing.
    recipe, size: a preprocessing, and the image size in pixels, instead of the files' own.
    classes: a file with the names of the classes of your own data, in order. labels: a file of other labels.
    limit: evaluate this many images, spread evenly; subset: a list of those to evaluate. partial: allow missing images.
    raw, root, facts, key: how to read the files, as in `effconvert.convert`.
    device: `cpu` or `cuda`; by default a GPU if there is one.
    engine: what computes the network on a CPU: `torch`, `onnxruntime` or `openvino`; by default (`auto`) the fastest of
        those that are installed and give torch's logits.
    dtype: `auto`, `float32`, `bfloat16` or `float16`.
    compile: compile the network first. batch_size: by default as many as fit. workers: processes that prepare images;
        by default one per core. pipeline: `exact` or `fast`.
    max_pixels: read images of up to so many pixels; by default 67,108,864.
    skip_broken: leave out unreadable images. only_present: choose only among classes that the data has.
    runs: the folder of the run files; during a run its answers are in a journal there, so that nothing is lost.
    resume: continue an unfinished run. force: begin it anew. A run of other data or settings is never replaced.
    progress: called with the number of finished images, and the total.

    Raises MissingPath, UnreadableCheckpoint, LayoutMismatch for a network without classes or with other classes than
    the data set, DatasetProblem, OutputProblem for an existing run, NumericMismatch for NaN, Unavailable.

    Example: `(run,) = effconvert.validate.measure_accuracy("b0.safetensors", "imagenet/val")`
    """
    with pixels_allowed(max_pixels):
        return measure_files(
            [files] if isinstance(files, str | Path) else files,
            data,
            options=Options(weights=weights, raw=raw, root=root, facts=facts),
            key=key,
            recipe=recipe,
            size=size,
            classes=_path(classes),
            labels=_path(labels),
            partial=partial,
            limit=limit,
            subset=_path(subset),
            out=Path(runs),
            settings=Settings(
                device=device,
                engine=engine,
                dtype=dtype,
                compiled=compile,
                batch=batch_size,
                workers=workers,
                pipeline=pipeline,
                skip_broken=skip_broken,
                only_present=only_present,
                resume=resume,
                force=force,
            ),
            progress=progress or (lambda done, total: None),
        )


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
