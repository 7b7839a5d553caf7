"""Where the labels of a data set come from: a file, the container, or the names of ImageNet's images."""

from pathlib import Path

from effconvert.validate import imagenet
from effconvert.validate.containers.contents import Contents
from effconvert.validate.label_files import DEVKIT, LabelFile, labelled, read_label_file

from effconvert.errors import DatasetProblem


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
        words = f"{file.path.name}: {len(spare):,} labels without an image: {', '.join(spare[:3])}"
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
    images = contents.images
    numbers = [imagenet.image_number(image.name) for image in images]
    known = [number for number in numbers if number]
    if len(known) < len(images):
        return contents, []
    synsets = [imagenet.SYNSET.search(image.name) for image in images]
    if all(synsets):
        contents.images = [
            image._replace(label=found[0]) for image, found in zip(images, synsets, strict=True) if found
        ]
        return contents, ["labels from the synsets in the names"]
    own = imagenet.validation_labels()
    places = zip(images, known, strict=True)
    contents.images = [image._replace(label=int(own[number - 1])) for image, number in places]
    return contents, ["labels are ImageNet's own, by the names of the images"]
