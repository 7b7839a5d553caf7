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
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, EffconvertError
from effconvert.option_words import typed_options
from effconvert.preprocessing.fast import fast_pixels
from effconvert.preprocessing.limits import pixels_allowed
from effconvert.preprocessing.pipeline import pixels
from effconvert.preprocessing.recipes import Recipe
from effconvert.validate.data.image_bytes import read_image
from effconvert.validate.data.image_hashes import UNREADABLE, image_hash
from effconvert.validate.data.locations import Location
from effconvert.validate.evaluation.jobs import FAST

# Not `-m`: the parent cannot unpickle classes of a module that runs as __main__.
COMMAND = (sys.executable, "-P", "-c", "from effconvert.validate.evaluation.workers import main; main()")

_PLACE = np.dtype(np.int32)


@dataclass(frozen=True)
class Ring:
    """Division of the shared memory: `slots` times `images`, each [size, size, 3] of `dtype` (a numpy name)."""

    slots: int
    images: int
    size: int
    dtype: str

    @property
    def nbytes(self) -> int:
        """The bytes of all slots, and of the place in each at which its worker is."""
        return self._pixels + self.slots * _PLACE.itemsize

    def array(self, descriptor: int) -> NDArray[np.generic]:
        """Return the pixels in the memory behind the file `descriptor` as [slots, images, size, size, 3]."""
        pixels = np.frombuffer(self._memory(descriptor), self.dtype, self._pixels // np.dtype(self.dtype).itemsize)
        return pixels.reshape(self.slots, self.images, self.size, self.size, 3)

    def places(self, descriptor: int) -> NDArray[np.int32]:
        """Return the place of the image that is being prepared in each slot, [slots], in the same memory.

        So it is known of which image a worker died.
        """
        return np.frombuffer(self._memory(descriptor), _PLACE, offset=self._pixels)

    @property
    def _pixels(self) -> int:
        return -(-self.slots * self.images * image_bytes(self.size, self.dtype) // 8) * 8

    def _memory(self, descriptor: int) -> mmap.mmap:
        try:
            return mmap.mmap(descriptor, self.nbytes)
        except OSError as error:
            raise _no_memory(self.nbytes, error) from error


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
    """The first message to a worker.

    pipeline: `exact` or `fast`. most_pixels: of an image. typed: whether messages are for the command line.
    """

    recipe: Recipe
    pipeline: str
    ring: Ring
    most_pixels: int
    typed: bool


class Prepared(NamedTuple):
    """The result for the images of one slot.

    failures: [(index in the slot, problem)]. hashes: of the images' bytes, one after the other. reading: seconds.
    preparing: seconds of CPU time.
    """

    failures: list[tuple[int, str]]
    hashes: bytes
    reading: float
    preparing: float


def prepare(
    locations: Sequence[Location],
    recipe: Recipe,
    pipeline: str,
    slot: NDArray[Any],
    at: NDArray[np.int32] | None = None,
) -> Prepared:
    """Write the images at `locations` into `slot` [images, size, size, 3]; an unreadable one becomes zeros.

    at: an array of one number, which is set to the place of each image before it is prepared.

    Raises the errors of `pixels` except DatasetProblem, which is in the result.
    """
    failures, hashes, reading, preparing = [], list[bytes](), 0.0, 0.0
    for place, location in enumerate(locations):
        data, found = b"", UNREADABLE
        if at is not None:
            at[0] = place
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
    _silence_decoders()
    with Connection(descriptor) as connection:
        try:
            _serve(connection, memory)
        except (EOFError, ConnectionError):
            return


def _silence_decoders() -> None:
    """Hide what decoders in C print about damaged images, which their errors say too; Python's own output stays."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _serve(connection: Connection, memory: int) -> None:
    setup: Setup = connection.recv()
    with pixels_allowed(setup.most_pixels), typed_options() if setup.typed else nullcontext():
        _prepare_all(connection, memory, setup)


def _prepare_all(connection: Connection, memory: int, setup: Setup) -> None:
    ring, places = setup.ring.array(memory), setup.ring.places(memory)
    os.close(memory)
    while True:
        slot, locations = connection.recv()
        try:
            answer: Prepared | EffconvertError = prepare(
                locations, setup.recipe, setup.pipeline, ring[slot], places[slot : slot + 1]
            )
        except EffconvertError as error:
            answer = error
        if "cv2" in sys.modules:  # otherwise each worker starts a thread per core
            sys.modules["cv2"].setNumThreads(1)
        connection.send(answer)
