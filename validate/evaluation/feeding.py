"""Batches of prepared images on the device: chunks as they are on a CPU, copied ahead of the network on a GPU."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effconvert.validate.data.image_hashes import Hashes
from effconvert.validate.evaluation.image_loader import Chunk, Clock


@dataclass(frozen=True)
class Batch:
    """Images on the device.

    ids [N]. pixels [N, size, size, 3]: valid until the next batch is taken. failures, hashes: as in Chunk.
    """

    ids: NDArray[np.int64]
    pixels: Tensor = field(repr=False)
    failures: dict[int, str]
    hashes: Hashes = field(repr=False)


def on_cpu(chunks: Iterable[Chunk]) -> Iterator[Batch]:
    """Yield each chunk as a batch, without a copy."""
    for chunk in chunks:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the array is read-only, and nothing writes to it
            yield Batch(chunk.ids, torch.from_numpy(chunk.pixels), chunk.failures, chunk.hashes)


def on_gpu(chunks: Iterable[Chunk], images: int, device: str, clock: Clock) -> Iterator[Batch]:
    """Yield batches of `images`, the last one shorter, copied on a separate stream while the network computes.

    Chunks are gathered in pinned memory. clock: gets the time of all copies at the end.
    """
    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    buffers = [_Buffer(), _Buffer()]  # one is filled while the network reads the other
    timed: list[tuple[Any, Any]] = []
    for number, group in enumerate(_grouped(chunks, images)):
        buffer = buffers[number % len(buffers)]
        is_new = buffer.copied is None
        ids, failures, hashes = buffer.gather(group, images, device)
        if is_new:  # its memory may have just been freed by the network, which may still read it
            copying.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(copying):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            copying.wait_event(buffer.read)
            begin.record()
            pixels = buffer.pixels[: len(ids)].copy_(buffer.gathered[: len(ids)], non_blocking=True)
            end.record()
            timed.append((begin, end))
            buffer.copied = end
        torch.cuda.current_stream(device).wait_stream(copying)
        yield Batch(ids, pixels, failures, hashes)
        buffer.read.record(torch.cuda.current_stream(device))
    torch.cuda.synchronize(device)
    clock.copying += sum(begin.elapsed_time(end) for begin, end in timed) / 1000


class _Buffer:
    """A batch in the CPU's memory and in the GPU's. read, copied: events after which each may be filled again."""

    gathered: Tensor
    pixels: Tensor

    def __init__(self) -> None:
        self.read = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self.copied: Any = None

    def gather(
        self, chunks: Iterable[Chunk], images: int, device: str
    ) -> tuple[NDArray[np.int64], dict[int, str], Hashes]:
        """Copy the chunks into `gathered`, and return their ids, failures and hashes."""
        if self.copied is not None:
            self.copied.synchronize()
        ids: list[NDArray[np.int64]] = []
        hashes: list[Hashes] = []
        failures: dict[int, str] = {}
        filled = 0
        for chunk in chunks:
            if self.copied is None and not ids:
                pixels = torch.from_numpy(chunk.pixels)
                shape = (images + len(chunk.ids), *pixels.shape[1:])
                self.gathered = torch.empty(shape, dtype=pixels.dtype, pin_memory=True)
                self.pixels = torch.empty(shape, dtype=pixels.dtype, device=device)
            count = len(chunk.ids)
            self.gathered[filled : filled + count] = torch.from_numpy(chunk.pixels)
            filled += count
            ids.append(chunk.ids)
            hashes.append(chunk.hashes)
            failures |= chunk.failures
        return np.concatenate(ids), failures, np.concatenate(hashes)


def _grouped(chunks: Iterable[Chunk], images: int) -> Iterator[Iterator[Chunk]]:
    """Yield iterators over chunks with `images` in total, the last with the rest; each must be exhausted."""
    chunks = iter(chunks)
    for first in chunks:
        yield _until(first, chunks, images)


def _until(first: Chunk, others: Iterator[Chunk], images: int) -> Iterator[Chunk]:
    count = len(first.ids)
    yield first
    while count < images and (chunk := next(others, None)) is not None:
        count += len(chunk.ids)
        yield chunk
