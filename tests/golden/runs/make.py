"""Wrote the files beside it: what the real TensorFlow gives of checkpoints that a test can regenerate.

With TensorFlow and effconvert, `PYTHONPATH=tests python tests/golden/runs/make.py` does it again.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

import effconvert
from effconvert.maps.moves import compile_moves
from effconvert.model.calibration import calibrate, synthetic_images
from effconvert.options import Options
from effconvert.verification.execution import save_run
from effconvert.verification.inputs import Images
from helpers.checkpoints import AVERAGE, LAYOUT, write_checkpoint
from helpers.verification.saved_runs import CHECKPOINTS, EDGETPU, RUNS, SIZE, checkpoint_of


def write_statistics(folder):
    """Calibrate EdgeTPU-S, and store its moving statistics by the variables' names."""
    checkpoint = write_checkpoint(folder / "uncalibrated", checkpoint_of(EDGETPU, statistics={}))
    effconvert.convert(checkpoint, folder / "uncalibrated.pth")
    network = effconvert.load_model(folder / "uncalibrated.pth")
    calibrate(network, synthetic_images(8, SIZE, SIZE, seed=100))
    values, moves = network.state_dict(), compile_moves(LAYOUT, network.variant, network.facts)
    statistics = {move.source: values[move.target].numpy() for move in moves if "moving_" in move.source}
    arrays = {f"stat:{name}{AVERAGE}": array for name, array in statistics.items()}
    np.savez_compressed(RUNS / f"{EDGETPU}-statistics.npz", **arrays)


def write_run(folder, name):
    """Let TensorFlow run the checkpoint, and store the run; where the checkpoint lay does not belong into it."""
    variant, raw = CHECKPOINTS[name]
    checkpoint, out = folder / variant, folder / f"{name}.npz"
    if not checkpoint.exists():
        write_checkpoint(checkpoint, checkpoint_of(variant))
    save_run(checkpoint, "tensorflow", out, Options(raw=raw), None, Images(size=SIZE), None, {}, False)
    with np.load(out) as arrays:
        held = dict(arrays)
    record = json.loads(str(held["run"])) | {"file": variant}
    held["run"] = np.array(json.dumps(record, sort_keys=True))
    np.savez_compressed(RUNS / f"{name}.npz", **held)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        write_statistics(Path(temporary))
        for name in CHECKPOINTS:
            write_run(Path(temporary), name)
