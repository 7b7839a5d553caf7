"""Loader of images: worker processes prepare them in the given order, a few slots ahead of the network."""

import os
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import EffconvertError
from effconvert.preprocessing.pipeline import pixel_type
from effconvert.preprocessing.recipes import Recipe
from effconvert.validate.data.image_hashes import HASH_BYTES, Hashes
from effconvert.validate.data.locations import Location
from effconvert.validate.evaluation.jobs import EXACT
from effconvert.validate.evaluation.workers import COMMAND, Prepared, Ring, Setup, image_bytes, prepare, shared_memory

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
    are started at once and ended with the block. The iterator raises EffconvertError when a worker dies, LayoutMismatch
    and Unavailable as `pixels` does.
    """
    clock = clock or Clock()
    ring = _ring(recipe, workers)
    parts = [np.array(ids[start : start + ring.images], np.int64) for start in range(0, len(ids), ring.images)]
    if workers == 0:
        yield _prepared_here(parts, locations, Setup(recipe, pipeline, ring), clock)
        return
    with ExitStack() as stack:
        memory = shared_memory(ring.nbytes)
        stack.callback(os.close, memory)
        setup = Setup(recipe, pipeline, ring)
        pool = [stack.enter_context(_worker(memory, setup)) for _ in range(min(workers, len(parts)))]
        yield _prepared_by(pool, parts, locations, ring.array(memory), clock)


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
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _prepared_by(
    pool: Sequence[tuple[subprocess.Popen[bytes], Connection]],
    parts: list[NDArray[np.int64]],
    locations: Sequence[Location],
    ring: NDArray[np.generic],
    clock: Clock,
) -> Iterator[Chunk]:
    """Hand out the parts, collect them in any order, and yield them in the given order."""
    processes = {connection: process for process, connection in pool}
    at_work: dict[Connection, deque[tuple[int, int]]] = {connection: deque() for _, connection in pool}
    free, waiting = list(range(len(ring))), deque(range(len(parts)))
    done: dict[int, tuple[int, Prepared]] = {}
    for number, ids in enumerate(parts):
        while number not in done:
            for connection, tasks in at_work.items():
                # The last free slot is for the part that is needed next; otherwise the loop would stall.
                while waiting and free and len(tasks) < _AHEAD and (len(free) > 1 or waiting[0] == number):
                    part, slot = waiting.popleft(), free.pop()
                    tasks.append((part, slot))
                    _send(connection, (slot, [locations[i] for i in parts[part]]), processes[connection], parts[part])
            begin = time.perf_counter()
            ready = set(wait(list(at_work)))
            clock.waiting += time.perf_counter() - begin
            for connection in at_work.keys() & ready:
                if not at_work[connection]:  # ready without a task: the worker has died
                    raise _died(processes[connection], ids)
                part, slot = at_work[connection].popleft()
                done[part] = slot, _answer(connection, processes[connection], parts[part])
                clock.add(len(parts[part]), done[part][1])
        slot, prepared = done.pop(number)
        yield _chunk(ids, ring[slot], prepared)
        free.append(slot)


def _send(connection: Connection, task: object, process: subprocess.Popen[bytes], ids: NDArray[np.int64]) -> None:
    try:
        connection.send(task)
    except (BrokenPipeError, ConnectionError) as error:
        raise _died(process, ids) from error


def _answer(connection: Connection, process: subprocess.Popen[bytes], ids: NDArray[np.int64]) -> Prepared:
    try:
        answer = connection.recv()
    except (EOFError, ConnectionError) as error:
        raise _died(process, ids) from error
    if isinstance(answer, EffconvertError):
        raise answer
    assert isinstance(answer, Prepared)
    return answer


def _died(process: subprocess.Popen[bytes], ids: NDArray[np.int64]) -> EffconvertError:
    try:
        code = process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        code = 0
    how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    return EffconvertError(f"a decode worker {how} at images {ids[0]} to {ids[-1]} of the data set")


def _chunk(ids: NDArray[np.int64], slot: NDArray[np.generic], prepared: Prepared) -> Chunk:
    failures = {int(ids[place]): words for place, words in prepared.failures}
    return Chunk(ids, slot[: len(ids)], failures, np.frombuffer(prepared.hashes, np.uint8).reshape(-1, HASH_BYTES))
