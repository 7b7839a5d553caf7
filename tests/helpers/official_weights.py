"""Official TensorFlow checkpoints, regenerated: every value follows from its variable's name.

The golden outputs in golden/efficientnet-*.npz were computed by the official TensorFlow 1.15 graph with these values;
the BatchNorm statistics, which were calibrated on images, are stored beside them. golden/tf_official_shapes.json.gz
holds {checkpoint: {raw variable: shape}} of all 21 checkpoints. A checkpoint holds every raw variable, every average
and `global_step`; that of NoisyStudent L2 holds the averages alone.
"""

import gzip
import json
import re
import zlib
from collections.abc import Mapping
from functools import cache

import numpy as np

from helpers.places import GOLDEN

AVERAGE = "/ExponentialMovingAverage"

_GAIN = 1.4
_BATCHNORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@cache
def all_shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    """{checkpoint: {raw variable: shape}}, for instance `efficientnet-condconv-b0-4e`."""
    stored = json.loads(gzip.decompress((GOLDEN / "tf_official_shapes.json.gz").read_bytes()))
    return {entry: {name: tuple(shape) for name, shape in shapes.items()} for entry, shapes in stored.items()}


def golden(entry: str) -> dict[str, np.ndarray]:
    """The arrays of `efficientnet-b0` or `efficientnet-lite0`; their names are explained in golden/README.md."""
    with np.load(GOLDEN / f"{entry}.npz") as arrays:
        return dict(arrays)


def checkpoint(entry: str, *, averages_only: bool = False) -> dict[str, np.ndarray]:
    """{variable: value} of the whole checkpoint `entry`, as its file holds it."""
    shapes = all_shapes()[entry]
    stored = golden(entry) if (GOLDEN / f"{entry}.npz").exists() else {}
    names = [name + AVERAGE for name in shapes]
    values: dict[str, np.ndarray] = {} if averages_only else {"global_step": np.array(218949, np.int64)}
    for name in names if averages_only else [*shapes, *names]:
        values[name] = value(name, shapes, stored)
    return values


def value(name: str, shapes: Mapping[str, tuple[int, ...]], stored: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value of the variable `name`, raw or averaged; `stored` holds statistics as `stat:<name>`."""
    if f"stat:{name}" in stored:
        return stored[f"stat:{name}"]
    raw = name.removesuffix(AVERAGE)
    shape, leaf = shapes[raw], raw.rsplit("/", 1)[1]
    random = np.random.RandomState(zlib.crc32(name.encode()))  # the full name: an average differs from its raw weight
    if leaf in ("gamma", "moving_variance"):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    gain, *divisors = _scale(raw, leaf, shapes)
    drawn = random.normal(0, 1, shape) * gain
    for divisor in divisors:  # one after the other, as the values behind the golden outputs were rounded
        drawn /= divisor
    return np.asarray(drawn, np.float32)


def _scale(name: str, leaf: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[float, ...]:
    """A factor and divisors that keep the signal alive through all layers."""
    shape = shapes[name]
    if leaf in ("beta", "moving_mean"):
        return (0.1,)
    if leaf == "bias":
        return (0.5 if "/se/" in name or re.search(r"blocks_\d+/dense/", name) else 0.1,)
    if leaf == "depthwise_kernel":
        return _GAIN, np.sqrt(shape[0] * shape[1])
    if leaf == "kernel":
        gain = _GAIN if "/conv2d" in name and "/se/" not in name else 1.0
        return gain, np.sqrt(np.prod(shape[:-1]))
    if leaf in ("condconv_kernel", "depthwise_condconv_kernel"):
        return _GAIN, np.sqrt(_inputs_of_expert(name, shapes)), np.sqrt(shape[0] * 0.3)
    raise ValueError(f"{name}: no recipe")


def _inputs_of_expert(name: str, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How many products one output of one expert sums up."""
    match = re.match(r"(.*)/model/(blocks_\d+)/(depthwise_)?cond_conv2d", name)
    assert match, name
    root, block, depthwise = match.groups()
    entering = shapes[f"{root}/{block}/dense/kernel"][0]
    expanded = shapes[f"{root}/{block}/tpu_batch_normalization/gamma"][0]
    if depthwise:
        return shapes[name][1] // expanded
    siblings = [other for other in shapes if other.startswith(f"{root}/model/{block}/cond_conv2d")]
    expansion = min(siblings, key=lambda other: int((re.findall(r"cond_conv2d_(\d+)/", other) or ["0"])[0]))
    return entering if name == expansion else expanded


def canonical_weights(entry: str, *, average: bool) -> dict[str, np.ndarray]:
    """{canonical name: array in PyTorch's axes} of `efficientnet-b0` or `efficientnet-lite0`.

    Written by hand and apart from the maps of the project, so that each can be held against the other.
    """
    values = checkpoint(entry)
    result = {}
    for name in all_shapes()[entry]:
        array = values[name + AVERAGE if average else name]
        _, scope, *layer, leaf = name.split("/")
        result[_canonical_name(scope, "/".join(layer), leaf)] = _pytorch_axes(array, leaf)
    return result


def _canonical_name(scope: str, layer: str, leaf: str) -> str:
    tensor = _BATCHNORM.get(leaf, "bias" if leaf == "bias" else "weight")
    if scope in ("stem", "head"):
        return f"{scope}.{ {'conv2d': 'conv', 'tpu_batch_normalization': 'bn', 'dense': 'fc'}[layer] }.{tensor}"
    index = int(scope.removeprefix("blocks_"))
    own = {
        "conv2d": "expand.conv",
        "conv2d_1": "project.conv",
        "depthwise_conv2d": "depthwise.conv",
        "tpu_batch_normalization": "expand.bn",
        "tpu_batch_normalization_1": "depthwise.bn",
        "tpu_batch_normalization_2": "project.bn",
        "se/conv2d": "se.reduce",
        "se/conv2d_1": "se.expand",
    }
    if index == 0:  # the only block of b0 and lite0 that does not expand
        own |= {"conv2d": "project.conv"}
        own |= {"tpu_batch_normalization": "depthwise.bn", "tpu_batch_normalization_1": "project.bn"}
    return f"blocks.{index}.{own[layer]}.{tensor}"


def _pytorch_axes(array: np.ndarray, leaf: str) -> np.ndarray:
    if leaf == "depthwise_kernel":
        return np.ascontiguousarray(array.transpose(2, 3, 0, 1))
    if leaf == "kernel":
        return np.ascontiguousarray(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T)
    return array
