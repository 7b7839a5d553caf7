"""Checkpoints for tests, written by code."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from effconvert.formats import TensorInfo
from effconvert.formats.tensorflow import write_bundle


def write_checkpoint(folder: Path, tensors: Mapping[str, np.ndarray], prefix: str = "model.ckpt") -> Path:
    """Write `tensors` as a TensorFlow checkpoint into `folder` and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(tensors, key=str.encode)
    infos = [TensorInfo(name, tensors[name].shape, tensors[name].dtype) for name in names]
    arrays = [np.ascontiguousarray(tensors[name]).reshape(tensors[name].shape) for name in names]
    data, index = folder / f"{prefix}.data-00000-of-00001", folder / f"{prefix}.index"
    with data.open("wb") as data_file, index.open("wb") as index_file:
        write_bundle(data_file, index_file, infos, arrays)
    return folder
