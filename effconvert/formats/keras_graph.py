"""What a Keras model's configuration tells of its weights: the layers' names, and what is done to the pixels."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from effconvert.formats.checkpoint import Checkpoint

# The layers of an EfficientNet by the names that `.weights.h5` files give their classes, and each one's variables in
# the order in which Keras numbers them.
VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "normalization": ("mean", "variance", "count"),
}
# What the published files hold as the variance. keras.applications divides by its root once more when it builds the
# network for them, and so by the standard deviation after all (https://github.com/tensorflow/tensorflow/issues/49930).
IMAGENET_STD = (0.229, 0.224, 0.225)

_CLASSES = {name.replace("_", ""): name for name in VARIABLES}
_MEAN = re.compile(r"((?:.*/)?normalization(?:_\d+)?/)mean")
_CHANNELS = 3

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Normalization:
    """What a Keras network does to a pixel of 0 to 255 in each channel: (pixel - mean) / std.

    topology: `keras` has a Rescaling and a Normalization; `keras-imagenet`, which keras.applications builds for its
    published weights only, has a second Rescaling after them. from_graph: whether the file holds the network's graph,
    which decides; without one the values do: the published variance asks for the second Rescaling.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    topology: str
    from_graph: bool


def class_path_names(config: Config, prefix: str = "") -> dict[str, str]:
    """Return {where a `.weights.h5` file has a layer: the layer's name}, such as `layers/conv2d_1`: `top_conv`.

    Keras 3 numbers the layers of each class in the model's order (keras/src/saving/saving_lib.py,
    _save_container_state).
    """
    names: dict[str, str] = {}
    counted: Counter[str] = Counter()
    for layer in layers_of(config):
        plain = layer["class_name"].lower()
        plain = _CLASSES.get(plain, plain)
        path = f"{prefix}layers/{plain}" + (f"_{counted[plain]}" if counted[plain] else "")
        counted[plain] += 1
        names[path] = layer["config"]["name"]
        names |= class_path_names(layer, f"{path}/")
    return names


def find_normalization(checkpoint: Checkpoint, config: Config | None) -> Normalization | None:
    """Return what the network of a Keras file does to pixels, None where the file does not tell.

    config: of the model, None for a file of weights only. Raises UnreadableCheckpoint for damaged data.
    """
    layer = next((match[1] for name in checkpoint.tensors if (match := _MEAN.fullmatch(name))), "")
    wanted = [checkpoint.tensors.get(layer + name) for name in ("mean", "variance")]
    if any(info is None or info.shape[-1:] != (_CHANNELS,) or info.nbytes > 64 for info in wanted):
        return None
    mean, variance = (checkpoint.read(layer + name).reshape(-1) for name in ("mean", "variance"))
    published = np.array_equal(variance, np.array(IMAGENET_STD, np.float32))
    if config is not None:
        rescalings = _rescalings(config)
    else:
        rescalings = [(1 / 255, 0.0)] + ([(1 / np.sqrt(IMAGENET_STD), 0.0)] if published else [])
    if len(rescalings) not in (1, 2) or (len(rescalings) == 2 and np.any(rescalings[1][1])):
        return None
    (scale, offset), again = rescalings[0], rescalings[1][0] if len(rescalings) == 2 else 1.0
    with np.errstate(all="ignore"):
        pixel_mean = np.broadcast_to((mean.astype(np.float64) - offset) / scale, mean.shape)
        pixel_std = np.broadcast_to(np.sqrt(variance.astype(np.float64)) / scale / again, mean.shape)
    if not (np.isfinite(pixel_mean).all() and np.isfinite(pixel_std).all() and pixel_std.min() > 0):
        return None
    topology = "keras" if len(rescalings) == 1 else "keras-imagenet"
    return Normalization(tuple(pixel_mean.tolist()), tuple(pixel_std.tolist()), topology, config is not None)


def _rescalings(config: Config) -> list[tuple[Any, Any]]:
    """Return scale and offset of every Rescaling of the model, in order; of none where one is not in numbers."""
    found: list[tuple[Any, Any]] = []
    for layer in all_layers(config):
        if layer["class_name"] == "Rescaling":
            try:
                scale, offset = (_numbers(layer["config"].get(key)) for key in ("scale", "offset"))
            except (TypeError, ValueError):
                return []
            found.append((scale, offset))
    return found


def _numbers(value: Any) -> Any:
    """Return a number, or one for each channel."""
    array = np.asarray(value, np.float64)
    if array.shape not in ((), (_CHANNELS,)):
        raise ValueError(f"{array.shape} are not channels")
    return array


def all_layers(config: Config) -> Iterator[Any]:
    """Yield every layer of a model's configuration in order, a model that is a layer before the layers in it."""
    remaining = layers_of(config)[::-1]
    while remaining:
        layer = remaining.pop()
        yield layer
        remaining += layers_of(layer)[::-1]


def layers_of(config: Config) -> list[Any]:
    """Return the layers of a model's configuration, none of those that are not well formed or of no model."""
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    return [layer for layer in layers if _is_layer(layer)] if isinstance(layers, list) else []


def _is_layer(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("class_name"), str)
        and isinstance(value.get("config"), dict)
        and isinstance(value["config"].get("name"), str)
    )
