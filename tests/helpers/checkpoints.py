"""Checkpoints for tests, written by code, and read back."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import effconvert
from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.formats import TensorInfo
from effconvert.formats.tensorflow.bundle import write_bundle
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_moves

AVERAGE = "/ExponentialMovingAverage"
LAYOUT = find_layout("tf-official")
Tensors = dict[str, np.ndarray]


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


def random_checkpoint(folder: Path, variant: str, facts: dict[str, Any] | None = None) -> tuple[Path, Tensors]:
    """Write averages of arbitrary positive values for any variant; return the folder and the tensors."""
    wanted = dataclasses.replace(default_facts(VARIANTS[variant]), **(facts or {}))
    random = np.random.default_rng(0)
    tensors = {
        move.source + AVERAGE: random.random(move.source_shape, np.float32)
        for move in compile_moves(LAYOUT, VARIANTS[variant], wanted)
    }
    return write_checkpoint(folder, tensors), tensors


def read_all(path: Path) -> Tensors:
    """Return every tensor of any checkpoint."""
    with effconvert.open_checkpoint(path) as checkpoint:
        return {name: checkpoint.read(name) for name in checkpoint.tensors}


def same(one: Tensors, other: Tensors) -> bool:
    """Return whether names, dtypes and every bit are equal."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and one[name].tobytes() == other[name].tobytes() for name in one
    )
