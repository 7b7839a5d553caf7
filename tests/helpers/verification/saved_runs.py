"""Runs of the real TensorFlow, saved, and the checkpoints that it ran, regenerated."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from effconvert.architecture.variants import VARIANTS, blocks
from helpers import official_weights
from helpers.official_weights import AVERAGE
from helpers.places import GOLDEN

RUNS = GOLDEN / "runs"
SIZE = 64
B0, EDGETPU = "b0", "edgetpu-s"
# {run: (the variant of its checkpoint, whether its raw weights were run)}
CHECKPOINTS = {"b0": (B0, False), "b0-raw": (B0, True), "edgetpu-s": (EDGETPU, False)}
_SCOPE = "efficientnet-edgetpu-S"


def checkpoint_of(variant: str, statistics: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Return {official variable: value}: of B0 raw weights and averages, of EdgeTPU-S the averages alone.

    statistics: those of EdgeTPU-S's BatchNorms as `stat:<variable>`, by default the calibrated ones that are stored.
    """
    if variant == B0:
        return official_weights.checkpoint("efficientnet-b0")
    if statistics is None:
        with np.load(RUNS / f"{EDGETPU}-statistics.npz") as arrays:
            statistics = dict(arrays)
    shapes = official_weights.all_shapes()[_SCOPE]
    values = {name + AVERAGE: official_weights.value(name + AVERAGE, shapes, statistics) for name in shapes}
    for name in _gammas_of_residuals():  # or rounding grows from block to block, to half of what is allowed
        values[name + AVERAGE] *= np.float32(0.25)
    return values


def _gammas_of_residuals() -> list[str]:
    residual = [block for block in blocks(VARIANTS[EDGETPU]) if block.residual]
    return [
        f"{_SCOPE}/blocks_{block.index}/tpu_batch_normalization_{1 if block.fused else 2}/gamma" for block in residual
    ]


def changed_run(
    run: Path, out: Path, record: Mapping[str, object] = MappingProxyType({}), **arrays: np.ndarray
) -> Path:
    """Write `run` to `out` with other entries of its record and other layers, as `logits`; return `out`."""
    with np.load(run) as opened:
        held = dict(opened)
    held |= {f"layer/{name}": array for name, array in arrays.items()}
    held["run"] = np.array(json.dumps(json.loads(str(held["run"])) | record))
    np.savez(out, **held)
    return out
