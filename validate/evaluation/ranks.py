"""The processes that share an evaluation, as torchrun starts them: each takes every n-th image, all get all answers."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from effconvert.errors import EffconvertError

T = TypeVar("T")

# What one rank is slower than another, at most: it waits for the last image of all.
_PATIENCE = timedelta(hours=12)


class FailedElsewhere(EffconvertError):
    """Another of the processes failed, and says why."""


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
        """Return this rank's part of `ids`."""
        return ids[self.rank :: self.count]

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in their order, on every rank."""
        if self.count == 1:
            return [value]
        import torch.distributed as distributed

        values: list[T] = [value] * self.count
        distributed.all_gather_object(values, value)
        return values

    def agree(self, work: Callable[[], T]) -> T:
        """Do `work` on every rank and return what it gives here.

        Where it fails on any rank, every rank fails, so that none waits for one that has gone: the first that did with
        its own error, the others with FailedElsewhere.
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
    """Join the processes that torchrun started, for the block; alone where it started none.

    Where another of them fails, which says why, this one exits without a word.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    import torch.distributed as distributed

    # What is gathered lies in the processors' memory, so gloo serves GPUs as well.
    distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        yield Ranks(*(int(os.environ.get(name, default)) for name, default in zip(names, "0101", strict=True)))
    except FailedElsewhere as error:
        sys.exit(error.exit_code)
    finally:
        distributed.destroy_process_group()
