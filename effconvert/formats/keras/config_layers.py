"""The layers in a Keras model's configuration, and their numbers in `.weights.h5` files."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from effconvert.budget import ENTRY, Budget

# The layers of an EfficientNet by the names that `.weights.h5` files give their classes, and each one's variables in
# the order in which Keras numbers them.
VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "normalization": ("mean", "variance", "count"),
}

# Models in which the input of each layer is the layer before it.
CHAINS = ("Sequential", "Pipeline")

_CLASSES = {name.replace("_", ""): name for name in VARIABLES}

Config = Mapping[str, Any]


def class_path_names(config: Config, budget: Budget, prefix: str = "") -> dict[str, str]:
    """Return {path of a layer in a `.weights.h5` file: its name}, such as {`layers/conv2d_1`: `top_conv`}.

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
        budget.draw(len(path) + ENTRY, "the names of its layers")  # a nested layer repeats those around it
        names[path] = layer["config"]["name"]
        for inner, name in class_path_names(layer, budget, f"{path}/").items():
            budget.step()
            names[inner] = name
    return names


def layers_of(config: Config) -> list[Any]:
    """Return the well-formed layers of a model's configuration; empty if it is not a model."""
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    return [layer for layer in layers if _is_layer(layer)] if isinstance(layers, list) else []


def is_model(layer: Config) -> bool:
    """Return whether a layer is itself a model with layers in its configuration."""
    inner = layer.get("config")
    if not isinstance(layer.get("class_name"), str) or not isinstance(inner, dict):
        return False
    return isinstance(inner.get("layers"), list) and (layer["class_name"] in CHAINS or "output_layers" in inner)


def _is_layer(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("class_name"), str)
        and isinstance(value.get("config"), dict)
        and isinstance(value["config"].get("name"), str)
    )
