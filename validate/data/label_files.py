"""Labels of a data set, from a file, the container, or the names of ImageNet's images.

A file has `name label` lines, the development kit's ground truth, or ImageNet-ReaL's JSON.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from effconvert.errors import DatasetProblem, listing
from effconvert.option_words import option
from effconvert.validate.data import imagenet
from effconvert.validate.data.classes import imagenet_classes
from effconvert.validate.data.containers.contents import Contents, counted, is_number, stem
from effconvert.validate.data.text_lines import read_json, read_lines

DEVKIT = "ILSVRC2012_validation_ground_truth.txt"
Labels = dict[str, str | int]
_SYNSET = re.compile(r"(?<![0-9A-Za-z])n\d{8}(?![0-9])")


@dataclass(frozen=True)
class LabelFile:
    """pairs: (line, name of an image, label); or ids: the development kit's, in the order of the images' names."""

    path: Path
    pairs: tuple[tuple[int, str, str | int], ...] = ()
    ids: tuple[int, ...] = ()


def read_real(path: Path) -> list[list[int]]:
    """Return the correct classes of each ImageNet validation image, image 1 first; some have none.

    Source: Beyer et al., "Are we done with ImageNet?", https://arxiv.org/abs/2006.07159, real.json.

    Raises DatasetProblem for anything that is not 50,000 lists of classes.
    """
    content = read_json(path)
    expected = f"expected {imagenet.IMAGES:,} lists of classes, 0 to 999, as ImageNet-ReaL's real.json"
    if not isinstance(content, list) or len(content) != imagenet.IMAGES:
        found = f"a list of {len(content):,}" if isinstance(content, list) else type(content).__name__
        raise DatasetProblem(f"{path}: found {found}; {expected}")
    good = all(
        isinstance(row, list) and all(type(label) is int and 0 <= label < 1000 for label in row) for row in content
    )
    if not good:
        raise DatasetProblem(f"{path}: an entry is not a list of classes; {expected}")
    return [list(map(int, row)) for row in content]


def read_label_file(path: Path) -> LabelFile:
    """Return the labels in a text file. Separators are a tab, a comma or blanks. Raises DatasetProblem."""
    pairs: list[tuple[int, str, str | int]] = []
    alone: list[tuple[int, str]] = []
    try:
        for number, line in read_lines(path, "labels"):
            name, *labels = _split(line) or [""]
            if labels:
                pairs.append((number, name, _as_label(labels[0])))
            elif name:
                alone.append((number, name))
    except csv.Error as error:
        raise DatasetProblem(f"{path}: cannot be read as labels: {error}") from error
    if alone and not pairs and all(is_number(text) for _, text in alone):
        return LabelFile(path, ids=tuple(int(text) for _, text in alone))
    short = [f"line {number}: {text!r} has no label" for number, text in alone]
    if short or not pairs:
        what = "`name label` lines, or ids of the development kit, one per line"
        raise DatasetProblem(listing(f"{path}: not a file of labels; expected {what}:", short or ["it is empty"]))
    return LabelFile(path, tuple(pairs))


def labelled(contents: Contents, file: LabelFile) -> tuple[Contents, list[str]]:
    """Return `contents` with the labels of `file`, and the labels that have no image.

    Raises DatasetProblem for two labels of one image, and if the number of ids is not the number of images.
    """
    found: Labels = dict(_by_id(contents, file)) if file.ids else _by_name(contents, file)
    images, used = [], set()
    for image in contents.images:
        key = next((key for key in _keys(image.name) if key in found), None)
        used.add(key)
        images.append(image._replace(label=found[key] if key is not None else None))
    spare = [] if file.ids else [name for name in found if name not in used]
    return replace(contents, images=images, folders=(), class_names=()), spare


def _by_name(contents: Contents, file: LabelFile) -> Labels:
    names = {key for image in contents.images for key in _keys(image.name)}
    found: Labels = {}
    twice = []
    for place, (number, name, label) in enumerate(file.pairs):
        key = name.removeprefix("./").replace("\\", "/")
        key = next((key for key in _keys(key) if key in names), key)
        if place == 0 and key not in names and _is_header(label):
            continue
        if key in found:
            twice.append(f"line {number}: {name} already has a label")
        found[key] = label
    if twice:
        raise DatasetProblem(listing(f"{file.path}: images with two labels:", twice))
    return found


def _is_header(label: str | int) -> bool:
    return isinstance(label, str) and label not in imagenet_classes().places()


def _by_id(contents: Contents, file: LabelFile) -> Iterator[tuple[str, str]]:
    """Yield (name, synset): line n belongs to ImageNet's image n, or else to the nth of the sorted names."""
    wrong = sorted({number for number in file.ids if number not in imagenet.classes_of_ids()})
    if wrong:
        words = f"found {', '.join(map(str, wrong[:5]))}; the development kit's ids are 1 to 1000"
        raise DatasetProblem(f"{file.path}: {words}; write other labels as `name label` lines")
    names = sorted(image.name for image in contents.images)
    numbers = [imagenet.image_number(name) for name in names]
    if len(file.ids) == imagenet.IMAGES and None not in numbers:
        lines = [number - 1 for number in numbers if number]
    elif len(file.ids) == len(names):
        lines = list(range(len(names)))
    else:
        counts = f"{counted(len(file.ids), 'label')} without names, and {counted(len(names), 'image')}"
        words = f"{counts}: the numbers differ, so labels cannot be matched to images"
        raise DatasetProblem(f"{file.path}: {words}")
    synsets, places = imagenet_classes().identifiers, imagenet.classes_of_ids()
    yield from ((name, synsets[places[file.ids[line]]]) for name, line in zip(names, lines, strict=True))


def _keys(name: str) -> Iterator[str]:
    """Yield the forms of a name that a file of labels may use: whole, without folders, without suffix, its number."""
    yield name
    yield name.rpartition("/")[2]
    yield stem(name)
    number = imagenet.image_number(name)
    if number:
        yield stem(imagenet.image_name(number))


def _split(line: str) -> list[str]:
    if "\t" in line or "," in line:
        row = next(csv.reader([line], delimiter="\t" if "\t" in line else ",", skipinitialspace=True))
        row = [field.strip() for field in row]
    else:
        row = line.split(None, 1)
    return [field for field in row if field]


def _as_label(text: str) -> str | int:
    """Return a label as a synset, a number or a string; Kaggle's solution file has boxes after the synset."""
    first = text.split()[0]
    if imagenet.SYNSET.fullmatch(first):
        return first
    return int(text) if is_number(text) else text


def label(contents: Contents, labels: Path | None, partial: bool) -> tuple[Contents, list[str]]:
    """Return `contents` with labels, from the file `labels` or as found, and sentences on their source.

    A label without an image is a problem, or a finding if partial. Raises DatasetProblem for a file without labels.
    """
    if labels:
        return _from_file(contents, read_label_file(labels), partial)
    if any(image.label is not None for image in contents.images):
        return contents, []
    found = [file for path in contents.label_files if (file := _fitting(contents, Path(path)))]
    preferred = [file for file in found if file.path.name == DEVKIT] or found
    if len(preferred) > 1:
        names = ", ".join(file.path.name for file in preferred)
        contents.problems.append(f"several files of labels: {names}; choose one with {option('labels')}")
        return contents, []
    others = len(contents.label_files) - len(preferred)
    if others:
        contents.left_out["files that are not images"] += others
    if preferred:
        return _from_file(contents, preferred[0], partial)
    return _from_names(contents)


def _from_file(contents: Contents, file: LabelFile, partial: bool) -> tuple[Contents, list[str]]:
    contents, spare = labelled(contents, file)
    said = [f"labels from {file.path}"]
    if spare:
        words = f"{file.path.name}: {counted(len(spare), 'label')} without an image: {', '.join(spare[:3])}"
        (said if partial else contents.problems).append(words)
    return contents, said


def _fitting(contents: Contents, path: Path) -> LabelFile | None:
    """Return the labels in a file beside the images, if they are labels of these images."""
    try:
        file = read_label_file(path)
        found, _ = labelled(contents, file)
    except DatasetProblem:
        if path.name == DEVKIT:
            raise
        return None
    return file if all(image.label is not None for image in found.images) else None


def _from_names(contents: Contents) -> tuple[Contents, list[str]]:
    """Return `contents` with ImageNet's own labels, or with the synsets in the names."""
    found = [_SYNSET.search(image.name) for image in contents.images]
    synsets = [match[0] for match in found if match]
    said = "labels are the synsets in the images' names"
    if len(synsets) < len(contents.images):
        numbers = [imagenet.image_number(image.name) for image in contents.images]
        own, identifiers = imagenet.validation_labels(), imagenet_classes().identifiers
        synsets = [identifiers[own[number - 1]] for number in numbers if number]
        said = "labels are ImageNet's own, found by the images' names"
    if len(synsets) < len(contents.images):
        return contents, []
    images = [image._replace(label=synset) for image, synset in zip(contents.images, synsets, strict=True)]
    return replace(contents, images=images), [said]
