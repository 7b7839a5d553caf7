"""Loader of images: worker processes prepare them in the given order, a few slots ahead of the network."""

import os
import signal
import subprocess
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, EffconvertError
from effconvert.option_words import are_typed
from effconvert.preprocessing.limits import most_pixels
from effconvert.preprocessing.pipeline import pixel_type
from effconvert.preprocessing.recipes import Recipe
from effconvert.validate.data.image_hashes import HASH_BYTES, Hashes
from effconvert.validate.data.locations import Location
from effconvert.validate.evaluation.jobs import EXACT
from effconvert.validate.evaluation.workers import COMMAND, Prepared, Ring, Setup, image_bytes, prepare, shared_memory

_NO_MEMORY = ", most often because memory is too small; try fewer --workers"
_PATIENCE = 10  # seconds until it is looked whether a worker that does not answer was stopped
_AHEAD = 2  # slots per worker, so that it need not wait for the next
_MOST_BYTES = 384 << 20
_MOST_IMAGES = 16
# One thread per library: otherwise each starts one per core, with its own buffer. glibc keeps freed pages for the next
# image.
_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
}


@dataclass
class Clock:
    """Seconds for `images`: reading and preparing by all workers, waiting for them, copying to a GPU."""

    images: int = 0
    reading: float = 0.0
    preparing: float = 0.0
    waiting: float = 0.0
    copying: float = 0.0

    def add(self, images: int, prepared: Prepared) -> None:
        """Add the time that a worker spent."""
        self.images += images
        self.reading += prepared.reading
        self.preparing += prepared.preparing


@dataclass(frozen=True)
class Chunk:
    """Some images. ids: in the data set. pixels [N, size, size, 3]: valid until the next chunk is taken.

    failures: {id: problem} of unreadable images; their pixels are zeros. hashes [N, 16]: of the images' bytes.
    """

    ids: NDArray[np.int64]
    pixels: NDArray[np.generic] = field(repr=False)
    failures: dict[int, str]
    hashes: Hashes = field(repr=False)


def usual_workers(shares: int = 1) -> int:
    """Return the number of workers for each of `shares` processes on this machine: a core each, 16 at most."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(16, available // shares))


@contextmanager
def prepared_images(
    locations: Sequence[Location],
    ids: Sequence[int],
    recipe: Recipe,
    *,
    pipeline: str = EXACT,
    workers: int = 1,
    clock: Clock | None = None,
) -> Iterator[Iterator[Chunk]]:
    """Give the images `ids` of `locations` in that order, each prepared once.

    pipeline: `exact` (the recipe bit for bit) or `fast`. workers: number of processes; 0 prepares in this process. They
    are started at once and ended with the block.

    The iterator raises DatasetProblem with the image at which a worker died or was stopped, LayoutMismatch and
    Unavailable as `pixels` does.
    """
    clock = clock or Clock()
    ring = _ring(recipe, workers)
    parts = [np.array(ids[start : start + ring.images], np.int64) for start in range(0, len(ids), ring.images)]
    if workers == 0:
        yield _prepared_here(parts, locations, Setup(recipe, pipeline, ring, most_pixels(), are_typed()), clock)
        return
    with ExitStack() as stack:
        memory = shared_memory(ring.nbytes)
        stack.callback(os.close, memory)
        setup = Setup(recipe, pipeline, ring, most_pixels(), are_typed())
        pool = [stack.enter_context(_worker(memory, setup)) for _ in range(min(workers, len(parts)))]
        yield _prepared_by(_Pool(pool, parts, locations, ring.places(memory)), ring.array(memory), clock)


def _ring(recipe: Recipe, workers: int) -> Ring:
    dtype = str(pixel_type(recipe))
    slots = max(1, workers * _AHEAD + 2)
    fitting = max(1, min(_MOST_IMAGES, _MOST_BYTES // (slots * image_bytes(recipe.size, dtype))))
    images = 1 << (fitting.bit_length() - 1)  # a power of two, since batches are too and consist of whole slots
    return Ring(slots, images, recipe.size, dtype)


def _prepared_here(
    parts: list[NDArray[np.int64]], locations: Sequence[Location], setup: Setup, clock: Clock
) -> Iterator[Chunk]:
    ring = setup.ring
    slot: NDArray[np.generic] = np.empty((ring.images, ring.size, ring.size, 3), ring.dtype)
    for ids in parts:
        prepared = prepare([locations[i] for i in ids], setup.recipe, setup.pipeline, slot)
        clock.add(len(ids), prepared)
        yield _chunk(ids, slot, prepared)


@contextmanager
def _worker(memory: int, setup: Setup) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    here, there = Pipe()
    process = subprocess.Popen(
        [*COMMAND, str(there.fileno()), str(memory)],
        pass_fds=(there.fileno(), memory),
        stdin=subprocess.DEVNULL,
        env={**os.environ, **_ENVIRONMENT},
        process_group=0,  # Ctrl-C goes to the parent, which ends its workers
    )
    there.close()
    try:
        here.send(setup)
        yield process, here
    finally:
        here.close()  # tells the worker to exit after its current image
        if _is_stopped(process):
            process.kill()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class _Pool:
    """The workers, with what they are to do. places: of the image in each slot that its worker is at."""

    workers: Sequence[tuple[subprocess.Popen[bytes], Connection]]
    parts: Sequence[NDArray[np.int64]]
    locations: Sequence[Location]
    places: NDArray[np.int32]
    at_work: dict[Connection, deque[tuple[int, int]]] = field(default_factory=lambda: defaultdict(deque))

    def ready(self) -> set[Connection]:
        """Wait, and return the workers that have an answer or have died. Raises DatasetProblem for a stopped one."""
        connections = [connection for _, connection in self.workers]
        while True:
            if found := wait(connections, timeout=_PATIENCE):
                return {one for one in found if isinstance(one, Connection)}
            for process, connection in self.workers:
                if self.at_work[connection] and _is_stopped(process):
                    raise self.problem(connection, "was stopped by a signal, and does not go on", "")

    def send(self, connection: Connection, part: int, slot: int) -> None:
        """Hand a part to a worker."""
        self.places[slot] = 0
        self.at_work[connection].append((part, slot))
        try:
            connection.send((slot, [self.locations[number] for number in self.parts[part]]))
        except (BrokenPipeError, ConnectionError) as error:
            raise self.died(connection) from error

    def answer(self, connection: Connection) -> tuple[int, int, Prepared]:
        """Return the part that a worker has done, its slot, and the answer."""
        try:
            found = connection.recv()
        except (EOFError, ConnectionError) as error:
            raise self.died(connection) from error
        if isinstance(found, EffconvertError):
            raise found
        assert isinstance(found, Prepared)
        return *self.at_work[connection].popleft(), found

    def died(self, connection: Connection) -> DatasetProblem:
        """Return the error for a worker that has died."""
        process = next(process for process, one in self.workers if one is connection)
        try:
            code = process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            code = 0
        if code == -signal.SIGKILL:
            return self.problem(connection, "was ended by signal 9", _NO_MEMORY)
        return self.problem(connection, f"was ended by signal {-code}" if code < 0 else f"ended with {code}", "")

    def problem(self, connection: Connection, what: str, why: str) -> DatasetProblem:
        """Return the error for a worker, with the image that it was at."""
        if not self.at_work[connection]:
            return DatasetProblem(f"a process that prepares images {what} before it began{why}")
        part, slot = self.at_work[connection][0]
        location = self.locations[self.parts[part][min(int(self.places[slot]), len(self.parts[part]) - 1)]]
        byte = f" (byte {location.start:,})" if location.reader != "file" else ""
        return DatasetProblem(f"{location.path}{byte}: the process that prepared this image {what}{why}")


def _prepared_by(pool: _Pool, ring: NDArray[np.generic], clock: Clock) -> Iterator[Chunk]:
    """Hand out the parts, collect them in any order, and yield them in the given order."""
    parts = pool.parts
    free, waiting = list(range(len(ring))), deque(range(len(parts)))
    done: dict[int, tuple[int, Prepared]] = {}
    for number, ids in enumerate(parts):
        while number not in done:
            for _, connection in pool.workers:
                # The last free slot is for the part that is needed next; otherwise the loop would stall.
                while (
                    waiting
                    and free
                    and len(pool.at_work[connection]) < _AHEAD
                    and (len(free) > 1 or waiting[0] == number)
                ):
                    pool.send(connection, waiting.popleft(), free.pop())
            begin = time.perf_counter()
            ready = pool.ready()
            clock.waiting += time.perf_counter() - begin
            for _, connection in pool.workers:
                if connection in ready:
                    if not pool.at_work[connection]:  # ready without a task: the worker has died
                        raise pool.died(connection)
                    part, slot, prepared = pool.answer(connection)
                    done[part] = slot, prepared
                    clock.add(len(parts[part]), prepared)
        slot, prepared = done.pop(number)
        yield _chunk(ids, ring[slot], prepared)
        free.append(slot)


def _is_stopped(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a process was stopped, as by SIGSTOP, where the system tells."""
    if not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _chunk(ids: NDArray[np.int64], slot: NDArray[np.generic], prepared: Prepared) -> Chunk:
    failures = {int(ids[place]): words for place, words in prepared.failures}
    return Chunk(ids, slot[: len(ids)], failures, np.frombuffer(prepared.hashes, np.uint8).reshape(-1, HASH_BYTES))
