"""Prepared images brought to the device in batches: on a CPU each chunk as it lies, on a GPU ahead of the network."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from effconvert.validate.evaluation.loading import Chunk
from numpy.typing import NDArray
from torch import Tensor

_BUFFERS = 2  # one is filled while the network reads the other


@dataclass(frozen=True)
class Batch:
    """Images on the device.

    ids [N]. pixels [N, size, size, 3]: until the next batch is asked for. failures: as in Chunk.
    """

    ids: NDArray[np.int64]
    pixels: Tensor = field(repr=False)
    failures: dict[int, str]


def on_cpu(chunks: Iterable[Chunk]) -> Iterator[Batch]:
    """Yield each chunk as a batch, without a copy."""
    for chunk in chunks:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it may not be written to, and is not
            yield Batch(chunk.ids, torch.from_numpy(chunk.pixels), chunk.failures)


def on_gpu(chunks: Iterable[Chunk], images: int, device: str) -> Iterator[Batch]:
    """Yield batches of `images`, the last one shorter, copied on a stream of its own while the network computes."""
    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    buffers: list[Tensor] = []
    # When the network has read a buffer.
    read = [torch.cuda.Event() for _ in range(_BUFFERS)]  # type: ignore[no-untyped-call]
    for number, group in enumerate(_grouped(chunks, images)):
        turn = number % _BUFFERS
        with torch.cuda.stream(copying):
            copying.wait_event(read[turn])
            filled, ids = 0, []
            failures: dict[int, str] = {}
            for chunk in group:
                if len(buffers) <= turn:
                    shape = (images + len(chunk.ids), *chunk.pixels.shape[1:])
                    buffers.append(torch.empty(shape, dtype=_dtype(chunk), device=device))
                count = len(chunk.ids)
                buffers[turn][filled : filled + count].copy_(torch.from_numpy(chunk.pixels), non_blocking=True)
                filled += count
                ids.append(chunk.ids)
                failures |= chunk.failures
                copying.synchronize()  # the chunk's memory is used again when the next one is asked for
        torch.cuda.current_stream(device).wait_stream(copying)
        yield Batch(np.concatenate(ids), buffers[turn][:filled], failures)
        read[turn].record(torch.cuda.current_stream(device))


def pin(memory: NDArray[np.generic]) -> None:
    """Have CUDA copy from `memory` without the processor's help, where it can be had; else copies are slower."""
    runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    runtime.cudaHostRegister(memory.ctypes.data, memory.nbytes, 0)


def _grouped(chunks: Iterable[Chunk], images: int) -> Iterator[Iterator[Chunk]]:
    """Yield iterators over chunks that hold `images` together, or what is left; each must be used up."""
    chunks = iter(chunks)
    for first in chunks:
        yield _until(first, chunks, images)


def _until(first: Chunk, others: Iterator[Chunk], images: int) -> Iterator[Chunk]:
    count = len(first.ids)
    yield first
    while count < images and (chunk := next(others, None)) is not None:
        count += len(chunk.ids)
        yield chunk


def _dtype(chunk: Chunk) -> torch.dtype:
    return torch.uint8 if chunk.pixels.dtype == np.uint8 else torch.float32
