"""Choice of the images to evaluate: all, an even sample, or those that a user lists."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, listing
from effconvert.paths import require_path
from effconvert.validate.data.containers.contents import stem
from effconvert.validate.data.dataset import Dataset
from effconvert.validate.data.text_lines import read_lines


def choose_images(dataset: Dataset, limit: int | None = None, subset: Path | None = None) -> NDArray[np.int64]:
    """Return the ids of the images to evaluate, in the data set's order.

    limit: the number of images, spread evenly over the classes and within each class over the names, whatever the
    order in the container. subset: a file with the name of an image, or the identifier of a class, on each line.

    Raises MissingPath; DatasetProblem with every line without a match, or when no image is left.
    """
    ids = np.arange(len(dataset.names)) if subset is None else _listed(dataset, require_path(subset))
    if limit is not None and limit < len(ids):
        names = np.array([stem(dataset.names[number]) for number in ids])
        ordered = ids[np.lexsort((names, dataset.labels[ids, 0]))]
        ids = np.sort(ordered[np.arange(limit) * len(ids) // limit])
    return ids.astype(np.int64)


def _listed(dataset: Dataset, path: Path) -> NDArray[np.int64]:
    places: dict[str, list[int]] = {}
    for place, name in enumerate(dataset.names):
        for alias in {name, stem(name)}:
            places.setdefault(alias, []).append(place)
    of_class = {identifier: index for index, identifier in enumerate(dataset.classes.identifiers)}
    chosen: set[int] = set()
    unknown = []
    for number, line in read_lines(path, "a list of images"):
        if line in of_class:
            chosen.update(np.flatnonzero((dataset.labels == of_class[line]).any(1)).tolist())
        elif line in places or stem(line) in places:
            chosen.update(places.get(line) or places[stem(line)])
        else:
            unknown.append(f"line {number}: {line}")
    if unknown:
        raise DatasetProblem(listing(f"{path}: these lines are neither images nor classes of {dataset.path}:", unknown))
    if not chosen:
        raise DatasetProblem(f"{path}: does not name any image of {dataset.path}")
    return np.array(sorted(chosen))
