"""Runs networks over prepared images, all on the same pixels, and hands on what they answer as it comes."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effconvert.errors import EffconvertError
from effconvert.validate.data.image_hashes import Hashes
from effconvert.validate.evaluation.answers import answer, count_hits, unpack
from effconvert.validate.evaluation.execution import Execution
from effconvert.validate.evaluation.feeding import Batch
from effconvert.validate.evaluation.journal import Answers

_MOST_PENDING = 8


@dataclass
class Contestant:
    """A network in an evaluation.

    keep: is given the answers to each batch, in order. first_class, only: as in `answer`. hits: of how many images the
    first and the first five classes hold a label, counted on the device; kept: the same of what was handed on. images,
    seconds: that the network took for how many, without the first batch, with which it is made ready.
    """

    execution: Execution
    keep: Callable[[Answers], None]
    first_class: int = 0
    only: Tensor | None = None
    images: int = 0
    seconds: float = 0.0
    hits: Tensor | None = None
    kept: tuple[int, int] = (0, 0)
    _events: list[tuple[Any, Any]] = field(default_factory=list, repr=False)

    def compute(self, pixels: Tensor, labels: Tensor, good: Tensor) -> Tensor:
        """Return what the network answers, on the device, and count its hits there."""
        begin, started = time.perf_counter(), self._mark()
        logits = self.execution.logits(pixels)
        if self.hits is not None:
            self.images += len(pixels)
            self._events += [(started, self._mark())] if started else []
            self.seconds += 0 if started else time.perf_counter() - begin
        answers = answer(logits, labels, self.first_class, self.only)
        hits = count_hits(answers, labels, good)
        self.hits = hits if self.hits is None else self.hits + hits
        return answers

    def _mark(self) -> Any:
        return mark(self.execution.computing.on_gpu, timed=True)

    def hand_on(self, answers: Answers, labels: NDArray[np.int32]) -> None:
        """Give `keep` the answers, and count their hits again."""
        right = answers["top5"][:, :, None] == labels[answers["id"]][:, None, :]
        first, five = self.kept
        self.kept = first + int(right[:, :1].any((1, 2)).sum()), five + int(right.any((1, 2)).sum())
        self.keep(answers)

    def finish(self) -> None:
        """Compare both counts; the one time that the processor waits for the device's. Raises EffconvertError."""
        if self._events:
            torch.cuda.synchronize()
            self.seconds += sum(started.elapsed_time(ended) for started, ended in self._events) / 1000
        counted = (0, 0) if self.hits is None else tuple(self.hits.tolist())
        if counted != self.kept:
            raise EffconvertError(
                f"a fault of effconvert: the device counted {counted} right answers, kept were {self.kept}"
            )


def evaluate(
    contestants: Sequence[Contestant],
    batches: Iterable[Batch],
    labels: NDArray[np.int32],
    broken: Callable[[dict[int, str]], None],
    progress: Callable[[int], None],
) -> None:
    """Run every contestant on every batch.

    labels: [images of the data set, L]. broken: is told {id: what is wrong} of images that cannot be read, which are
    not answered; it may raise. progress: is told how many images were done. Raises EffconvertError where what was
    handed on is not what was counted on the device.
    """
    computing = contestants[0].execution.computing
    right = torch.from_numpy(labels.astype(np.int64)).to(computing.device)
    pending: deque[_Pending] = deque()
    with torch.inference_mode():
        for batch in batches:
            good = np.array([number not in batch.failures for number in batch.ids], bool)
            ids, mask = (_to_device(array, computing.device) for array in (batch.ids, good))
            answers = [contestant.compute(batch.pixels, right[ids], mask) for contestant in contestants]
            packed = [_to_processor(each) for each in answers]
            pending.append(_Pending(batch.ids, good, batch.hashes, packed, mark(computing.on_gpu)))
            while pending and (len(pending) > _MOST_PENDING or pending[0].arrived):
                progress(_hand_on(pending.popleft(), contestants, labels))
            if batch.failures:
                while pending:
                    progress(_hand_on(pending.popleft(), contestants, labels))
                broken(batch.failures)
        while pending:
            progress(_hand_on(pending.popleft(), contestants, labels))
    for contestant in contestants:
        contestant.finish()


@dataclass(frozen=True)
class _Pending:
    """Answers on their way from the device."""

    ids: NDArray[np.int64]
    good: NDArray[np.bool_]
    hashes: Hashes
    packed: list[Tensor]
    event: Any

    @property
    def arrived(self) -> bool:
        return self.event is None or bool(self.event.query())


def _to_device(array: NDArray[Any], device: str) -> Tensor:
    """Return the array on the device; a GPU is not waited for, or the next batch would be late."""
    tensor = torch.from_numpy(array)
    return tensor if device == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def _to_processor(packed: Tensor) -> Tensor:
    if packed.device.type == "cpu":
        return packed
    host = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
    return host.copy_(packed, non_blocking=True)


def mark(on_gpu: bool, timed: bool = False) -> Any:
    """Return an event of the GPU's after everything that it was told to do so far, None on a CPU."""
    if not on_gpu:
        return None
    event = torch.cuda.Event(enable_timing=timed)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _hand_on(done: _Pending, contestants: Sequence[Contestant], labels: NDArray[np.int32]) -> int:
    """Give the answers to those who keep them, and return how many images these were."""
    if done.event is not None:
        done.event.synchronize()
    for contestant, packed in zip(contestants, done.packed, strict=True):
        answers = unpack(done.ids[done.good], packed.numpy()[done.good], done.hashes[done.good])
        contestant.hand_on(answers, labels)
    return len(done.ids)
