"""Benchmark of converting a timm .pth to canonical safetensors and back, as whole processes, against a floor and torch.

The floor is the minimum of any converter: read the bytes, hash them, write as many, sync them to the disk. The peer
loads and saves with torch and safetensors; it renames nothing and checks nothing.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from stopwatch import measure_all, print_table

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import find_variant
from effconvert.formats import TensorInfo
from effconvert.formats.torch.file import write_torch
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_layout

FLOOR = """
import hashlib, os, sys
found = hashlib.sha256()
with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as target:
    while piece := source.read(1 << 20):
        found.update(piece)
        target.write(piece)
    target.flush()
    os.fsync(target.fileno())
"""
PEER = """
import sys
import torch
from safetensors.torch import load_file, save_file
if sys.argv[1].endswith(".pth"):
    save_file(torch.load(sys.argv[1], map_location="cpu"), sys.argv[2])
else:
    torch.save(load_file(sys.argv[1]), sys.argv[2])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", default="b7")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="effconvert-bench-", dir=arguments.folder))
    try:
        size = write_timm(folder / "timm.pth", arguments.variant)
        print(f"{arguments.variant}: a .pth of {size / 1e6:,.0f} MB, {os.cpu_count()} cores")
        print_table(measure_all(commands(folder), arguments.runs), against="the floor's time")
    finally:
        shutil.rmtree(folder)


def write_timm(path: Path, variant_name: str) -> int:
    """Write random weights as a state dict of timm; return the size in bytes."""
    layout, variant = find_layout("timm"), find_variant(variant_name)
    compiled = compile_layout(layout, variant, layout.facts_of(variant_name, default_facts(variant)))
    shapes = {move.source: move.source_shape for move in compiled.moves}
    random = np.random.default_rng(0)
    infos = [
        TensorInfo(name, shapes.get(name, ()), np.dtype(np.float32 if name in shapes else np.int64))
        for name in compiled.order
    ]
    arrays = (
        np.abs(random.standard_normal(info.shape, dtype=np.float32)) if info.name in shapes else np.zeros((), np.int64)
        for info in infos
    )
    with path.open("wb") as file:
        write_torch(file, infos, arrays, {}, dict)
    return path.stat().st_size


def commands(folder: Path) -> dict[str, list[str]]:
    program = [sys.executable, "-m", "effconvert"]
    source, there, back = (str(folder / name) for name in ("timm.pth", "out.safetensors", "out-back.pth"))
    options = ["--facts", "padding=tf-same", "--quiet", "--force"]
    return {
        "floor: read, SHA-256, write, fsync": [sys.executable, "-S", "-c", FLOOR, source, f"{folder}/out-floor"],
        "torch.load, save_file": [sys.executable, "-c", PEER, source, f"{folder}/out-peer.safetensors"],
        "effconvert timm2pt, .safetensors": [*program, "timm2pt", "--checkpoint", source, *options, "--out", there],
        "load_file, torch.save": [
            sys.executable,
            "-c",
            PEER,
            f"{folder}/out-peer.safetensors",
            f"{folder}/out-peer.pth",
        ],
        "effconvert pt2timm, .pth": [*program, "pt2timm", there, "--quiet", "--force", "--out", back],
    }


if __name__ == "__main__":
    main()
