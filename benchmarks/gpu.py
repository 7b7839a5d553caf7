"""Benchmark of whole evaluations and their parts on a GPU, of B0 and B7, beside timm's, in less than five minutes.

    python benchmarks/gpu.py

prints one table, after each network. What does not fit into the time is left out, and what fails is said below the
table: neither ends the rest. --dry-run does the same on a CPU with B0 and a few images, for mistakes of this script.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

from validate import NETWORKS, PEER, device_name, run_ours, run_timm, write_images, write_networks

LIMIT = 285  # seconds; the rest of five minutes is for the start
# Images for each network: some seconds of an H100 or A100.
IMAGES = {"b0": 8192, "b7": 2048}
COLUMNS = {"exact": "effconvert", "fast": "effconvert fast", "timm": "timm"}
PARTS = {
    "decode": "decode and resize",
    "transfer": "transfer to the device",
    "network": "network alone",
    "whole": "end to end",
    "differing": "other predictions",
}


@dataclass
class Table:
    """Images per second by (network, part, column), and what went wrong."""

    rates: dict[tuple[str, str, str], float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def show(self) -> None:
        """Print everything that is known."""
        rows = []
        for network in NETWORKS:
            for part, words in PARTS.items():
                found = [self.rates.get((network, part, column)) for column in COLUMNS]
                if any(rate is not None for rate in found):
                    timm = found[-1]
                    times = [f"{rate / timm:.2f} x" if rate and timm and part != "differing" else "" for rate in found]
                    shown = ["-" if rate is None else f"{rate:,.0f}" for rate in found]
                    rows.append([network, words, *shown, *times[:-1]])
        print("\nImages per second; timm runs with --channels-last --amp; predictions are compared with exact ones")
        headers = ["", "", *COLUMNS.values(), "of timm", "fast of timm"]
        print(tabulate(rows, headers, disable_numparse=True, stralign="right"), flush=True)


class Clock:
    """The time that is left; it runs the parts, each of which may fail or be too late."""

    def __init__(self, limit: float, table: Table) -> None:
        self._end, self._table = time.monotonic() + limit, table

    def run(self, command: list[object]) -> None:
        """Run a command, with all its processes ended when the time is over. Raises TimeoutExpired, RuntimeError."""
        words = [str(word) for word in command]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as ran:
            try:
                said, _ = ran.communicate(timeout=max(self._end - time.monotonic(), 0.1))
            except BaseException:
                os.killpg(ran.pid, signal.SIGKILL)
                raise
        if ran.returncode:
            lines = said.decode(errors="replace").strip().splitlines() or [""]
            raise RuntimeError(f"exit {ran.returncode}: {lines[-1]}")

    def part(self, words: str, work: Callable[[], None]) -> None:
        """Do a part and say how long it took; keep its failure in the table."""
        begun = time.monotonic()
        try:
            if begun >= self._end:
                raise TimeoutError
            work()
        except (TimeoutError, subprocess.TimeoutExpired):
            self._table.failures.append(f"{words}: there was no time for it")
        except Exception as error:
            self._table.failures.append(f"{words}: {type(error).__name__}: {error}")
        print(f"{words}: {time.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="on a CPU, with a few images")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for everything")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    arguments = parser.parse_args()
    if not arguments.dry_run and not torch.cuda.is_available():
        parser.error("torch finds no GPU; --dry-run tries the script on a CPU")
    images = {"b0": 24} if arguments.dry_run else IMAGES
    table = Table()
    clock = Clock(arguments.limit, table)
    folder = Path(tempfile.mkdtemp(prefix="effconvert-bench-", dir=arguments.folder))
    try:
        print(f"{device_name()}, {os.cpu_count()} cores, torch {torch.__version__}")
        for network in images:
            measure(network, folder / network, images[network], clock, table, arguments.dry_run)
            table.show()
        for words in table.failures:
            print(words)
    finally:
        shutil.rmtree(folder)


def measure(network: str, folder: Path, images: int, clock: Clock, table: Table, dry: bool) -> None:
    """Measure everything of one network, the most important first."""
    clock.part(f"{network}: writing {images} images", lambda: write_images(folder / "val", images))
    clock.part(f"{network}: writing the network", lambda: write_networks(folder, network))
    answers: dict[str, np.ndarray] = {}
    batch = ["--batch-size", "8"] if dry else []  # the first batch is not measured
    workers = ["--workers", "2" if dry else str(os.cpu_count())]
    peer = ["--channels-last", "--amp", *batch, *workers]
    # float16 is not for CPUs
    peer = [word for word in peer if word != "--amp"] if dry else peer
    ours = {"exact": [], "fast": ["--pipeline", "fast"]}

    def whole(column: str) -> None:
        if column == "timm":
            found = run_timm(folder, NETWORKS[network], peer, clock.run)
        else:
            found = run_ours(folder, ours[column], clock.run)
        table.rates[network, "whole", column], answers[column] = found

    for column, words in COLUMNS.items():
        clock.part(f"{network}: {words}, end to end", lambda column=column: whole(column))
        if column in answers and "exact" in answers:
            differing = (answers[column] != answers["exact"]).sum()
            table.rates[network, "differing", column] = float(differing)

    own = [sys.executable, Path(__file__).with_name("gpu_parts.py"), folder, "--out", folder / "parts.json"]
    own += ["--device", "cpu", "--seconds", "0.2"] if dry else []
    clock.part(f"{network}: effconvert, the parts", lambda: keep(own, network, clock, table))
    timm = [sys.executable, PEER, folder / "val", "--model", NETWORKS[network], "--checkpoint", folder / "timm.pth"]
    timm += ["--out", folder / "parts.json", "--parts", *peer]
    clock.part(f"{network}: timm, the parts", lambda: keep(timm, network, clock, table))


def keep(command: list[object], network: str, clock: Clock, table: Table) -> None:
    """Run a command that writes {part: {column: images per second}} as its --out, and keep it in the table."""
    clock.run(command)
    out = Path(str(command[command.index("--out") + 1]))
    for part, columns in json.loads(out.read_text()).items():
        table.rates.update({(network, part, column): rate for column, rate in columns.items()})


if __name__ == "__main__":
    main()
