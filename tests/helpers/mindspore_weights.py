"""The weights of the golden mindvision and MindCV networks: every value follows from its parameter's name."""

import gzip
import json
import zlib
from functools import cache

import numpy as np

from helpers import places

GOLDEN = places.GOLDEN / "mindspore"
_PROJECT_GAIN = 2.2  # keeps the signal alive from block to block


@cache
def all_shapes() -> dict[str, dict[str, dict[str, tuple[int, ...]]]]:
    """{layout: {variant: {parameter: shape}}}, in the order of the library's own files."""
    stored = json.loads(gzip.decompress((GOLDEN / "shapes.json.gz").read_bytes()))
    return {
        layout: {variant: {name: tuple(shape) for name, shape in rows} for variant, rows in variants.items()}
        for layout, variants in stored.items()
    }


def golden(library: str) -> dict[str, np.ndarray]:
    """The arrays `x`, `pooled` and `logits` of `mindvision_b0` or `mindcv_b0`."""
    with np.load(GOLDEN / f"{library}_b0.npz") as arrays:
        return dict(arrays)


def parameters(library: str) -> dict[str, np.ndarray]:
    """{parameter: value} of the network behind `golden(library)`."""
    return {name: _value(name, shape) for name, shape in all_shapes()[library]["b0"].items()}


def _value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.default_rng(zlib.crc32(name.encode()))
    leaf = name.rsplit(".", 1)[1]
    if leaf in ("gamma", "moving_variance"):
        values = random.uniform(0.5, 1.5, shape)
    elif leaf in ("beta", "moving_mean", "bias"):
        values = random.normal(0, 0.1, shape)
    else:
        values = random.normal(0, 1, shape) / np.sqrt(np.prod(shape[1:])) * _gain(name, shape)
    return values.astype(np.float32)


def _gain(name: str, shape: tuple[int, ...]) -> float:
    if "conv_reduce" in name or "conv_expand" in name:
        return 1.0
    if len(shape) == 2:  # the classifier
        return 2.0
    if shape[1] == 1 and shape[2] > 1:  # depthwise
        return 1.5
    if shape[2] == 1 and shape[0] < shape[1]:
        return _PROJECT_GAIN
    return 1.0
