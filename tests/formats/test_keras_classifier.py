"""A classifier that a user put on the network is found by its shape, and by its place where the file has a graph."""

from typing import Any

import pytest

from effconvert.formats.keras_classifier import find_classifier

SHAPES: dict[str, tuple[int, ...]] = {
    "top_conv/kernel": (1, 1, 32, 128), "top_bn/gamma": (128,), "dense/kernel": (128, 5), "dense/bias": (5,),
}  # fmt: skip
ACTIVATION, POOLING, DROPOUT = "Activation", "GlobalAveragePooling2D", "Dropout"


def layer(kind: str, name: str, *before: str) -> dict[str, Any]:
    """A layer as Keras 3 writes it."""
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [one, 0, 0]}} for one in before]
    return {"class_name": kind, "config": {"name": name}, "inbound_nodes": [{"args": tensors, "kwargs": {}}]}


def model(kind: str, *layers: dict[str, Any], name: str = "model", **ends: object) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, "layers": list(layers), **ends}}


def chain(*kinds: str) -> list[dict[str, Any]]:
    """Layers of `kinds` behind top_activation, and the Dense behind those."""
    layers = [layer(ACTIVATION, "top_activation", "top_bn")]
    for number, kind in enumerate(kinds):
        layers.append(layer(kind, f"layer{number}", layers[-1]["config"]["name"]))
    return [*layers, layer("Dense", "dense", layers[-1]["config"]["name"])]


def test_without_a_graph_the_shape_decides() -> None:
    assert find_classifier(SHAPES, None) == "dense"


@pytest.mark.parametrize(
    "change",
    [
        {"predictions/kernel": (128, 10), "predictions/bias": (10,)},
        {"dense_1/kernel": (128, 3), "dense_1/bias": (3,)},
        {"dense_1/kernel": (5, 3), "dense_1/bias": (3,)},
        {"dense/kernel": (127, 5)},
        {"dense/bias": (6,)},
        {"dense/lora_kernel_a": (128, 4)},
        {"top_conv/kernel": ()},
    ],
    ids=str,
)
def test_without_a_graph_nothing_else_passes(change: dict[str, tuple[int, ...]]) -> None:
    assert find_classifier(SHAPES | change, None) == ""


def test_a_dense_layer_without_bias_is_none() -> None:
    assert find_classifier({name: shape for name, shape in SHAPES.items() if name != "dense/bias"}, None) == ""


@pytest.mark.parametrize("kinds", [[POOLING], [POOLING, DROPOUT], [DROPOUT, POOLING, DROPOUT, DROPOUT]], ids=str)
@pytest.mark.parametrize("kind", ["Functional", "Sequential"])
def test_it_follows_the_pooling(kind: str, kinds: list[str]) -> None:
    assert find_classifier(SHAPES, model(kind, *chain(*kinds))) == "dense"


@pytest.mark.parametrize(
    "kinds",
    [[], [DROPOUT], ["GlobalMaxPooling2D"], [POOLING, "Flatten"], [POOLING, "Activation"], ["MaxPooling2D", POOLING]],
    ids=str,
)
@pytest.mark.parametrize("kind", ["Functional", "Sequential"])
def test_anything_else_between_is_not_passed_over(kind: str, kinds: list[str]) -> None:
    assert find_classifier(SHAPES, model(kind, *chain(*kinds))) == ""


@pytest.mark.parametrize("ends", [["layer0", 0, 0], [["layer0", 0, 0]]], ids=["Keras 3", "Keras 2"])
def test_it_follows_a_model_that_ends_with_the_pooling(ends: object) -> None:
    backbone = model("Functional", *chain(POOLING)[:-1], name="backbone", output_layers=ends)
    assert find_classifier(SHAPES, model("Sequential", backbone, layer("Dense", "dense"))) == "dense"


def test_it_is_found_in_the_graph_of_keras_2() -> None:
    layers = chain(POOLING)
    for one in layers:
        before = one["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0]
        one["inbound_nodes"] = [[[before, 1, 0, {"training": False}]]]
    assert find_classifier(SHAPES, model("Functional", *layers)) == "dense"


def test_a_layer_with_two_inputs_is_not_passed_over() -> None:
    layers = [*chain(POOLING)[:-1], layer("Dense", "dense", "layer0", "top_activation")]
    assert find_classifier(SHAPES, model("Functional", *layers)) == ""


@pytest.mark.parametrize(
    "nodes", [None, [], 3, [["layer0"]], [[["layer0", 0, 0]], [["layer0", 0, 0]]], ["dense", 0, 0]]
)
def test_a_graph_that_is_not_well_formed_tells_nothing(nodes: object) -> None:
    layers = chain(POOLING)
    layers[-1]["inbound_nodes"] = nodes
    assert find_classifier(SHAPES, model("Functional", *layers)) == ""


def test_layers_in_a_circle_tell_nothing() -> None:
    layers = [layer(DROPOUT, "one", "two"), layer(DROPOUT, "two", "one"), layer("Dense", "dense", "one")]
    assert find_classifier(SHAPES, model("Functional", *layers)) == ""


@pytest.mark.parametrize("config", [{"a": 1}, {"class_name": "Own", "config": {"units": 5}}, {"config": {"layers": 3}}])
def test_a_configuration_without_layers_tells_nothing(config: dict[str, Any]) -> None:
    assert find_classifier(SHAPES, config) == ""
