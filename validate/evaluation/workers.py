"""A process that prepares images in memory that it shares with its parent; torch is never imported.

It is started by a command of its own and not by multiprocessing's ways: a fork would carry torch and its threads along,
and a spawned process would run the user's script once more.
"""

import mmap
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, EffconvertError
from effconvert.preprocessing.fast import fast_pixels
from effconvert.preprocessing.pipeline import pixels
from effconvert.preprocessing.recipes import Recipe
from effconvert.validate.data.image_hashes import UNREADABLE, image_hash
from effconvert.validate.data.locations import Location, read_image
from effconvert.validate.evaluation.jobs import FAST

# Not `-m`: what a module that is run as __main__ pickles, its parent cannot find.
COMMAND = (sys.executable, "-P", "-c", "from effconvert.validate.evaluation.workers import main; main()")


@dataclass(frozen=True)
class Ring:
    """How the memory is divided: `slots` times `images`, each [size, size, 3] of `dtype` (a numpy name)."""

    slots: int
    images: int
    size: int
    dtype: str

    @property
    def nbytes(self) -> int:
        """Of all slots."""
        return self.slots * self.images * image_bytes(self.size, self.dtype)

    def array(self, descriptor: int) -> NDArray[np.generic]:
        """Return the memory behind the file `descriptor` as [slots, images, size, size, 3]."""
        try:
            memory = mmap.mmap(descriptor, self.nbytes)
        except OSError as error:
            raise _no_memory(self.nbytes, error) from error
        return np.frombuffer(memory, self.dtype).reshape(self.slots, self.images, self.size, self.size, 3)


def image_bytes(size: int, dtype: str) -> int:
    """Return what one image takes."""
    return size * size * 3 * np.dtype(dtype).itemsize


def shared_memory(nbytes: int) -> int:
    """Return a descriptor of `nbytes` of memory that is freed when nobody has it open any more.

    /dev/shm is no place for it: containers give it 64 MB.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("effconvert-images")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        os.ftruncate(descriptor, nbytes)
    except OSError as error:
        os.close(descriptor)
        raise _no_memory(nbytes, error) from error
    return descriptor


def _no_memory(nbytes: int, error: OSError) -> EffconvertError:
    return EffconvertError(f"{nbytes:,} bytes to share images in cannot be had: {error.strerror}")


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


def main() -> None:
    """Serve the parent until it closes the connection, or is no more."""
    descriptor, memory = (int(argument) for argument in sys.argv[1:])
    with Connection(descriptor) as connection:
        try:
            _serve(connection, memory)
        except (EOFError, ConnectionError):
            return


def _serve(connection: Connection, memory: int) -> None:
    setup: Setup = connection.recv()
    ring = setup.ring.array(memory)
    os.close(memory)
    while True:
        slot, locations = connection.recv()
        try:
            answer: Prepared | EffconvertError = prepare(locations, setup.recipe, setup.pipeline, ring[slot])
        except EffconvertError as error:
            answer = error
        if "cv2" in sys.modules:  # as many threads as cores in each worker would be in each other's way
            sys.modules["cv2"].setNumThreads(1)
        connection.send(answer)
