"""Benchmark of converting a TensorFlow checkpoint to PyTorch, as whole processes: effconvert and the usual script.

It prints one table. The peer needs TensorFlow in the environment that runs this script.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from stopwatch import measure_all, print_table

from effconvert.architecture.variants import find_variant
from effconvert.formats import TensorInfo
from effconvert.formats.tensorflow.bundle import write_bundle
from effconvert.identify.weight_sets import average_name
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_moves

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
    """Write random weights as in the published archive (L2 only as averages); return the size in bytes."""
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


if __name__ == "__main__":
    main()
