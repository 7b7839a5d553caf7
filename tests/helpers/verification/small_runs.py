"""Small saved runs in the format of a runner: a few layers with arbitrary values that depend on the image."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from effconvert.hashing import file_sha256

Layers = dict[str, np.ndarray]
SHAPES = {"stem": (4, 3, 3), "blocks.0": (5, 3, 3), "head": (6, 2, 2), "pooled": (6,), "logits": (10,)}


LARGEST = 8.0  # a power of two: changed by a power of two, it differs by exactly that


def values(images: int = 2, classes: int = 10, seed: int = 0) -> Layers:
    """Return {layer: float32 array} of `images` images; LARGEST stands in the fourth place of each."""
    random = np.random.default_rng(seed)
    shapes = SHAPES | {"logits": (classes,)}
    layers = {name: random.uniform(-4, 4, (images, *shape)).astype(np.float32) for name, shape in shapes.items()}
    for array in layers.values():
        array.flat[3] = LARGEST
    return layers


def changed(layers: Layers, name: str, by: float) -> Layers:
    """Return the layers with the largest value of one of them moved by the share `by` of itself."""
    array = layers[name].copy()
    array.flat[3] = LARGEST * (1 + by)
    return layers | {name: array}


def record_of(images: np.ndarray, layers: Mapping[str, np.ndarray], **settings: object) -> dict[str, Any]:
    """Return what a runner says of itself."""
    words = {"kind": "synthetic", "count": len(images), "size": images.shape[-1], "seed": 0}
    usual = {"dtype": "float32", "classes": 10, "tensors": {"stem.conv.weight": "conv_stem.weight"}, "inputs": words}
    return {
        "schema": "effconvert/run/1",
        "framework": "timm",
        "network": "timm.create_model('tf_efficientnet_b0')",
        "loader": "timm.models.load_checkpoint",
        "file": "b0.pth",
        "settings": usual | settings,
        "layers": list(layers),
        "inputs_sha256": hashlib.sha256(images.tobytes()).hexdigest(),
        "computing": {"dtype": "float32", "tf32": False, "autocast": False},
        "versions": {"python": "3.12", "numpy": "2.0", "timm": "1.0.31"},
    }


def write_run(
    path: Path,
    layers: Layers | None = None,
    *,
    fed: Layers | None = None,
    follows: Path | None = None,
    seed_of_images: int = 0,
    images: np.ndarray | None = None,
    record: Mapping[str, object] = MappingProxyType({}),
    **settings: object,
) -> Path:
    """Write a run and return its path. fed: outputs for the input that each layer had in the run `follows`.

    images: what was run, by default one for each output, drawn from `seed_of_images`. record: what is said otherwise.
    """
    layers = values() if layers is None else layers
    if images is None:
        count = len(next(iter(layers.values())))
        images = np.random.default_rng(seed_of_images).normal(0, 1, (count, 3, 8, 8)).astype(np.float32)
    usual = record_of(images, layers, follows=file_sha256(follows) if follows else None, **settings)
    return write_arrays(path, {**usual, **record}, layers, fed or {}, images)


def write_arrays(path: Path, record: object, layers: Layers, fed: Layers, images: np.ndarray) -> Path:
    """Write a run whose record is any value that JSON has."""
    arrays: dict[str, Any] = {f"layer/{name}": array for name, array in layers.items()}
    arrays |= {f"fed/{name}": array for name, array in fed.items()}
    with open(path, "wb") as file:
        np.savez(file, run=np.array(json.dumps(record)), images=images, **arrays)
    return path
