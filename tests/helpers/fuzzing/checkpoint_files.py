"""Small checkpoints that targets start from, and the reading of any checkpoint."""

from pathlib import Path

import ml_dtypes
import numpy as np

from effconvert.formats import Array, open_checkpoint
from helpers.formats.building import contents
from helpers.fuzzing.target import as_file

ARRAYS: dict[str, Array] = {
    "a/b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.arange(4, dtype=np.float16),
    "scalar": np.array(7, np.int64),
    "empty": np.zeros((0, 2), np.float32),
    "brain": np.arange(3).astype(ml_dtypes.bfloat16),
}
METADATA = {"variant": "b0", "facts": '{"bn_eps": 0.001}'}


def read_checkpoint(path: Path, key: bytes | None = None) -> None:
    """Read all tensors of a checkpoint: each must be what was listed."""
    with open_checkpoint(path, key) as checkpoint:
        contents(checkpoint)


def read_file(content: bytes) -> None:
    """Read a checkpoint that is one file."""
    read_checkpoint(as_file(content))
