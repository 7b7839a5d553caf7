"""Times a TensorFlow checkpoint becoming PyTorch, as whole processes: effconvert and what people write today.

Prints one table. The peer needs TensorFlow in the environment that runs this script.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from tabulate import tabulate

from effconvert.formats import TensorInfo
from effconvert.formats.tensorflow import write_bundle
from effconvert.layout import find_layout
from effconvert.moves import compile_moves
from effconvert.variants import find_variant
from effconvert.weight_sets import average_name

PEER = """
import sys
import tensorflow as tf
import torch
reader = tf.train.load_checkpoint(sys.argv[1])
state = {}
for name in reader.get_variable_to_shape_map():
    if name.endswith("/ExponentialMovingAverage"):
        value = torch.from_numpy(reader.get_tensor(name))
        state[name] = value.permute(3, 2, 0, 1).contiguous() if value.ndim == 4 else value.t().contiguous()
torch.save(state, sys.argv[2])
"""

# A process of its own, for the memory of a child counts from the fork: a small parent does not blur it.
STOPWATCH = """
import os, sys, time
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - start, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Measured:
    """Wall seconds of each run, and the largest resident memory of any in MB."""

    seconds: tuple[float, ...]
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", default="b7")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    parser.add_argument("--no-peer", action="store_true", help="measure effconvert alone")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="effconvert-bench-", dir=arguments.folder))
    try:
        size = write_checkpoint(folder / "checkpoint", arguments.variant)
        print(f"{arguments.variant}: a checkpoint of {size / 1e6:,.0f} MB, {os.cpu_count()} cores")
        print_table(measure_all(commands(folder, arguments.no_peer), arguments.runs))
    finally:
        shutil.rmtree(folder)


def write_checkpoint(folder: Path, variant_name: str) -> int:
    """Write random weights as the published archive holds them, L2 as averages only; return the size in bytes."""
    layout, variant = find_layout("tf-official"), find_variant(variant_name)
    shapes = {}
    for move in compile_moves(layout, variant):
        shapes[average_name(layout, move.source)] = move.source_shape
        if variant_name != "l2":
            shapes[move.source] = move.source_shape
    infos = [TensorInfo(name, shapes[name], np.dtype(np.float32)) for name in sorted(shapes)]
    random = np.random.default_rng(0)
    arrays = (np.abs(random.standard_normal(info.shape, dtype=np.float32)) for info in infos)
    folder.mkdir()
    data, index = folder / "model.ckpt.data-00000-of-00001", folder / "model.ckpt.index"
    with data.open("wb") as data_file, index.open("wb") as index_file:
        write_bundle(data_file, index_file, infos, arrays)
    return data.stat().st_size


def commands(folder: Path, no_peer: bool) -> dict[str, list[str]]:
    program = [sys.executable, "-m", "effconvert"]
    checkpoint, output = str(folder / "checkpoint"), str(folder / "out")
    convert = [*program, "tf2pt", "--quiet", "--force", "--checkpoint", checkpoint, "--out"]
    rows = {
        "effconvert tf2pt, .safetensors": [*convert, f"{output}.safetensors"],
        "effconvert tf2pt, .pth": [*convert, f"{output}.pth"],
        "effconvert pt2tf": [*program, "pt2tf", "--quiet", "--force", f"{output}.safetensors", "--out", f"{output}-tf"],
        "effconvert inspect": [*program, "inspect", checkpoint],
        "effconvert --help": [*program, "--help"],
    }
    if not no_peer:
        peer = [sys.executable, "-c", PEER, f"{checkpoint}/model.ckpt", f"{output}-peer.pth"]
        rows = {"tf.train.load_checkpoint + torch.save": peer, **rows}
    return rows


def measure_all(rows: dict[str, list[str]], runs: int) -> dict[str, Measured]:
    """Run every command in turn, `runs` times after a warm-up, so that all see the same machine."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for _ in range(runs + 1):
        for name, command in rows.items():
            remove_output(Path(command[-1]))
            seen[name].append(measure(command))
    counted = {name: found[1:] for name, found in seen.items()}
    return {name: Measured(tuple(s for s, _ in runs), max(m for _, m in runs)) for name, runs in counted.items()}


def remove_output(path: Path) -> None:
    """Remove what the last round wrote, so that no command is charged for freeing it."""
    if path.name.startswith("out"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def measure(command: list[str]) -> tuple[float, float]:
    """Run a command; return its wall seconds and its peak resident memory in MB."""
    ran = subprocess.run([sys.executable, "-S", "-c", STOPWATCH, *command], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{command}: exit {ran.returncode}\n{ran.stderr}")
    seconds, peak = ran.stdout.split()
    return float(seconds), float(peak) * (1 if sys.platform == "darwin" else 1024) / 1e6


def print_table(measured: dict[str, Measured]) -> None:
    base = median(next(iter(measured.values())).seconds)
    rows = [
        [name, min(m.seconds), median(m.seconds), max(m.seconds), m.memory, f"{base / median(m.seconds):.1f} x"]
        for name, m in measured.items()
    ]
    headers = ["whole process", "min s", "median s", "max s", "peak MB", "faster than the first"]
    print(tabulate(rows, headers, floatfmt=("", ".2f", ".2f", ".2f", ".0f", "")))


if __name__ == "__main__":
    main()
