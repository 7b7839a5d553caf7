"""Some images read, decoded and resized into memory that is given; torch is never imported."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from effconvert.validate.data.image_hashes import UNREADABLE, image_hash
from effconvert.validate.data.reading import Location, read_image
from effconvert.validate.evaluation.ring import Ring
from effconvert.validate.evaluation.settings import FAST
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem
from effconvert.preprocessing.fast import fast_pixels
from effconvert.preprocessing.pipeline import pixels
from effconvert.preprocessing.recipes import Recipe


class Setup(NamedTuple):
    """What a worker is told first. pipeline: `exact` or `fast`."""

    recipe: Recipe
    pipeline: str
    ring: Ring


class Prepared(NamedTuple):
    """What became of the images of one slot.

    failures: [(place in the slot, what is wrong)]. hashes: of their bytes, one after the other. reading: seconds.
    preparing: seconds of processor time.
    """

    failures: list[tuple[int, str]]
    hashes: bytes
    reading: float
    preparing: float


def prepare(locations: Sequence[Location], recipe: Recipe, pipeline: str, slot: NDArray[Any]) -> Prepared:
    """Write the images at `locations` into `slot` [images, size, size, 3]; one that cannot be read becomes zeros.

    Raises what `pixels` does but DatasetProblem, which is reported.
    """
    failures, hashes, reading, preparing = [], list[bytes](), 0.0, 0.0
    for place, location in enumerate(locations):
        data, found = b"", UNREADABLE
        try:
            begin = time.perf_counter()
            data = read_image(location)
            reading += time.perf_counter() - begin
            begin = time.process_time()
            found = image_hash(data)
            (fast_pixels if pipeline == FAST else pixels)(data, recipe, slot[place])
            preparing += time.process_time() - begin
        except DatasetProblem as error:
            slot[place] = 0
            failures.append((place, str(error).removeprefix(f"an image of {len(data)} bytes: ")))
        hashes.append(found)
    return Prepared(failures, b"".join(hashes), reading, preparing)
