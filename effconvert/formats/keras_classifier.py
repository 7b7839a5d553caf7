"""Finds the classifier that a user put on a network of Keras, whatever its name: transfer learning names it anew."""

from collections.abc import Iterator, Mapping
from typing import Any

from effconvert.formats.checkpoint import Shape
from effconvert.formats.keras_graph import Config, all_layers, layers_of

CLASSIFIER = "predictions"
_POOLING, _AT_TRAINING = "GlobalAveragePooling2D", "Dropout"
_LAST_CONV, _LAST = "top_conv", "top_activation"


def find_classifier(shapes: Mapping[str, Shape], config: Config | None) -> str:
    """Return the layer that is the classifier under another name than `predictions`, an empty text where none is.

    It is the only layer with a kernel of two dimensions: [channels of `top_conv`, classes], with a bias [classes].
    Where the file has a graph, the layer must follow the pooled output of `top_activation`, Dropout aside.

    shapes: {`layer/variable`: shape} of every weight.
    """
    layers: dict[str, dict[str, Shape]] = {}
    for name, shape in shapes.items():
        layer, _, variable = name.rpartition("/")
        layers.setdefault(layer, {})[variable] = shape
    channels = layers.get(_LAST_CONV, {}).get("kernel", ())[-1:]
    dense = [layer for layer, variables in layers.items() if len(variables.get("kernel", ())) == 2]
    if CLASSIFIER in layers or not channels or len(dense) != 1:
        return ""
    kernel = layers[dense[0]]["kernel"]
    if kernel[:1] != channels or layers[dense[0]] != {"kernel": kernel, "bias": kernel[1:]}:
        return ""
    return dense[0] if config is None or _follows_pooling(config, dense[0]) else ""


def _follows_pooling(config: Config, dense: str) -> bool:
    """Return whether `dense` takes the output of `top_activation`, pooled, with at most Dropout between."""
    models = [config, *all_layers(config)]
    held = [(model, layer) for model in models for layer in layers_of(model) if layer["config"]["name"] == dense]
    if len(held) != 1 or held[0][1]["class_name"] != "Dense":
        return False
    model, layer = held[0]
    pooled = 0
    for _ in range(len(models)):
        model, layer = _before(model, layer)
        if layer is None or layer["class_name"] not in (_POOLING, _AT_TRAINING):
            break
        pooled += layer["class_name"] == _POOLING
    return pooled == 1 and layer is not None and layer["config"]["name"] == _LAST


def _before(model: Config, layer: Config) -> tuple[Config, Any]:
    """Return the layer whose output the only input of `layer` is, and its model; None for the layer where none is.

    A model that is a layer is entered from its end.
    """
    layers = layers_of(model)
    if model.get("class_name") == "Sequential":
        place = layers.index(layer)
        found = layers[place - 1] if place else None
    else:
        found = _only(layers, layer.get("inbound_nodes"))
    while found is not None and (inner := layers_of(found)):
        model = found
        found = (
            inner[-1] if model.get("class_name") == "Sequential" else _only(inner, model["config"].get("output_layers"))
        )
    return model, found


def _only(layers: list[Any], tensors: Any) -> Any:
    """Return the layer that gives the only one of `tensors`, None where several are there or none."""
    names = list(_names(tensors))
    found = [layer for layer in layers if [layer["config"]["name"]] == names]
    return found[0] if len(found) == 1 else None


def _names(tensors: Any) -> Iterator[str]:
    """Yield the layers of tensors: [name, node, tensor], within lists in Keras 2 and in `keras_history` in Keras 3."""
    if isinstance(tensors, list) and len(tensors) > 2 and isinstance(tensors[0], str) and isinstance(tensors[1], int):
        yield tensors[0]
    elif isinstance(tensors, list | dict):
        for part in tensors.values() if isinstance(tensors, dict) else tensors:
            yield from _names(part)
