"""The budget of one input: the memory and the work that reading it may take, whatever it declares or derives.

A small file can ask for much: names that repeat a long prefix, bytes that unpack to a thousand times as many, one text
in a million places. So what is allowed follows from the size of the file alone. Every reader draws on the budget of its
file before it keeps something, and counts its steps; `guarded` is the net below for what no reader counts.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from effconvert.errors import EffconvertError, UnreadableCheckpoint

MEMORY = 128 << 20  # with Python and numpy, half of what is promised beyond the size of the file
STEPS = 800_000  # of a microsecond or two; L2 with averages and the state of AdamW takes 300,000
_BYTES_OF_STEP = 64  # a large file has more to look at
# The memory of Python's objects beside their content: the most that one of the kind takes.
OBJECT, ENTRY = 100, 300

_TOO_DEEP = "is nested too deep"
_TOO_LARGE = "does not fit into the memory of this machine"


class Budget:
    """The memory, in bytes, and the steps that are left for the file at `place`, which has `size` bytes.

    error: the exception for a file that needs more.
    """

    __slots__ = ("error", "memory", "place", "size", "steps")

    def __init__(self, place: object, size: int, error: type[EffconvertError] = UnreadableCheckpoint) -> None:
        self.place, self.size, self.error = place, size, error
        self.memory = MEMORY + size
        self.steps = STEPS + size // _BYTES_OF_STEP

    def draw(self, size: int, what: str = "what it describes") -> None:
        """Take `size` bytes that stay in memory. Raises the error of the budget if they are too many."""
        self.require(size, what)
        self.memory -= size

    def allow(self, size: int) -> None:
        """Allow `size` bytes more: for what is known to be in the file, in a packed form."""
        self.memory += size

    def require(self, size: int, what: str) -> None:
        """Raise the error of the budget if `size` bytes, which are soon given back, are too many."""
        if size > self.memory:
            raise self.error(
                f"{self.place}: {what} would take more than {MEMORY >> 20} MB of memory beside the {self.size:,} bytes "
                "of the file; no file that a training or effconvert writes needs so much"
            )

    def step(self, count: int = 1) -> None:
        """Count steps of work. Raises the error of the budget if they are too many."""
        self.steps -= count
        if self.steps < 0:
            raise self.error(
                f"{self.place}: needs far more work to read than any file of {self.size:,} bytes that a training or "
                "effconvert writes"
            )


@contextmanager
def guarded(place: object, error: type[EffconvertError] = UnreadableCheckpoint) -> Iterator[None]:
    """Make an `error` of what Python raises if memory or the depth of calls ends while the file at `place` is read."""
    try:
        yield
    except RecursionError:
        raise error(f"{place}: {_TOO_DEEP}") from None
    except MemoryError:
        raise error(f"{place}: {_TOO_LARGE}") from None
