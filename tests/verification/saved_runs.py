"""Runs of the real TensorFlow, saved, and the checkpoints that it ran, regenerated."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import official_weights
from official_weights import AVERAGE

RUNS = Path(__file__).parents[1] / "golden" / "runs"
SIZE = 64
B0, EDGETPU = "b0", "edgetpu-s"
# {run: (the variant of its checkpoint, whether its raw weights were run)}
CHECKPOINTS = {"b0": (B0, False), "b0-raw": (B0, True), "edgetpu-s": (EDGETPU, False)}


def checkpoint_of(variant: str, statistics: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Return {official variable: value}: of B0 raw weights and averages, of EdgeTPU-S the averages alone.

    statistics: those of EdgeTPU-S's BatchNorms as `stat:<variable>`, by default the calibrated ones that are stored.
    """
    if variant == B0:
        return official_weights.checkpoint("efficientnet-b0")
    if statistics is None:
        with np.load(RUNS / f"{EDGETPU}-statistics.npz") as arrays:
            statistics = dict(arrays)
    shapes = official_weights.all_shapes()["efficientnet-edgetpu-S"]
    return {name + AVERAGE: official_weights.value(name + AVERAGE, shapes, statistics) for name in shapes}
