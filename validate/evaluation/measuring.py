"""Measurement of networks' accuracy on a data set: each image once, whatever the batches, workers and ranks.

Problems with files, data or outputs are found before the first image is computed. Networks with the same preprocessed
pixels share one pass over the images.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from effconvert.atomic import check_folder_name
from effconvert.errors import LayoutMismatch, OutputProblem, listing
from effconvert.option_words import option
from effconvert.options import Options
from effconvert.validate.data.classes import IMAGENET, ClassList, read_classes
from effconvert.validate.data.dataset import Dataset, open_dataset
from effconvert.validate.data.sampling import choose_images
from effconvert.validate.evaluation.jobs import ALL, LIMIT, SUBSET, EvaluationJob, EvaluationRun, Settings
from effconvert.validate.evaluation.ranks import Ranks
from effconvert.validate.subjects import Subject, load_subject

RUNS = Path("effconvert-runs")
Progress = Callable[[int, int], None]


def measure_files(
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
    found: Callable[[Dataset, Sequence[Subject]], None] = lambda dataset, subjects: None,
    note: Callable[[str], None] = lambda words: None,
    progress: Progress = lambda done, total: None,
) -> list[EvaluationRun]:
    """Run the networks in `files`, of any layout, on the images of `data`, and return each network's predictions.

    options: how to read the files, and their training (`weights`). recipe, size: instead of the files' own. data,
    classes, labels, partial: as in `open_dataset`; limit, subset: as in `choose_images`. out: the folder of the run
    files, one for each network; during a run its answers are in a journal beside it, so that nothing is lost. A run of
    other data or settings is never replaced. found: called with the data set and the networks before the first image.
    note: called with a sentence for each earlier run that is another one, and why. progress: called with the number of
    images that this process has done, and the total.

    Raises MissingPath, UnreadableCheckpoint, LayoutMismatch for a network without classes or with other classes than
    the data set, DatasetProblem, OutputProblem for an existing run, NumericMismatch for NaN, Unavailable.
    """
    chosen = SUBSET if subset is not None else LIMIT if limit is not None else ALL
    settings, ranks = replace(settings or Settings(), chosen=chosen), ranks or Ranks()
    subjects = ranks.agree(lambda: [load_subject(file, options or Options(), key, recipe, size) for file in files])
    names = ranks.agree(lambda: _names([one.file.path for one in subjects]))
    ranks.agree(lambda: _make_folder(out) if ranks.first else None)
    some = partial or limit is not None or subset is not None
    dataset = ranks.agree(
        lambda: open_dataset(data, _classes(classes, subjects), labels, some, only_present=settings.only_present)
    )
    found(dataset, subjects)
    ids = ranks.agree(lambda: choose_images(dataset, limit, subset))
    firsts = ranks.agree(lambda: [_first_class(one, dataset.classes) for one in subjects])
    jobs = [EvaluationJob(*each) for each in zip(subjects, names, firsts, strict=True)]
    from effconvert.validate.evaluation.groups import measure_group  # torch, once data and files are known to be good

    measured: dict[str, EvaluationRun] = {}
    for group in _sharing_pixels(jobs):
        measured |= measure_group(group, dataset, ids, out, settings, ranks, progress=progress, note=note)
    return [measured[job.name] for job in jobs]


def _classes(file: Path | None, subjects: Sequence[Subject]) -> ClassList | None:
    """Return the user's class list, or the one in the first file if its classes are not ImageNet's, else None."""
    if file is not None:
        return read_classes(file)
    identity = subjects[0].file.identity
    names = identity.description.labels if identity.description else identity.companion.labels
    if not names or len(names) != identity.facts.classes or len(names) in (1000, 1001):
        return None
    return ClassList(str(subjects[0].file.path), tuple(names), tuple(names))


def _first_class(one: Subject, classes: ClassList) -> int:
    """Return the output of the first class: 1 for networks with ImageNet's background class, else 0."""
    outputs = one.file.facts.classes
    if outputs == len(classes):
        return 0
    if outputs == len(classes) + 1 and classes.name == IMAGENET:
        return 1
    path = one.file.path
    if not outputs:
        raise LayoutMismatch(f"{path}: has no classifier, so there is no accuracy to measure")
    raise LayoutMismatch(
        f"{path}: the network has {outputs:,} classes, the data set has {len(classes):,} ({classes.name}); "
        f"give a file of the network's classes with {option('classes')}"
    )


def _names(files: Sequence[Path]) -> list[str]:
    """Return a name for the run of each file: the first of its names that no other file has, the shortest first.

    These are its name, with its suffix, and with its folders.
    """
    own = [file.name if file.is_file() else file.resolve().name for file in files]
    bare = [
        file.name.removesuffix(file.suffix) if file.is_file() else name for name, file in zip(own, files, strict=True)
    ]
    whole = ["-".join(part for part in file.parts if part not in ("/", "..", ".")) for file in files]
    folders = [longer.removesuffix(file.suffix) for longer, file in zip(whole, files, strict=True)]
    ways = (bare, own, folders, whole)
    unique = [
        next((way[place] for way in ways if way.count(way[place]) == 1), bare[place]) for place in range(len(files))
    ]
    doubled = sorted({name for name in unique if unique.count(name) > 1})
    if doubled:
        raise OutputProblem(listing("two files would have a run of the same name; give each file once:", doubled))
    return unique


def _make_folder(folder: Path) -> None:
    check_folder_name(folder, "--runs")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputProblem(
            f"{folder}: cannot be created: {error.strerror}; choose a folder with {option('runs')}"
        ) from error


def _sharing_pixels(jobs: Sequence[EvaluationJob]) -> list[list[EvaluationJob]]:
    groups: dict[tuple[object, ...], list[EvaluationJob]] = {}
    for job in jobs:
        groups.setdefault(job.subject.recipe.pixel_steps, []).append(job)
    return list(groups.values())
