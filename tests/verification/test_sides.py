"""The sides of a verification run at the same time; a failure of one, or an interruption, ends all."""

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from effconvert.errors import EffconvertError
from effconvert.verification import sides
from effconvert.verification.inputs import synthetic_inputs
from effconvert.verification.network_files import NetworkFile, examine
from effconvert.verification.processes import Processes
from effconvert.verification.sides import Side, Steps, run_sides

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_process_that_waits_gets_a_line_when_the_other_is_ready() -> None:
    ready = Event()
    code = "import sys; print('before', flush=True); print(repr(sys.stdin.readline()))"
    timer = threading.Timer(0.2, ready.set)
    timer.start()
    ran = Processes().run([sys.executable, "-c", code], os.environ, ready)
    assert (ran.returncode, ran.stdout.split()) == (0, ["before", repr("\n")])


def test_a_process_that_ends_before_is_not_waited_for() -> None:
    ran = Processes().run([sys.executable, "-c", "import sys; sys.exit('why')"], os.environ, Event())
    assert (ran.returncode, ran.stderr.strip()) == (1, "why")


def test_ending_ends_all_that_run_and_starts_no_more() -> None:
    processes = Processes()
    begun = time.monotonic()
    threading.Timer(0.3, processes.end).start()
    assert processes.run(SLEEPS, os.environ).returncode == -signal.SIGKILL
    assert processes.run(SLEEPS, os.environ, Event()).returncode == -1
    assert time.monotonic() - begun < 20


def test_steps_of_two_sides_end_by_themselves() -> None:
    told: list[str] = []

    def progress(words: str) -> "object":
        told.append(f"begin {words}")
        return lambda: told.append(f"end {words}")

    one, other = Steps(progress), Steps(progress)  # type: ignore[arg-type]
    one.begin("a")
    other.begin("b")
    one.begin("c")
    other.end()
    one.end()
    assert told == ["begin a", "begin b", "end a", "begin c", "end b", "end c"]


@pytest.fixture
def two_sides(b0: Path, tmp_path: Path) -> list[Side]:
    file: NetworkFile = examine(b0)
    return [Side(file, name, sys.executable, tmp_path / name) for name in ("tensorflow", "canonical")]


@pytest.mark.parametrize("failing", ["tensorflow", "canonical"])
def test_the_failure_of_a_side_ends_the_other_and_is_said_once(
    two_sides: list[Side], monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    started = Event()

    def run_file(file: Any, framework: str, *others: Any) -> None:
        if framework == failing:
            started.wait()
            raise EffconvertError(f"{framework} failed")
        started.set()
        code = others[-1].processes.run(SLEEPS, os.environ, others[-1].ready).returncode
        raise EffconvertError(f"{framework} ended with {code}")

    monkeypatch.setattr(sides, "run_file", run_file)
    begun = time.monotonic()
    with pytest.raises(EffconvertError, match=f"^{failing} failed$"):
        run_sides(two_sides, synthetic_inputs(2, 32, 0, 3), lambda words: None)
    assert time.monotonic() - begun < 20


def test_an_interruption_ends_both_sides(two_sides: list[Side], monkeypatch: pytest.MonkeyPatch) -> None:
    codes = []

    def run_file(file: Any, framework: str, *others: Any) -> None:
        codes.append(others[-1].processes.run(SLEEPS, os.environ, others[-1].ready).returncode)

    monkeypatch.setattr(sides, "run_file", run_file)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run_sides(two_sides, synthetic_inputs(2, 32, 0, 3), lambda words: None)
    assert codes == [-signal.SIGKILL] * 2


def test_without_memory_for_both_they_run_one_after_the_other_and_it_is_said(
    two_sides: list[Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, Path | None]] = []
    told: list[str] = []

    def run_file(file: Any, framework: str, program: str, inputs: Any, path: Path, follow: Path | None) -> None:
        ran.append((framework, follow))

    monkeypatch.setattr(sides, "run_file", run_file)
    monkeypatch.setattr(sides, "_free_memory", lambda: 2_000_000_000)
    run_sides(two_sides, synthetic_inputs(2, 224, 0, 3), told.append)
    assert ran == [("tensorflow", None), ("canonical", two_sides[0].path)]
    name, needed = two_sides[0].file.path.name, re.findall(r"take (\d\.\d) GB", told[0])[0]
    assert float(needed) > 2
    assert told == [
        f"running tensorflow on {name}, alone: all at once take {needed} GB, 2.0 GB are free",
        f"running the canonical network on {name}, alone: all at once take {needed} GB, 2.0 GB are free",
    ]
