"""Ranks: the processes of torchrun that share an evaluation; each takes every n-th image, all get all answers."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from effconvert.errors import EffconvertError

T = TypeVar("T")

# The longest wait of one rank for another.
_PATIENCE = timedelta(hours=12)


class FailedElsewhere(EffconvertError):
    """Another process failed, and reports the error."""


@dataclass(frozen=True)
class Ranks:
    """This process among `count`, and among the `local_count` of its machine."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def share(self, ids: Sequence[int]) -> Sequence[int]:
        """Return this rank's share of `ids`."""
        return ids[self.rank :: self.count]

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in rank order, on every rank."""
        if self.count == 1:
            return [value]
        import torch.distributed as distributed

        values: list[T] = [value] * self.count
        distributed.all_gather_object(values, value)
        return values

    def agree(self, work: Callable[[], T]) -> T:
        """Do `work` on every rank and return its result here.

        If it fails on any rank, every rank fails, so that none waits forever: the first failed rank with its own error,
        the others with FailedElsewhere.
        """
        try:
            result, failure = work(), None
        except EffconvertError as error:
            result, failure = None, error
        failures = [(rank, failed) for rank, failed in enumerate(self.gather(failure)) if failed is not None]
        if failures:
            rank, first = failures[0]
            if rank == self.rank:
                raise first
            elsewhere = FailedElsewhere(str(first))
            elsewhere.exit_code = first.exit_code
            raise elsewhere
        return result  # type: ignore[return-value]


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes of torchrun for the block; without torchrun this process is the only rank.

    If another process fails, that one reports the error, and this one exits silently.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    import torch.distributed as distributed

    # Gathered values are in the CPU's memory, so gloo works with GPUs too.
    distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        yield Ranks(*(int(os.environ.get(name, default)) for name, default in zip(names, "0101", strict=True)))
    except FailedElsewhere as error:
        sys.exit(error.exit_code)
    finally:
        distributed.destroy_process_group()
