"""Worker process that prepares images in memory shared with its parent, without importing torch.

It is started by its own command and not by multiprocessing: a fork would copy torch and its threads, and a spawned
process would run the user's script again.
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
from effconvert.validate.data.image_bytes import read_image
from effconvert.validate.data.image_hashes import UNREADABLE, image_hash
from effconvert.validate.data.locations import Location
from effconvert.validate.evaluation.jobs import FAST

# Not `-m`: the parent cannot unpickle classes of a module that runs as __main__.
COMMAND = (sys.executable, "-P", "-c", "from effconvert.validate.evaluation.workers import main; main()")


@dataclass(frozen=True)
class Ring:
    """Division of the shared memory: `slots` times `images`, each [size, size, 3] of `dtype` (a numpy name)."""

    slots: int
    images: int
    size: int
    dtype: str

    @property
    def nbytes(self) -> int:
        """The bytes of all slots."""
        return self.slots * self.images * image_bytes(self.size, self.dtype)

    def array(self, descriptor: int) -> NDArray[np.generic]:
        """Return the memory behind the file `descriptor` as [slots, images, size, size, 3]."""
        try:
            memory = mmap.mmap(descriptor, self.nbytes)
        except OSError as error:
            raise _no_memory(self.nbytes, error) from error
        return np.frombuffer(memory, self.dtype).reshape(self.slots, self.images, self.size, self.size, 3)


def image_bytes(size: int, dtype: str) -> int:
    """Return the bytes of one image."""
    return size * size * 3 * np.dtype(dtype).itemsize


def shared_memory(nbytes: int) -> int:
    """Return a descriptor of `nbytes` of memory that is freed when its last user closes it.

    /dev/shm is not used: in containers it has only 64 MB.
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
    return EffconvertError(f"cannot allocate {nbytes:,} bytes of shared memory for images: {error.strerror}")


class Setup(NamedTuple):
    """The first message to a worker. pipeline: `exact` or `fast`."""

    recipe: Recipe
    pipeline: str
    ring: Ring


class Prepared(NamedTuple):
    """The result for the images of one slot.

    failures: [(index in the slot, problem)]. hashes: of the images' bytes, one after the other. reading: seconds.
    preparing: seconds of CPU time.
    """

    failures: list[tuple[int, str]]
    hashes: bytes
    reading: float
    preparing: float


def prepare(locations: Sequence[Location], recipe: Recipe, pipeline: str, slot: NDArray[Any]) -> Prepared:
    """Write the images at `locations` into `slot` [images, size, size, 3]; an unreadable one becomes zeros.

    Raises the errors of `pixels` except DatasetProblem, which is in the result.
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
    """Serve the parent until it closes the connection or exits."""
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
        if "cv2" in sys.modules:  # otherwise each worker starts a thread per core
            sys.modules["cv2"].setNumThreads(1)
        connection.send(answer)
