"""A graph of Keras decides the network's epsilon and activation, and is refused where its layers differ."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from effconvert.errors import LayoutMismatch
from effconvert.formats.keras import KerasCheckpoint
from effconvert.formats.keras_config import model_config
from effconvert.formats.keras_facts import graph_facts
from effconvert.variants import VARIANTS

from .keras_files import GOLDEN

Config = dict[str, Any]


@pytest.fixture
def config() -> Config:
    return model_config(VARIANTS["b0"], 5, "keras")


def edit(config: Config, change: Callable[[Config], object], kind: str = "", name: str = "") -> Config:
    """Change the settings of the layers of a class, or of those whose name ends with `name`."""
    chosen = [layer for layer in config["config"]["layers"] if layer["class_name"] == kind or not kind]
    chosen = [layer for layer in chosen if layer["name"].endswith(name)]
    assert chosen
    for layer in chosen:
        change(layer["config"])
    return config


def activate(config: Config, activation: object) -> Config:
    for name in ("_activation", "_se_reduce"):
        edit(config, lambda settings: settings.update(activation=activation), name=name)
    return config


def facts(config: Config) -> dict[str, Any]:
    return graph_facts(json.loads(json.dumps(config)), Path("x.keras"))


def refused(config: Config) -> str:
    with pytest.raises(LayoutMismatch) as refusal:
        facts(config)
    return str(refusal.value)


def test_the_graph_of_keras_has_its_facts(config: Config) -> None:
    assert facts(config) == {"bn_eps": 1e-3, "activation": "silu"}


def test_an_epsilon_that_every_layer_has_is_taken(config: Config) -> None:
    assert facts(edit(config, lambda bn: bn.update(epsilon=1e-5), "BatchNormalization"))["bn_eps"] == 1e-5


@pytest.mark.parametrize(("name", "activation"), [("swish", "silu"), ("relu", "relu"), ("relu6", "relu6")])
def test_an_activation_that_every_layer_has_is_taken(config: Config, name: str, activation: str) -> None:
    assert facts(activate(config, name))["activation"] == activation


def test_a_layer_of_its_own_for_the_activation_counts_as_well(config: Config) -> None:
    activate(config, "relu6")
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Activation":
            layer["class_name"], layer["config"] = "ReLU", {"name": layer["name"], "max_value": 6.0}
    assert facts(config)["activation"] == "relu6"


def test_layers_with_different_epsilons_are_refused(config: Config) -> None:
    said = refused(edit(config, lambda bn: bn.update(epsilon=1e-5), name="top_bn"))
    assert "x.keras" in said
    assert "epsilon 0.001: 48 layers, the first stem_bn" in said
    assert "epsilon 1e-05: 1 layers, the first top_bn" in said


@pytest.mark.parametrize("epsilon", [None, "1e-3", 0.0, -1.0, 1, float("nan"), [1e-3]])
def test_an_epsilon_that_is_none_is_refused(config: Config, epsilon: object) -> None:
    said = refused(edit(config, lambda bn: bn.update(epsilon=epsilon), name="top_bn"))
    assert "top_bn: epsilon" in said


def test_layers_with_different_activations_are_refused(config: Config) -> None:
    said = refused(edit(config, lambda layer: layer.update(activation="relu"), "Activation"))
    assert "activation relu: 33 layers, the first stem_activation" in said
    assert "activation silu: 16 layers, the first block1a_se_reduce" in said


@pytest.mark.parametrize("activation", ["gelu", "sigmoid", "linear", None, {"class_name": "function", "config": "f"}])
def test_an_unknown_activation_is_refused(config: Config, activation: object) -> None:
    assert "stem_activation: activation" in refused(activate(config, activation))


@pytest.mark.parametrize("name", ["block3a_se_expand", "block2b_project_conv", "block2b_dwconv", "predictions"])
def test_an_activation_out_of_place_is_refused(config: Config, name: str) -> None:
    said = refused(edit(config, lambda layer: layer.update(activation="relu"), name=name))
    assert f"{name}: activation relu, expected" in said


def test_a_model_inside_a_model_is_looked_into(config: Config) -> None:
    edit(config, lambda bn: bn.update(epsilon=1e-4), "BatchNormalization")
    outer = {"class_name": "Sequential", "config": {"name": "outer", "layers": [config]}}
    assert facts(outer) == {"bn_eps": 1e-4, "activation": "silu"}


def test_an_output_may_be_an_activation_of_its_own(config: Config) -> None:
    config["config"]["layers"].append({"class_name": "Activation", "config": {"name": "a", "activation": "softmax"}})
    assert facts(config)["activation"] == "silu"


@pytest.mark.parametrize("name", ["keras3_plain.h5", "keras3_plain.weights.h5", "keras2_plain.h5"])
def test_a_file_without_a_graph_tells_nothing(name: str) -> None:
    with KerasCheckpoint(GOLDEN / name) as checkpoint:
        assert checkpoint.graph_facts() == {}


@pytest.mark.parametrize("name", ["keras3_plain.keras", "keras3_plain_model.h5", "keras2_nested_model.h5"])
def test_whole_models_of_keras_tell_their_epsilon(name: str) -> None:
    with KerasCheckpoint(GOLDEN / name) as checkpoint:
        assert checkpoint.graph_facts()["bn_eps"] == 1e-3
