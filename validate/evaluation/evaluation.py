"""Evaluation of several networks on the same prepared images, batch by batch."""

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
from effconvert.validate.evaluation.engine_execution import EngineExecution
from effconvert.validate.evaluation.execution import Execution
from effconvert.validate.evaluation.feeding import Batch
from effconvert.validate.evaluation.journal import Answers

_MOST_PENDING = 8


@dataclass
class EvaluatedModel:
    """A network under evaluation.

    keep: called with the answers to each batch, in order. first_class, only: as in `answer`. hits: top-1 and top-5 hits
    counted on the device; kept: the same, counted from the answers given to `keep`. images, seconds: time spent by the
    network, without the first batch, which warms it up.
    """

    execution: Execution | EngineExecution
    keep: Callable[[Answers], None]
    first_class: int = 0
    only: Tensor | None = None
    images: int = 0
    seconds: float = 0.0
    hits: Tensor | None = None
    kept: tuple[int, int] = (0, 0)
    _events: list[tuple[Any, Any]] = field(default_factory=list, repr=False)

    def compute(self, pixels: Tensor, labels: Tensor, good: Tensor) -> Tensor:
        """Return the network's answers, on the device, and count the hits there."""
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
        """Call `keep` with the answers, and count their hits again."""
        right = answers["top5"][:, :, None] == labels[answers["id"]][:, None, :]
        first, five = self.kept
        self.kept = first + int(right[:, :1].any((1, 2)).sum()), five + int(right.any((1, 2)).sum())
        self.keep(answers)

    def finish(self) -> None:
        """Compare both counts; only here the CPU waits for the device. Raises EffconvertError if they differ."""
        if self._events:
            torch.cuda.synchronize()
            self.seconds += sum(started.elapsed_time(ended) for started, ended in self._events) / 1000
        counted = (0, 0) if self.hits is None else tuple(self.hits.tolist())
        if counted != self.kept:
            raise EffconvertError(
                f"internal error (please report): the device counted {counted} hits, the kept answers have {self.kept}"
            )


def evaluate(
    models: Sequence[EvaluatedModel],
    batches: Iterable[Batch],
    labels: NDArray[np.int32],
    broken: Callable[[dict[int, str]], None],
    progress: Callable[[int], None],
) -> None:
    """Run every model on every batch.

    labels: [images of the data set, L]. broken: called with {id: problem} for images that cannot be read; they are not
    answered, and it may raise. progress: called with the number of finished images. Raises EffconvertError if the kept
    answers have other hits than the device counted.
    """
    computing = models[0].execution.computing
    right = torch.from_numpy(labels.astype(np.int64)).to(computing.device)
    pending: deque[_Pending] = deque()
    with torch.inference_mode():
        for batch in batches:
            good = np.array([number not in batch.failures for number in batch.ids], bool)
            ids, mask = (_to_device(array, computing.device) for array in (batch.ids, good))
            answers = [model.compute(batch.pixels, right[ids], mask) for model in models]
            packed = [_to_cpu(each) for each in answers]
            pending.append(_Pending(batch.ids, good, batch.hashes, packed, mark(computing.on_gpu)))
            while pending and (len(pending) > _MOST_PENDING or pending[0].arrived):
                progress(_hand_on(pending.popleft(), models, labels))
            if batch.failures:
                while pending:
                    progress(_hand_on(pending.popleft(), models, labels))
                broken(batch.failures)
        while pending:
            progress(_hand_on(pending.popleft(), models, labels))
    for model in models:
        model.finish()


@dataclass(frozen=True)
class _Pending:
    """Answers that are being copied from the device."""

    ids: NDArray[np.int64]
    good: NDArray[np.bool_]
    hashes: Hashes
    packed: list[Tensor]
    event: Any

    @property
    def arrived(self) -> bool:
        return self.event is None or bool(self.event.query())


def _to_device(array: NDArray[Any], device: str) -> Tensor:
    """Return the array on the device, without waiting for a GPU."""
    tensor = torch.from_numpy(array)
    return tensor if device == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def _to_cpu(packed: Tensor) -> Tensor:
    if packed.device.type == "cpu":
        return packed
    host = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
    return host.copy_(packed, non_blocking=True)


def mark(on_gpu: bool, timed: bool = False) -> Any:
    """Return an event after all work given to the GPU so far, None on a CPU."""
    if not on_gpu:
        return None
    event = torch.cuda.Event(enable_timing=timed)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _hand_on(done: _Pending, models: Sequence[EvaluatedModel], labels: NDArray[np.int32]) -> int:
    """Hand each model its answers, and return the number of images."""
    if done.event is not None:
        done.event.synchronize()
    for model, packed in zip(models, done.packed, strict=True):
        answers = unpack(done.ids[done.good], packed.numpy()[done.good], done.hashes[done.good])
        model.hand_on(answers, labels)
    return len(done.ids)
