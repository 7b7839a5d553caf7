"""Measures the accuracy of networks on a data set: each image once, whatever the batches, workers and ranks.

What is wrong with files, data or outputs is found before the first image is computed. Networks whose preprocessing
gives the same pixels share one pass over the images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from effconvert.validate.classes import ClassList, read_classes
from effconvert.validate.dataset import Dataset, open_dataset
from effconvert.validate.evaluation.journal import Answers
from effconvert.validate.evaluation.ranks import Ranks
from effconvert.validate.evaluation.run_file import (
    check_run,
    check_same_run,
    gathered,
    journal_path,
    remove_journals,
    take_up,
)
from effconvert.validate.evaluation.settings import EXACT, FAST, Settings
from effconvert.validate.predictions import Predictions, read_predictions, write_predictions
from effconvert.validate.run_records import header_of, predictions_of
from effconvert.validate.sampling import choose_images
from effconvert.validate.subjects import Subject, subject
from numpy.typing import NDArray

from effconvert.errors import EffconvertError, LayoutMismatch, OutputProblem, listing
from effconvert.options import Options

if TYPE_CHECKING:
    from effconvert.validate.evaluation.computing import Computing

RUNS = Path("effconvert-runs")
# How many images show what the fast pipeline changes.
_SAMPLE = 512

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Entry:
    """A network to be measured. out: where its run is kept. first_class: which of its outputs is the first class."""

    subject: Subject
    out: Path
    first_class: int


@dataclass(frozen=True)
class Measured:
    """A finished run, and the file that it is kept in."""

    out: Path
    predictions: Predictions = field(repr=False)


def measure_accuracy(
    files: Sequence[str | Path],
    data: str | Path,
    *,
    options: Options | None = None,
    key: bytes | None = None,
    recipe: str | None = None,
    size: int | None = None,
    classes: Path | None = None,
    labels: Path | None = None,
    partial: bool = False,
    limit: int | None = None,
    subset: Path | None = None,
    out: Path = RUNS,
    settings: Settings | None = None,
    ranks: Ranks | None = None,
    found: Callable[[Dataset], None] = lambda dataset: None,
    progress: Progress = lambda done, total: None,
) -> list[Measured]:
    """Run the networks in `files`, of any layout, on the images of `data`, and return what each answered.

    options: how the files are read, and which training they are (`weights`). recipe, size: in place of the files' own.
    data, classes, labels, partial: as `open_dataset`; limit, subset: as `choose_images`. out: the folder of the run
    files, one a network; while a run lasts its answers lie beside it, so that nothing is lost. found: is told of the
    data set before the first image. progress: is told how many images of how many this process has done.

    Raises MissingPath, UnreadableCheckpoint, LayoutMismatch for a network without classes or with others than the data
    set has, DatasetProblem, OutputProblem for a run that is there, NumericMismatch for NaN, Unavailable.

    Example: `effconvert.validate.measure_accuracy(["b0.safetensors"], "imagenet/val")`
    """
    settings, ranks = settings or Settings(), ranks or Ranks()
    subjects = [subject(file, options or Options(), key, recipe, size) for file in files]
    outs = _outs(out, [one.file.path for one in subjects])
    if ranks.first:
        _make_folder(out)
        for path in outs:
            check_run(path, settings.resume, settings.force)
    some = partial or limit is not None or subset is not None
    dataset = open_dataset(data, _classes(classes, subjects), labels, some)
    found(dataset)
    ids = choose_images(dataset, limit, subset)
    entries = [Entry(one, path, _first_class(one, dataset.classes)) for one, path in zip(subjects, outs, strict=True)]
    measured: dict[Path, Measured] = {}
    for group in _sharing_pixels(entries):
        measured |= _measure_group(group, dataset, ids, settings, ranks, progress)
    return [measured[entry.out] for entry in entries]


def _classes(file: Path | None, subjects: Sequence[Subject]) -> ClassList | None:
    """Return the class list that the user gave, or that the first file names where its classes are not ImageNet's."""
    if file is not None:
        return read_classes(file)
    identity = subjects[0].file.identity
    names = identity.description.labels if identity.description else identity.companion.labels
    if len(names) != identity.facts.classes or len(names) in (1000, 1001):
        return None
    return ClassList(str(subjects[0].file.path), tuple(names), tuple(names))


def _first_class(one: Subject, classes: ClassList) -> int:
    """Return which output is the first class: the second where there is a background before them."""
    outputs = one.file.facts.classes
    if outputs in (len(classes), len(classes) + 1):
        return outputs - len(classes)
    path = one.file.path
    if not outputs:
        raise LayoutMismatch(f"{path}: has no classifier, so that there is no accuracy to measure")
    raise LayoutMismatch(
        f"{path}: its network has {outputs:,} classes, the data set {len(classes):,} ({classes.name}); "
        "--classes names a file with the network's own"
    )


def _outs(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Return a run file for each file, named after it, and after its folders where two would have the same name."""
    names = [file.name.removesuffix(file.suffix) if file.is_file() else file.resolve().name for file in files]
    whole = ["-".join(part for part in file.parts if part not in ("/", "..", ".")) for file in files]
    unique = [
        name if names.count(name) == 1 else longer.removesuffix(file.suffix)
        for name, longer, file in zip(names, whole, files, strict=True)
    ]
    doubled = sorted({name for name in unique if unique.count(name) > 1})
    if doubled:
        raise OutputProblem(listing("two files would have the same run; name each once:", doubled))
    return [folder / f"{name}.npz" for name in unique]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputProblem(f"{folder}: cannot be made: {error.strerror}; --runs names another folder") from error


def _sharing_pixels(entries: Sequence[Entry]) -> list[list[Entry]]:
    groups: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.subject.recipe.pixel_steps, []).append(entry)
    return list(groups.values())


def _measure_group(
    group: Sequence[Entry],
    dataset: Dataset,
    ids: NDArray[np.int64],
    settings: Settings,
    ranks: Ranks,
    progress: Progress,
) -> dict[Path, Measured]:
    """Measure networks that want the same pixels, in one pass over the images that any of them has not answered."""
    from effconvert.validate.evaluation.computing import choose_computing
    from effconvert.validate.evaluation.loading import usual_workers
    from effconvert.validate.evaluation.passes import Pass, run_pass

    computing = choose_computing(settings.device, settings.dtype, settings.compiled, ranks.local_rank)
    workers = usual_workers(ranks.local_count) if settings.workers is None else settings.workers
    headers = {entry.out: header_of(entry.subject, dataset, ids, settings, computing) for entry in group}
    finished = {entry.out: run for entry in group if (run := _finished(entry.out, headers[entry.out], settings))}
    entries = [entry for entry in group if entry.out not in finished]
    if not entries:
        return finished
    earlier = {entry.out: take_up(entry.out, headers[entry.out], settings.resume, ranks) for entry in entries}
    passes = [
        Pass(entry.subject, entry.first_class, journal_path(entry.out, ranks.rank), earlier[entry.out]["id"])
        for entry in entries
    ]
    exact = _exact_sample(entries, dataset, ids, settings, computing, workers, ranks)
    done = set.intersection(*(set(one.have.tolist()) for one in passes))
    mine = ranks.share([int(number) for number in ids if number not in done])
    count = 0

    def advance(images: int) -> None:
        nonlocal count
        count += images
        progress(count, len(mine))

    course = ranks.agree(
        lambda: run_pass(passes, dataset, mine, settings, computing, workers, settings.pipeline, advance)
    )
    skipped = {number: words for part in ranks.gather(course.skipped) for number, words in part.items()}
    rates = course.rates(passes, workers) | {"ranks": ranks.count}
    for entry, one in zip(entries, passes, strict=True):
        answers = gathered(np.concatenate([earlier[entry.out], one.answered]), ranks)
        _check_once(answers, ids, skipped)
        how = {"execution": one.how, "at_once": one.at_once, **_effect(answers, exact.get(entry.out), dataset)}
        record = {"settings": headers[entry.out], "computing": {**computing.record(), **how}, "run": rates}
        predictions = predictions_of(entry.subject, dataset, answers, skipped, record)
        if ranks.first:
            write_predictions(entry.out, predictions, force=True)
        finished[entry.out] = Measured(entry.out, predictions)
    ranks.agree(lambda: None)  # the runs are written; what was only needed to continue may go
    for entry in entries:
        remove_journals(entry.out)
    return finished


def _finished(out: Path, header: Mapping[str, Any], settings: Settings) -> Measured | None:
    """Return the run at `out` that is to be gone on with, where nothing is left to do."""
    if not (settings.resume and out.exists()):
        return None
    predictions = read_predictions(out)
    check_same_run(out, predictions.record.get("settings", {}), header)
    return Measured(out, predictions)


def _exact_sample(
    entries: Sequence[Entry],
    dataset: Dataset,
    ids: NDArray[np.int64],
    settings: Settings,
    computing: "Computing",
    workers: int,
    ranks: Ranks,
) -> dict[Path, Answers]:
    """Return what each network answers to a sample of the images, exactly prepared, where they will not be."""
    from effconvert.validate.evaluation.passes import Pass, run_pass

    if settings.pipeline != FAST:
        return {}
    count = min(_SAMPLE, len(ids))
    sample = ranks.share(ids[np.arange(count) * len(ids) // count].tolist())
    passes = [Pass(entry.subject, entry.first_class) for entry in entries]
    ranks.agree(lambda: run_pass(passes, dataset, sample, settings, computing, workers, EXACT, lambda images: None))
    return {entry.out: gathered(one.answered, ranks) for entry, one in zip(entries, passes, strict=True)}


def _effect(answers: Answers, exact: Answers | None, dataset: Dataset) -> dict[str, Any]:
    """Return what the fast pipeline changed on the sample, {} where the pipeline was exact."""
    if exact is None:
        return {"pipeline": EXACT}
    _, fast_places, exact_places = np.intersect1d(answers["id"], exact["id"], return_indices=True)
    fast, exact = answers[fast_places], exact[exact_places]
    labels = dataset.labels[fast["id"]]
    right = [int((one["top5"][:, :1] == labels).any(1).sum()) for one in (fast, exact)]
    return {
        "pipeline": FAST,
        "effect": {
            "images": len(fast),
            "changed_top1": int((fast["top5"][:, 0] != exact["top5"][:, 0]).sum()),
            "hits": right[0],
            "hits_exact": right[1],
            "top1_difference": round(100 * (right[0] - right[1]) / len(fast), 4) if len(fast) else None,
        },
    }


def _check_once(answers: Answers, ids: NDArray[np.int64], skipped: Mapping[int, str]) -> None:
    """Raise EffconvertError unless every image was answered once, or could not be read."""
    wanted = np.setdiff1d(ids, np.fromiter(skipped, np.int64, len(skipped)))
    if not np.array_equal(answers["id"], wanted):
        missing, strange = np.setdiff1d(wanted, answers["id"]), np.setdiff1d(answers["id"], wanted)
        raise EffconvertError(
            f"a fault of effconvert: {len(missing):,} images were not answered, {len(strange):,} not asked for"
        )
