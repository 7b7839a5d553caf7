"""One input given to a target: read, refused in words, or a fault, which is kept and counted by what was raised."""

import re
import resource
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from helpers.fuzzing.target import Target

MEMORY = 256 << 20  # that reading a small file may take beside its size
SECONDS = 2.0
_NET = "does not fit into the memory"  # what no budget foresaw, and only the end of memory stopped
_CHANGING = re.compile(r"0x[0-9a-f]+|\d[\d,.]*|'[^']*'|\"[^\"]*\"|/[^ :]*")


@dataclass
class Tally:
    """What became of the inputs of one target.

    faults: how often each occurred, by its kind; the first input of each is kept in `folder`. slow: what an input may
    take, in seconds of the processor.
    """

    target: Target
    folder: Path | None = None
    slow: float = SECONDS
    executions: int = 0
    accepted: int = 0
    slowest: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)

    def run(self, content: bytes) -> None:
        """Give one input to the target."""
        self.executions += 1
        begun = time.process_time()
        try:
            with _said() as warned:
                self.target.read(content)
            self.accepted += 1
        except self.target.refusals as error:
            if _NET in str(error):
                self._count(f"memory ended: {_kind(error)}", content)
        except Exception as error:  # whatever it is, it is a fault
            self._count(f"{type(error).__name__}: {_kind(error)}", content)
        for warning in warned:
            self._count(f"warning: {_plain(str(warning.message))}", content)
        taken = time.process_time() - begun
        self.slowest = max(self.slowest, taken)
        if taken > self.slow:
            self._count(f"more than {self.slow:g} s", content)

    def _count(self, kind: str, content: bytes) -> None:
        self.faults[kind] += 1
        if self.folder and self.faults[kind] == 1:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{self.target.name}-{sha256(content).hexdigest()[:12]}").write_bytes(content)
            print(f"{self.target.name}: {kind}", file=sys.stderr, flush=True)


@contextmanager
def limited_memory(beside: int = MEMORY) -> Iterator[None]:
    """Let this process take only `beside` bytes more than it has; as far as the system tells and allows."""
    statm = Path("/proc/self/statm")
    before = resource.getrlimit(resource.RLIMIT_AS)
    if statm.exists():
        taken = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + beside, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def _said() -> Iterator[list[warnings.WarningMessage]]:
    """Give the warnings that a user would see between the lines of effconvert."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        yield found


def _kind(error: BaseException) -> str:
    """Return what was raised and where in effconvert, without what differs from input to input."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "effconvert" in frame.filename or "validate" in frame.filename
    ]
    place = f" ({Path(frames[-1].filename).name}, {frames[-1].name})" if frames else ""
    return _plain(str(error)) + place


def _plain(text: str) -> str:
    return _CHANGING.sub("…", ascii(text)[1:-1])[:160]
