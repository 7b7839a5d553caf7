"""Normalisation of pixels in a Keras network before its first convolution, from its graph or from its weights."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from effconvert.formats.checkpoint import Array, Checkpoint
from effconvert.formats.keras.config import IMAGENET_STD
from effconvert.formats.keras.graph import Call, Graph
from effconvert.formats.keras.plain_graph import simplify_graph
from effconvert.formats.keras.surroundings import entry

_MEAN = re.compile(r"((?:.*/)?normalization(?:_\d+)?/)mean")
_FIRST, _SECOND = 1 / 255, 1 / np.sqrt(IMAGENET_STD)  # the scales of Keras's Rescaling


@dataclass(frozen=True)
class Normalization:
    """The normalisation of a pixel of 0 to 255 in each channel: (pixel - mean) / std.

    topology: `keras` has a Rescaling and a Normalization; `keras-imagenet`, which keras.applications builds for its
    published weights only, has a second Rescaling after them. from_graph: whether the file holds the network's graph,
    which decides. Without a graph the values decide: the published variance needs the second Rescaling.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    topology: str
    from_graph: bool


class _Pixels:
    """The pixel value that becomes 0 after some layers, and the difference that becomes 1, in each channel."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.mean: Any = 0.0
        self.std: Any = 1.0

    def rescale(self, scale: Any, offset: Any = 0.0) -> None:
        self.std = self.std / scale
        self.mean = self.mean - offset * self.std

    def normalize(self, mean: Array, variance: Array) -> None:
        self.mean = self.mean + mean * self.std
        self.std = self.std * np.sqrt(variance)


def find_normalization(
    checkpoint: Checkpoint, graph: Graph | None, scope: str = "", channels: int = 3
) -> Normalization | None:
    """Return the normalisation in the network of a Keras file; None if the file does not tell it.

    graph: the graph of the model; None for a file of weights only. scope: that of the network, if the file holds
    several. channels: the number of input channels; for other numbers, None is returned. Raises UnreadableCheckpoint
    for damaged data.
    """
    pixels, again = _Pixels(channels), False
    with np.errstate(all="ignore"):
        try:
            if graph is None:
                again = _usual(checkpoint, scope, pixels)
            else:
                again = _as_in_graph(checkpoint, graph, scope, pixels)
        except (TypeError, ValueError):
            return None
        mean, std = np.broadcast_arrays(pixels.mean, pixels.std)
        mean, std = (np.broadcast_to(values, values.shape or (channels,)) for values in (mean, std))
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and std.min() > 0):
        return None
    topology = "keras-imagenet" if again else "keras"
    return Normalization(tuple(mean.tolist()), tuple(std.tolist()), topology, graph is not None)


def _usual(checkpoint: Checkpoint, scope: str, pixels: _Pixels) -> bool:
    """Apply the layers of keras.applications; return whether the variance needs the second Rescaling.

    Raises ValueError if the weights are not those of one Normalization.
    """
    layers = [match[1] for name in checkpoint.tensors if name.startswith(scope) and (match := _MEAN.fullmatch(name))]
    if len(layers) != 1:
        raise ValueError(f"{len(layers)} layers normalise")
    mean, variance = _statistics(checkpoint, layers[0], pixels.channels)
    again = np.array_equal(variance.astype(np.float32), np.array(IMAGENET_STD, np.float32))
    pixels.rescale(_FIRST)
    pixels.normalize(mean, variance)
    if again:
        pixels.rescale(_SECOND)
    return again


def _as_in_graph(checkpoint: Checkpoint, graph: Graph, scope: str, pixels: _Pixels) -> bool:
    """Apply the layers of the graph; return whether the second Rescaling of the published weights is among them.

    Raises ValueError if a layer is not known, or if there are none.
    """
    chain, again, done = entry(simplify_graph(graph), scope) or [], False, 0
    for number, call in enumerate(chain):
        if call.kind == "Rescaling":
            scale, offset = (_numbers(call.settings.get(key), pixels.channels) for key in ("scale", "offset"))
            pixels.rescale(scale, offset)
            published = pixels.channels == len(IMAGENET_STD) and bool(np.allclose(scale, _SECOND))
            again |= published and chain[number - 1].kind == "Normalization"
            done += 1
        elif call.kind == "Normalization":
            pixels.normalize(*_statistics_of(checkpoint, call, pixels.channels))
            done += 1
    if not done:
        raise ValueError("no layer normalises the pixels")
    return again


def _statistics_of(checkpoint: Checkpoint, call: Call, channels: int) -> tuple[Array, Array]:
    """Return mean and variance of a layer Normalization: its arguments, or its weights."""
    if call.settings.get("mean") is not None:
        mean, variance = (_numbers(call.settings.get(key), channels) for key in ("mean", "variance"))
        return mean, variance
    found = [layer for layer in _names(call) if f"{layer}/mean" in checkpoint.tensors]
    if not found:
        raise ValueError(f"{call} has no weights")
    return _statistics(checkpoint, f"{found[0]}/", channels)


def _names(call: Call) -> Iterator[str]:
    """Yield the possible names of a layer in the file: a name begins with its models only if that is necessary."""
    models = call.scope.split("/")[:-1]
    for depth in range(len(models), -1, -1):
        yield "/".join([*models[:depth], call.name])


def _statistics(checkpoint: Checkpoint, layer: str, channels: int) -> tuple[Array, Array]:
    wanted = [checkpoint.tensors.get(layer + name) for name in ("mean", "variance")]
    if any(info is None or info.shape[-1:] != (channels,) or math.prod(info.shape) != channels for info in wanted):
        raise ValueError(f"{layer}mean and variance are not of {channels} channels")
    mean, variance = (checkpoint.read(layer + name).reshape(-1) for name in ("mean", "variance"))
    return mean.astype(np.float64), variance.astype(np.float64)


def _numbers(value: Any, channels: int) -> Array:
    """Return one number, or one for each channel."""
    array = np.asarray(value, np.float64)
    if array.size == channels:
        array = array.reshape(-1)
    if array.shape not in ((), (channels,)):
        raise ValueError(f"the shape {array.shape} does not fit the channels")
    return array
