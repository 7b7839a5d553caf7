"""What makes two data sets the same: their classes, and each image's name, right classes and bytes.

Where they lie does not, nor in what kind of container: a name is that within its class, or ImageNet's own.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.validate.data import imagenet
from effconvert.validate.data.classes import ClassList
from effconvert.validate.data.containers.contents import common_folders
from effconvert.validate.data.image_hashes import Hashes
from effconvert.validate.predictions import NO_LABEL

_SUFFIXES = {"jpeg": "jpg"}  # which a WebDataset calls either


def identity_names(
    names: Sequence[str], numbers: Sequence[int | None], labels: NDArray[np.int32], classes: ClassList
) -> list[str]:
    """Return what the identity of a data set calls its images.

    names, labels [N]: whole names, and classes. numbers: which of ImageNet's validation images each is, by its name:
    they have ImageNet's names. Of others the folders that all lie in do not count, nor the folder that only says the
    class, which not every container has; all other folders do.
    """
    places = [name.rpartition("/") for name in names]
    folders = {folder: folder.split("/") if folder else [] for folder, _, _ in places}
    common = len(common_folders(list(folders.values())))

    @cache
    def within_class(folder: str, label: int) -> str:
        parts = folders[folder][common:]
        of_class = (classes.identifiers[label], classes.names[label], str(label))
        return "".join(f"{part}/" for part in (parts[1:] if parts and parts[0] in of_class else parts))

    return [
        imagenet.image_name(number) if number else within_class(folder, label) + _with_one_spelling(last)
        for number, (folder, _, last), label in zip(numbers, places, labels.tolist(), strict=True)
    ]


def listing_hashes(names: Sequence[str], labels: NDArray[np.int32], classes: ClassList) -> dict[str, str]:
    """Return the SHA-256 of each part of a data set's identity that is known before an image is read.

    names: as `identity_names` gives them. labels [N, L]: ended by NO_LABEL. classes: of their identifiers, in order.
    names, labels: of what all images are called, and of the right classes of each, in whatever order they lie.
    """
    return {
        "classes": _sha256(classes.identifiers),
        "names": _sha256(sorted(names)),
        "labels": _sha256(sorted(map(" ".join, zip(_rows(labels), names, strict=True)))),
    }


def fingerprint(names: Sequence[str], labels: NDArray[np.int32], classes: ClassList, hashes: Hashes) -> str:
    """Return the SHA-256 of all that `listing_hashes` tells apart, and of the images' bytes (`hashes` [N, 16])."""
    images = zip((row.tobytes().hex() for row in hashes), _rows(labels), names, strict=True)
    return _sha256([classes.identifiers, sorted(map(" ".join, images))])


def _with_one_spelling(name: str) -> str:
    """Return a name whose suffix is spelled in one way."""
    stem, dot, suffix = name.rpartition(".")
    suffix = suffix.lower()
    return f"{stem}.{_SUFFIXES.get(suffix, suffix)}" if dot else name


def _rows(labels: NDArray[np.int32]) -> Iterator[str]:
    """Yield the labels of each image; a name behind them cannot be taken for one, for a slash ends them."""
    return ("".join(f"{label} " for label in row if label != NO_LABEL) + "/" for row in labels.tolist())


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
