"""Stopwatch for whole processes, measured in turn on the same machine: wall and CPU seconds, peak resident memory."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tabulate import tabulate

# A small separate process: a child's peak memory includes that of its parent at the fork.
STOPWATCH = """
import os, sys, time
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Measurement:
    """Wall and CPU seconds of each run, and the largest resident memory of any in MB."""

    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    memory: float


def measure_all(rows: dict[str, list[str]], runs: int) -> dict[str, Measurement]:
    """Run every command in turn, `runs` times after a warm-up."""
    seen: dict[str, list[tuple[float, float, float]]] = {name: [] for name in rows}
    for _ in range(runs + 1):
        for name, command in rows.items():
            remove_output(Path(command[-1]))
            seen[name].append(measure(command))
    counted = {name: found[1:] for name, found in seen.items()}
    columns = {name: tuple(zip(*found, strict=True)) for name, found in counted.items()}
    return {name: Measurement(seconds, cpu, max(memory)) for name, (seconds, cpu, memory) in columns.items()}


def remove_output(path: Path) -> None:
    """Remove the output of the last round, so that freeing it is not measured."""
    if path.name.startswith("out"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def measure(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return its wall seconds, its CPU seconds and its peak resident memory in MB."""
    ran = subprocess.run([sys.executable, "-S", "-c", STOPWATCH, *command], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{command}: exit {ran.returncode}\n{ran.stderr}")
    seconds, cpu, peak = map(float, ran.stdout.split())
    return seconds, cpu, peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def print_table(measured: dict[str, Measurement], against: str = "") -> None:
    """Print the table. Ratios are of medians: how much faster than the first row, or with `against` times the first."""
    base = median(next(iter(measured.values())).seconds)
    rows = [
        [
            name,
            min(m.seconds),
            median(m.seconds),
            max(m.seconds),
            median(m.cpu_seconds),
            m.memory,
            f"{_ratio(base, median(m.seconds), against):.1f} x",
        ]
        for name, m in measured.items()
    ]
    compared = against or "faster than the first"
    headers = ["whole process", "min s", "median s", "max s", "median CPU s", "peak MB", compared]
    print(tabulate(rows, headers, floatfmt=("", ".2f", ".2f", ".2f", ".2f", ".0f", "")))


def _ratio(base: float, seconds: float, against: str) -> float:
    return seconds / base if against else base / seconds
