"""What the graph of a Keras model decides of the network beside its weights: BatchNorm's epsilon and the activation."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.keras_graph import Config, all_layers

_DEFAULT_EPS = 1e-3
_ACTIVATIONS = {"silu": "silu", "swish": "silu", "relu": "relu", "relu6": "relu6"}
_NETWORK = "silu, relu or relu6"
# The layers of keras.applications that apply the network's activation; others may stand behind the classifier.
_ACTIVATION_LAYER = re.compile(r"(stem|top|block\d+[a-z](_expand)?)_activation")


def graph_facts(config: Config, path: Path) -> dict[str, Any]:
    """Return the facts `bn_eps` and `activation` of the model, each only where it has such layers.

    config: of the model in the file `path`. Raises LayoutMismatch where its layers are not alike, or have an activation
    that no EfficientNet has.
    """
    problems: list[str] = []
    epsilons: dict[float, list[str]] = {}
    activations: dict[str, list[str]] = {}
    for layer in all_layers(config):
        name, settings = layer["config"]["name"], layer["config"]
        if layer["class_name"].endswith("BatchNormalization"):
            epsilon = settings.get("epsilon", _DEFAULT_EPS)
            if isinstance(epsilon, float) and 0 < epsilon < 1:
                epsilons.setdefault(epsilon, []).append(name)
            else:
                problems.append(f"{name}: epsilon {_shown(epsilon)} is no number between 0 and 1")
            continue
        found, fixed = _activation(layer["class_name"], settings), _fixed(layer["class_name"], name)
        if fixed is None or found in fixed:
            continue
        if _NETWORK in fixed and found in _ACTIVATIONS:
            activations.setdefault(_ACTIVATIONS[found], []).append(name)
        else:
            problems.append(f"{name}: activation {_shown(found)}, expected {' or '.join(fixed)}")
    problems += _differences("epsilon", epsilons) + _differences("activation", activations)
    if problems:
        raise LayoutMismatch(listing(f"{path}: its graph is not that of an EfficientNet:", problems))
    return {name: value for name, found in (("bn_eps", epsilons), ("activation", activations)) for value in found}


def _fixed(kind: str, name: str) -> tuple[str, ...] | None:
    """Return the activations that a layer may have, None for a layer that has none at all."""
    if _ACTIVATION_LAYER.fullmatch(name) or name.endswith("_se_reduce"):
        return (_NETWORK,)
    if name.endswith("_se_expand"):
        return ("sigmoid",)
    if kind in ("Conv2D", "DepthwiseConv2D"):
        return ("linear",)
    if kind == "Dense":
        return ("linear", "softmax", "sigmoid")
    return ("linear", "softmax", "sigmoid", _NETWORK) if kind in ("Activation", "ReLU") else None


def _activation(kind: str, settings: Mapping[str, Any]) -> Any:
    """Return the activation that a layer applies, by the name Keras has for it; another layer's is its class."""
    if kind == "ReLU":
        plain = not settings.get("negative_slope") and not settings.get("threshold")
        limit = settings.get("max_value")
        return {None: "relu", 6: "relu6"}.get(limit, kind) if plain and not isinstance(limit, list | dict) else kind
    if kind in ("Activation", "Conv2D", "DepthwiseConv2D", "Dense"):
        found = settings.get("activation", "linear")
        return found if isinstance(found, str) else _shown(found)
    return kind


def _differences(what: str, found: Mapping[Any, list[str]]) -> list[str]:
    """Return a line for each value where there are several."""
    if len(found) < 2:
        return []
    return [f"{what} {value}: {len(names)} layers, the first {names[0]}" for value, names in found.items()]


def _shown(value: Any) -> str:
    return str(value)[:60]
