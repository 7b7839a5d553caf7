"""A layer within the network of a Keras graph that computes otherwise is refused by its name."""

from typing import Any

import pytest

from helpers.formats.keras_findings import DENSE, FORMS, POOL, TOP, Form, activated, findings, refused
from helpers.formats.keras_graphs import (
    SIZE,
    behind,
    between,
    called,
    chain,
    edited,
    find,
    functional,
    layer,
    network,
    without,
)


@FORMS
@pytest.mark.parametrize(
    ("name", "settings", "named"),
    [
        ("stem_conv", {"strides": [1, 1]}, "stem_conv: strides [1, 1], expected [2, 2]"),
        ("block5a_dwconv", {"strides": [2, 2]}, "block5a_dwconv: strides [2, 2], expected [1, 1]"),
        ("block6a_dwconv", {"strides": [1, 1]}, "block6a_dwconv: strides [1, 1], expected [2, 2]"),
        ("block3b_dwconv", {"dilation_rate": [2, 2]}, "block3b_dwconv: dilation_rate [2, 2], expected [1, 1]"),
        ("block3b_dwconv", {"padding": "valid"}, "block3b_dwconv: padding ((0, 0), (0, 0)), expected ((2, 2), (2, 2))"),
        ("block3b_dwconv", {"data_format": "channels_first"}, "block3b_dwconv: data_format channels_first"),
        ("stem_conv_pad", {"padding": [[2, 2], [2, 2]]}, "stem_conv: padding ((2, 2), (2, 2)), expected ((0, 1)"),
        ("top_bn", {"axis": [1]}, "top_bn: axis 1, expected 3"),
        ("top_bn", {"center": False}, "top_bn: center False, expected True"),
        ("block3a_se_expand", {"activation": "hard_sigmoid"}, "block3a_se_expand: activation hard_sigmoid, expected"),
        (
            "block2b_project_conv",
            {"activation": "relu"},
            "takes block2b_project_conv (Activation), expected block2b_pr",
        ),
        ("block2b_dwconv", {"activation": "relu"}, "takes block2b_dwconv (Activation), expected block2b_dwconv"),
        ("predictions", {"activation": "relu"}, "predictions: activation relu, expected one softmax or sigmoid"),
        ("top_bn", {"epsilon": 1e-5}, "epsilon 1e-05: 1 layers, the first top_bn"),
        ("top_activation", {"activation": "relu"}, "activation relu: 1 layers, the first top_activation"),
    ],
    ids=str,
)
def test_a_layer_with_other_settings_is_refused_by_name(form: Form, name: str, settings: Any, named: str) -> None:
    assert named in refused(form(edited(network(5), name, **settings)), "predictions")


@FORMS
@pytest.mark.parametrize(
    ("name", "named"),
    [
        (
            "block2b_add",
            "block3a_expand_conv (Conv2D): takes block2b_project_bn (BatchNormalization), expected a layer Add",
        ),
        ("block2b_activation", "expected a layer Activation"),
        (
            "block2b_se_excite",
            "block2b_project_conv (Conv2D): takes block2b_activation (Activation), expected a layer Mul",
        ),
        ("block2b_se_squeeze", "expected a layer GlobalAveragePooling2D"),
        (
            "stem_activation",
            "block1a_dwconv (DepthwiseConv2D): takes stem_bn (BatchNormalization), expected a layer Act",
        ),
        ("top_activation", "top_bn (BatchNormalization): avg_pool (GlobalAveragePooling2D) follows"),
    ],
)
def test_a_layer_that_is_missing_is_noticed_where_it_belongs(form: Form, name: str, named: str) -> None:
    assert named in refused(form(without(network(5), name)), "predictions")


@FORMS
@pytest.mark.parametrize(
    ("taken", "user", "kind"),
    [
        ("block3b_add", "block4a_expand_conv", "Lambda"),
        ("block3b_add", "block4a_expand_conv", "Activation"),
        ("block3b_add", "block4a_expand_conv", "MaxPooling2D"),
        ("block3b_bn", "block3b_activation", "LayerNormalization"),
        ("block3b_drop", "block3b_add", "StochasticDepth"),
        ("top_conv", "top_bn", "UnitNormalization"),
    ],
)
def test_a_layer_without_weights_within_the_network_is_refused_by_name(
    form: Form, taken: str, user: str, kind: str
) -> None:
    config = between(network(5), taken, user, kind, "stranger", activation="relu")
    assert f"stranger ({kind})" in refused(form(config), "predictions")


@pytest.mark.parametrize("kind", ["SpatialDropout2D", "GaussianNoise", "ActivityRegularization", "FixedDropout"])
def test_noise_within_the_network_is_none_when_it_is_used(kind: str) -> None:
    config = between(network(5), "block3b_add", "block4a_expand_conv", kind, "noise")
    assert findings(config, "predictions").facts["activation"] == "silu"


def test_another_connection_is_refused_by_name() -> None:
    config = network(5)
    find(config, "block3b_add")["inbound_nodes"][0]["args"][0][1]["config"]["keras_history"][0] = "block2b_add"
    said = refused(config, "predictions")
    assert "takes block2b_add (Add), expected block3a_project_bn" in said


def test_weights_that_the_graph_does_not_call_are_refused_by_name() -> None:
    config = network(5)
    find(config, "block5a_expand_conv")["config"]["name"] = "renamed"
    node = find(config, "block5a_expand_bn")["inbound_nodes"][0]["args"][0]
    node["config"]["keras_history"][0] = "renamed"
    assert "block5a_expand_conv: is not in the graph" in refused(config, "predictions")


def test_a_network_that_is_called_twice_is_refused() -> None:
    config = functional(
        "siamese",
        layer("InputLayer", "second", batch_shape=[None, SIZE, SIZE, 3]),
        called(behind(network(), *chain(TOP, POOL)), "b0", "entrance", "second"),
        layer("Subtract", "less", "b0"),
        *chain("less", DENSE),
    )
    find(config, "less")["inbound_nodes"][0]["args"] = [
        [{"class_name": "__keras_tensor__", "config": {"keras_history": ["b0", call, 0]}} for call in (0, 1)]
    ]
    config["config"]["input_layers"].append(["second", 0, 0])
    assert "stem_conv: is called 2 times" in refused(config)


def test_norms_that_are_called_as_in_training_are_refused_by_name() -> None:
    config = functional("outer", called(network(5), "b0", "entrance", training=True))
    assert "stem_bn: is called as in training" in refused(config, "predictions")


@pytest.mark.parametrize("epsilon", [None, "1e-3", 0.0, -1.0, 1, float("nan"), [1e-3]])
def test_an_epsilon_that_is_none_is_refused(epsilon: object) -> None:
    assert "top_bn: epsilon" in refused(edited(network(5), "top_bn", epsilon=epsilon), "predictions")


@pytest.mark.parametrize("activation", ["gelu", "sigmoid", None, {"class_name": "function", "config": "f"}])
def test_an_unknown_activation_is_refused(activation: object) -> None:
    assert "stem_activation: activation" in refused(activated(network(5), activation), "predictions")


def test_layers_with_different_activations_are_refused() -> None:
    config = network(5)
    for one in config["config"]["layers"]:
        if one["class_name"] == "Activation":
            one["config"]["activation"] = "relu"
    said = refused(config, "predictions")
    assert "activation relu: 33 layers, the first " in said
    assert "activation silu: 16 layers, the first block1a_se_reduce" in said
