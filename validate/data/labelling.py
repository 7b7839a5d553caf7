"""Where the labels of a data set come from: a file, the container, or the names of ImageNet's images."""

import re
from dataclasses import replace
from pathlib import Path

from effconvert.validate.data import imagenet
from effconvert.validate.data.classes import imagenet_classes
from effconvert.validate.data.containers.contents import Contents, counted
from effconvert.validate.data.label_files import DEVKIT, LabelFile, labelled, read_label_file

from effconvert.errors import DatasetProblem

_SYNSET = re.compile(r"(?<![0-9A-Za-z])n\d{8}(?![0-9])")


def label(contents: Contents, labels: Path | None, partial: bool) -> tuple[Contents, list[str]]:
    """Return `contents` with labels, from the file `labels` or as found, and sentences that say from where.

    A label without an image is a problem, where partial a finding. Raises DatasetProblem for a file of no labels.
    """
    if labels:
        return _from_file(contents, read_label_file(labels), partial)
    if any(image.label is not None for image in contents.images):
        return contents, []
    found = [file for path in contents.label_files if (file := _fitting(contents, Path(path)))]
    preferred = [file for file in found if file.path.name == DEVKIT] or found
    if len(preferred) > 1:
        names = ", ".join(file.path.name for file in preferred)
        contents.problems.append(f"several files of labels: {names}; choose one with --labels")
        return contents, []
    others = len(contents.label_files) - len(preferred)
    if others:
        contents.left_out["files that are no images"] += others
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
    """Return the labels in a file that lies beside the images, if it holds labels of these images."""
    try:
        file = read_label_file(path)
        found, _ = labelled(contents, file)
    except DatasetProblem:
        if path.name == DEVKIT:
            raise
        return None
    return file if all(image.label is not None for image in found.images) else None


def _from_names(contents: Contents) -> tuple[Contents, list[str]]:
    """Return `contents` with the labels that ImageNet gave its images, or with the synsets in the names."""
    found = [_SYNSET.search(image.name) for image in contents.images]
    synsets = [match[0] for match in found if match]
    said = "labels from the synsets in the names of the images"
    if len(synsets) < len(contents.images):
        numbers = [imagenet.image_number(image.name) for image in contents.images]
        own, identifiers = imagenet.validation_labels(), imagenet_classes().identifiers
        synsets = [identifiers[own[number - 1]] for number in numbers if number]
        said = "labels are ImageNet's own, by the names of the images"
    if len(synsets) < len(contents.images):
        return contents, []
    images = [image._replace(label=synset) for image, synset in zip(contents.images, synsets, strict=True)]
    return replace(contents, images=images), [said]
