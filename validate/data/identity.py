"""Identity of a data set: its classes, and each image's name, correct classes and bytes.

Path and kind of container do not count: an image's name is the one within its class, or ImageNet's own.
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

_SUFFIXES = {"jpeg": "jpg"}  # a WebDataset uses both


def identity_names(
    names: Sequence[str], numbers: Sequence[int | None], labels: NDArray[np.int32], classes: ClassList
) -> list[str]:
    """Return the names of images for the identity of a data set.

    names, labels [N]: whole names, and classes. numbers [N]: the number of each image in ImageNet's validation set, if
    its name has one; these get ImageNet's names. For other images, folders that all images share are left out, and also
    the folder that only says the class, since not every container has it; all other folders count.
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

    names: from `identity_names`. labels [N, L]: ended by NO_LABEL. In the result, "classes" depends on the identifiers
    in order; "names" and "labels" do not depend on the order of the images.
    """
    return {
        "classes": _sha256(classes.identifiers),
        "names": _sha256(sorted(names)),
        "labels": _sha256(sorted(map(" ".join, zip(_rows(labels), names, strict=True)))),
    }


def fingerprint(names: Sequence[str], labels: NDArray[np.int32], classes: ClassList, hashes: Hashes) -> str:
    """Return one SHA-256 of everything in `listing_hashes` and of the images' bytes (`hashes` [N, 16])."""
    images = zip((row.tobytes().hex() for row in hashes), _rows(labels), names, strict=True)
    return _sha256([classes.identifiers, sorted(map(" ".join, images))])


def _with_one_spelling(name: str) -> str:
    """Return a name with its suffix in one spelling."""
    stem, dot, suffix = name.rpartition(".")
    suffix = suffix.lower()
    return f"{stem}.{_SUFFIXES.get(suffix, suffix)}" if dot else name


def _rows(labels: NDArray[np.int32]) -> Iterator[str]:
    """Yield the labels of each image, ended by a slash, so that the name after them is not read as a label."""
    return ("".join(f"{label} " for label in row if label != NO_LABEL) + "/" for row in labels.tolist())


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
