"""The sides of a verification: each network in a process of its own, at the same time if there is memory for it."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from effconvert.architecture.canonical import CANONICAL
from effconvert.costs.quantities import compute_quantities, parameter_count
from effconvert.verification.execution import run_file
from effconvert.verification.inputs import Inputs
from effconvert.verification.launching import Together
from effconvert.verification.network_files import NetworkFile
from effconvert.verification.processes import Processes

# What a side takes, from what was measured: a framework, and for each parameter and each value of a layer.
_OF_FRAMEWORK, _OF_PARAMETER, _OF_VALUE = 1 << 30, 12, 8
# It begins a step in words, and returns a function that ends it, or None; such a step ends when the next begins.
Progress = Callable[[str], Callable[[], None] | None]


@dataclass(frozen=True)
class Side:
    """One network of a verification, and where its run is written. program: the interpreter."""

    file: NetworkFile
    framework: str
    program: str
    path: Path

    @property
    def words(self) -> str:
        """What runs, in words."""
        network = "the canonical network" if self.framework == CANONICAL else self.framework
        return f"running {network} on {self.file.path.name}"


class Steps:
    """Steps one after the other; those of another object may run beside them."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._end: Callable[[], None] | None = None

    def begin(self, words: str) -> None:
        """Begin a step, and end the one before."""
        self.end()
        self._end = self._progress(words)

    def end(self) -> None:
        """End the last step."""
        if self._end:
            self._end()
        self._end = None


def run_sides(sides: Sequence[Side], inputs: Inputs, progress: Progress) -> None:
    """Run every side on the same images; those after the first are also given its outputs, layer by layer.

    The error of a side ends the others, and is raised.
    """
    reason = _one_by_one(sides, inputs)
    if not reason:
        _run_at_once(sides, inputs, progress)
        return
    steps = Steps(progress)
    for side in sides:
        steps.begin(f"{side.words}, {reason}")
        follow = None if side is sides[0] else sides[0].path
        run_file(side.file, side.framework, side.program, inputs, side.path, follow=follow)
    steps.end()


def _run_at_once(sides: Sequence[Side], inputs: Inputs, progress: Progress) -> None:
    first, *others = sides
    processes, ready = Processes(), Event()

    def run(side: Side, together: Together, follow: Path | None = None) -> None:
        steps = Steps(progress)
        steps.begin(side.words)
        run_file(side.file, side.framework, side.program, inputs, side.path, follow, together)
        steps.end()

    def run_first() -> None:
        run(first, Together(processes))
        ready.set()

    with ThreadPoolExecutor(len(sides)) as executor:
        try:
            running: list[Future[None]] = [executor.submit(run_first)]
            running += [executor.submit(run, side, Together(processes, ready), first.path) for side in others]
            wait(running, return_when=FIRST_EXCEPTION)
            failed = [side.exception() for side in running if side.done() and side.exception()]
        finally:
            processes.end()
    if failed and failed[0]:
        raise failed[0]


def _one_by_one(sides: Sequence[Side], inputs: Inputs) -> str:
    """Return why the sides do not run at the same time; "" if they do."""
    free = _free_memory()
    needed = len(sides) * max(_memory(side.file, inputs) for side in sides)
    if free is None or needed <= free:
        return ""
    return f"alone: all at once take {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"


def _memory(file: NetworkFile, inputs: Inputs) -> int:
    """Return about how many bytes a process takes that runs the network of `file`."""
    variant, facts = file.identity.variant, file.facts
    count, height, width = len(inputs.images), *inputs.images.shape[-2:]
    values = compute_quantities(variant, facts, height, width)["batch_norm"]
    return _OF_FRAMEWORK + _OF_PARAMETER * parameter_count(variant, facts) + _OF_VALUE * count * values


def _free_memory() -> int | None:
    """Return the bytes of memory that are free or can be freed; None if the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), None)
