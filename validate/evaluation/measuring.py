"""Measures the accuracy of networks on a data set: each image once, whatever the batches, workers and ranks.

What is wrong with files, data or outputs is found before the first image is computed. Networks whose preprocessing
gives the same pixels share one pass over the images.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from effconvert.errors import LayoutMismatch, OutputProblem, listing
from effconvert.options import Options
from effconvert.validate.data.classes import IMAGENET, ClassList, read_classes
from effconvert.validate.data.dataset import Dataset, open_dataset
from effconvert.validate.data.sampling import choose_images
from effconvert.validate.evaluation.jobs import ALL, LIMIT, SUBSET, Entry, Measured, Settings
from effconvert.validate.evaluation.ranks import Ranks
from effconvert.validate.subjects import Subject, subject

RUNS = Path("effconvert-runs")
Progress = Callable[[int, int], None]


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
    found: Callable[[Dataset, Sequence[Subject]], None] = lambda dataset, subjects: None,
    note: Callable[[str], None] = lambda words: None,
    progress: Progress = lambda done, total: None,
) -> list[Measured]:
    """Run the networks in `files`, of any layout, on the images of `data`, and return what each answered.

    options: how the files are read, and which training they are (`weights`). recipe, size: in place of the files' own.
    data, classes, labels, partial: as `open_dataset`; limit, subset: as `choose_images`. out: the folder of the run
    files, one a network; while a run lasts its answers lie beside it, so that nothing is lost. A run of other data or
    settings is never replaced. found: is told of data set and networks before the first image. note: is told, in
    sentences, which earlier runs are others, and why. progress: is told how many images of how many this process has
    done.

    Raises MissingPath, UnreadableCheckpoint, LayoutMismatch for a network without classes or with others than the data
    set has, DatasetProblem, OutputProblem for a run that is there, NumericMismatch for NaN, Unavailable.

    Example: `effconvert.validate.measure_accuracy(["b0.safetensors"], "imagenet/val")`
    """
    chosen = SUBSET if subset is not None else LIMIT if limit is not None else ALL
    settings, ranks = replace(settings or Settings(), chosen=chosen), ranks or Ranks()
    subjects = ranks.agree(lambda: [subject(file, options or Options(), key, recipe, size) for file in files])
    names = ranks.agree(lambda: _names([one.file.path for one in subjects]))
    ranks.agree(lambda: _make_folder(out) if ranks.first else None)
    some = partial or limit is not None or subset is not None
    dataset = ranks.agree(lambda: open_dataset(data, _classes(classes, subjects), labels, some))
    found(dataset, subjects)
    ids = ranks.agree(lambda: choose_images(dataset, limit, subset))
    firsts = ranks.agree(lambda: [_first_class(one, dataset.classes) for one in subjects])
    entries = [Entry(*each) for each in zip(subjects, names, firsts, strict=True)]
    from effconvert.validate.evaluation.groups import measure_group  # torch, once data and files are known to be good

    measured: dict[str, Measured] = {}
    for group in _sharing_pixels(entries):
        measured |= measure_group(group, dataset, ids, out, settings, ranks, progress=progress, note=note)
    return [measured[entry.name] for entry in entries]


def _classes(file: Path | None, subjects: Sequence[Subject]) -> ClassList | None:
    """Return the class list that the user gave, or that the first file names where its classes are not ImageNet's."""
    if file is not None:
        return read_classes(file)
    identity = subjects[0].file.identity
    names = identity.description.labels if identity.description else identity.companion.labels
    if not names or len(names) != identity.facts.classes or len(names) in (1000, 1001):
        return None
    return ClassList(str(subjects[0].file.path), tuple(names), tuple(names))


def _first_class(one: Subject, classes: ClassList) -> int:
    """Return which output is the first class: of networks with ImageNet's background class the second."""
    outputs = one.file.facts.classes
    if outputs == len(classes):
        return 0
    if outputs == len(classes) + 1 and classes.name == IMAGENET:
        return 1
    path = one.file.path
    if not outputs:
        raise LayoutMismatch(f"{path}: has no classifier, so that there is no accuracy to measure")
    raise LayoutMismatch(
        f"{path}: its network has {outputs:,} classes, the data set {len(classes):,} ({classes.name}); "
        "--classes names a file with the network's own"
    )


def _names(files: Sequence[Path]) -> list[str]:
    """Return a name for the run of each file: its own, with its folders where two would have the same."""
    names = [file.name.removesuffix(file.suffix) if file.is_file() else file.resolve().name for file in files]
    whole = ["-".join(part for part in file.parts if part not in ("/", "..", ".")) for file in files]
    unique = [
        name if names.count(name) == 1 else longer.removesuffix(file.suffix)
        for name, longer, file in zip(names, whole, files, strict=True)
    ]
    doubled = sorted({name for name in unique if unique.count(name) > 1})
    if doubled:
        raise OutputProblem(listing("two files would have the same run; name each once:", doubled))
    return unique


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
