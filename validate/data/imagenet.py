"""ImageNet's validation set as it was published: 50,000 numbered images, 50 of each class, and their labels.

`reference/imagenet_validation_labels.txt` holds the class of each image, a line for each, in the order of the numbers.
It is TensorFlow Datasets' list of synsets, which agrees with the development kit's ground truth.
"""

import re
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from effconvert.validate.data.classes import imagenet_rows

IMAGES = 50_000
PER_CLASS = 50
SYNSET = re.compile(r"n\d{8}")

_NAME = re.compile(r"ILSVRC2012_val_(\d{8})(?!\d)")


def image_number(name: str) -> int | None:
    """Return the number, 1 to 50,000, of the ImageNet validation image in `name`, at any position; else None."""
    found = _NAME.search(name)
    number = int(found[1]) if found else 0
    return number if 1 <= number <= IMAGES else None


def image_name(number: int) -> str:
    """Return the file name that ImageNet gave a validation image."""
    return f"ILSVRC2012_val_{number:08}.JPEG"


@cache
def validation_labels() -> NDArray[np.int32]:
    """Return [50,000]: the class of each validation image, image 1 first."""
    text = files("effconvert.reference").joinpath("imagenet_validation_labels.txt").read_text(encoding="ascii")
    return np.array(text.split(), np.int32)


@cache
def classes_of_ids() -> dict[int, int]:
    """Return {ILSVRC2012_ID: class}; the development kit numbers the classes 1 to 1,000 in another order."""
    return {int(row["ilsvrc_id"]): int(row["index"]) for row in imagenet_rows()}
