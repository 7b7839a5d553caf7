"""Configurations of Keras models around EfficientNet-B0, as Keras 3 writes them, and the same as Keras 2 does."""

import copy
import json
from typing import Any

from effconvert.architecture.variants import VARIANTS
from effconvert.formats.keras.config import model_config

Config = dict[str, Any]
SIZE = 224


def network(classes: int = 0, variant: str = "b0", topology: str = "keras") -> Config:
    """Return the whole network of keras.applications, as it is written."""
    made: Config = json.loads(json.dumps(model_config(VARIANTS[variant], classes, topology)))
    return made


def layer(kind: str, name: str, *before: str, **settings: Any) -> Config:
    """Return a layer that takes the outputs of the layers `before`."""
    tensors = [tensor(one) for one in before]
    node: Config = {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}
    nodes = [node] if before else []
    config = {"name": name, **settings}
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None, "name": name} | {
        "inbound_nodes": nodes
    }


def tensor(name: str) -> Config:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}


def behind(config: Config, *layers: Config, outputs: str = "") -> Config:
    """Return a model with `layers` behind those of `config`; the last one's output is its own."""
    made = copy.deepcopy(config)
    made["config"]["layers"] += layers
    made["config"]["output_layers"] = [[outputs or layers[-1]["config"]["name"], 0, 0]]
    return made


def chain(start: str, *layers: tuple[str, str] | tuple[str, str, dict[str, Any]]) -> list[Config]:
    """Return layers (class, name, settings) of which each takes the one before, the first `start`."""
    made, before = [], start
    for kind, name, *settings in layers:
        made.append(layer(kind, name, before, **(settings[0] if settings else {})))
        before = name
    return made


def sequential(*layers: Config, name: str = "sequential", shape: Any = (None, SIZE, SIZE, 3)) -> Config:
    """Return a Sequential model."""
    entrance = layer("InputLayer", "entrance", batch_shape=list(shape))
    listed = [{key: value for key, value in one.items() if key != "inbound_nodes"} for one in (entrance, *layers)]
    return {"module": "keras", "class_name": "Sequential", "config": {"name": name, "layers": listed}}


def functional(name: str, *layers: Config, inputs: str = "entrance") -> Config:
    """Return a Functional model whose last layer is its output; a model in it is called on the layers `calls` names."""
    entrance = layer("InputLayer", inputs, batch_shape=[None, SIZE, SIZE, 3])
    ends = {"input_layers": [[inputs, 0, 0]], "output_layers": [[layers[-1]["config"]["name"], 0, 0]]}
    return {"class_name": "Functional", "config": {"name": name, "layers": [entrance, *layers], **ends}}


def called(model: Config, name: str, *before: str, **keywords: Any) -> Config:
    """Return a model as a layer of another, called on each of `before`."""
    made = copy.deepcopy(model)
    made["config"]["name"] = made["name"] = name
    made["inbound_nodes"] = [{"args": [tensor(one)], "kwargs": keywords} for one in before]
    return made


def edited(config: Config, name: str, **settings: Any) -> Config:
    """Return the model with other settings of one layer, wherever it lies."""
    made = copy.deepcopy(config)
    find(made, name)["config"] |= settings
    return made


def find(config: Config, name: str) -> Config:
    """Return the layer called `name`, wherever it lies."""
    remaining = [config]
    while remaining:
        model = remaining.pop()
        for one in model["config"].get("layers", []):
            if one["config"]["name"] == name:
                assert isinstance(one, dict)
                return one
            remaining.append(one)
    raise KeyError(name)


def without(config: Config, name: str) -> Config:
    """Return the model with one layer taken out: what took its output takes its first input."""
    made = copy.deepcopy(config)
    before = names_in(find(made, name)["inbound_nodes"])[0]
    made["config"]["layers"] = [one for one in made["config"]["layers"] if one["config"]["name"] != name]
    text = json.dumps(made["config"]).replace(f'["{name}", 0, 0]', f'["{before}", 0, 0]')
    made["config"] = json.loads(text)
    return made


def between(config: Config, taken: str, user: str, kind: str, name: str, **settings: Any) -> Config:
    """Return the model with a layer put between `taken` and `user`, which takes its output."""
    made = copy.deepcopy(config)
    place = find(made, user)
    text = json.dumps(place["inbound_nodes"]).replace(f'["{taken}", 0, 0]', f'["{name}", 0, 0]')
    place["inbound_nodes"] = json.loads(text)
    layers = made["config"]["layers"]
    layers.insert(layers.index(place), layer(kind, name, taken, **settings))
    return made


def names_in(value: Any) -> list[str]:
    """Return the layers that calls take, in order."""
    if isinstance(value, dict) and "keras_history" in value:
        return [value["keras_history"][0]]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [name for part in parts for name in names_in(part)]


def as_keras_2(config: Config) -> Config:
    """Return the model as Keras 2 writes it: lists [layer, call, output, arguments], and no modules."""
    made = {key: value for key, value in config.items() if key not in ("module", "registered_name")}
    inner = dict(made["config"])
    if "layers" in inner:
        inner["layers"] = [as_keras_2(one) for one in inner["layers"]]
    if "batch_shape" in inner:
        inner["batch_input_shape"] = inner.pop("batch_shape")
    if inner.get("activation") == "silu":
        inner["activation"] = "swish"
    made["config"] = inner
    nodes = made.get("inbound_nodes")
    if nodes:
        made["inbound_nodes"] = [
            [[name, 0, 0, dict(node["kwargs"])] for name in names_in(node["args"])] for node in nodes
        ]
    return made
