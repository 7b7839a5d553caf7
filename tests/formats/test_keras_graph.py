"""The graph of a Keras model is read from every form in which Keras writes what a call takes; a broken one is told."""

from typing import Any

import pytest

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.keras.graph import Call, read_graph
from helpers.formats.keras_graphs import Config, as_keras_2, called, chain, functional, layer, sequential


def calls(config: Config) -> dict[str, Call]:
    graph = read_graph(config)
    assert graph is not None
    return {call.scope + call.name: call for call in graph.calls}


def taken(call: Call) -> list[str]:
    return [before.scope + before.name for before in call.inputs]


def model(nodes: object, kind: str = "Dense") -> Config:
    """Return a model of one layer that is called as `nodes` say."""
    config = functional("model", layer("Layer", "first", "entrance"), layer(kind, "last", "first"))
    config["config"]["layers"][-1]["inbound_nodes"] = nodes
    return config


def malformed(config: Config) -> str:
    with pytest.raises(ValueError, match=".") as error:
        read_graph(config)
    return str(error.value)


@pytest.mark.parametrize(
    "nodes",
    [
        [[["first", 0, 0]]],
        [[["first", 0, 0, {}]]],
        [["first", 0, 0, {"training": False}]],
        [{"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["first", 0, 0]}}], "kwargs": {}}],
        [
            {
                "args": [],
                "kwargs": {"x": {"class_name": "__keras_tensor__", "config": {"keras_history": ["first", 0, 0]}}},
            }
        ],
        [[["first", 7, 0, {}]]],
    ],
    ids=str,
)
def test_every_way_to_write_a_call_is_read(nodes: object) -> None:
    call = calls(model(nodes))["last"]
    assert (taken(call), call.further, call.training) == (["first"], False, False)


@pytest.mark.parametrize(
    "nodes",
    [
        [["first", 0, 0, {"y": 0.5}]],
        [[["first", 0, 0, {}], ["_CONSTANT_VALUE", -1, 0.5, {}]]],
        [{"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["first", 0, 0]}}, 2], "kwargs": {}}],
    ],
    ids=str,
)
def test_what_a_call_takes_beside_tensors_is_told(nodes: object) -> None:
    call = calls(model(nodes))["last"]
    assert (taken(call), call.further) == (["first"], True)


def test_a_call_as_in_training_is_told() -> None:
    assert calls(model([[["first", 0, 0, {"training": True}]]]))["last"].training
    outer = functional("outer", called(functional("inner", layer("Dropout", "drop", "entrance")), "inner", "entrance"))
    outer["config"]["layers"][1]["inbound_nodes"][0]["kwargs"] = {"training": True}
    assert calls(outer)["inner/drop"].training


def test_models_within_models_are_opened() -> None:
    inner = functional("inner", *chain("entrance", ("Dense", "a"), ("Dense", "b")))
    outer = functional("outer", called(sequential(inner), "middle", "entrance"), layer("Dense", "c", "middle"))
    found = calls(outer)
    assert taken(found["c"]) == ["middle/inner/b"]
    assert taken(found["middle/inner/entrance"]) == ["middle/entrance"]
    assert taken(found["middle/entrance"]) == ["entrance"]


def test_a_model_that_is_called_twice_is_there_twice() -> None:
    inner = called(functional("inner", layer("Dense", "a", "entrance")), "inner", "entrance", "b")
    outer = functional("outer", inner, layer("Dense", "b", "inner"), layer("Add", "sum", "inner", "inner"))
    for form, first in ((outer, 0), (as_keras_2(outer), 1)):
        nodes = form["config"]["layers"][2]["inbound_nodes"], form["config"]["layers"][3]["inbound_nodes"]
        nodes[0][0] = [["inner", first, 0, {}]]
        nodes[1][0] = [["inner", first, 0, {}], ["inner", first + 1, 0, {}]]
        graph = read_graph(form)
        assert graph is not None
        one, other = graph.outputs[0].inputs
        assert (taken(one), taken(other)) == (["inner/entrance"], ["inner/entrance"])
        assert taken(other.inputs[0]) == ["b"]


def twice(number_of_output: int, *, keras_2: bool) -> Config:
    """Return a model that calls another one twice, as Keras itself numbers the calls; the second is an output."""
    inner = called(functional("inner", layer("Dense", "a", "entrance")), "inner", "entrance", "other")
    config = functional("outer", layer("InputLayer", "other"), inner, layer("Dense", "b", "inner"))
    form = as_keras_2(config) if keras_2 else config
    if keras_2:
        form["config"]["layers"][-1]["inbound_nodes"] = [[["inner", 1, 0, {}]]]
    form["config"]["output_layers"] = [["b", 0, 0], ["inner", number_of_output, 0]]
    return form


@pytest.mark.parametrize("keras_2", [True, False])
@pytest.mark.parametrize(("number", "taken_by_it"), [(1, "entrance"), (2, "other")])
def test_the_output_of_a_model_that_is_called_twice_is_numbered_as_keras_does(
    keras_2: bool, number: int, taken_by_it: str
) -> None:
    graph = read_graph(twice(number, keras_2=keras_2))
    assert graph is not None
    first, second = graph.outputs
    assert taken(first.inputs[0].inputs[0]) == ["entrance"]
    assert taken(second.inputs[0]) == [taken_by_it]


@pytest.mark.parametrize("number", [0, 1])
def test_the_output_of_a_model_that_is_called_once_may_be_numbered_either_way(number: int) -> None:
    inner = called(functional("inner", layer("Dense", "a", "entrance")), "inner", "entrance")
    config = functional("outer", inner, layer("Dense", "b", "inner"))
    config["config"]["output_layers"] = [["b", 0, 0], ["inner", number, 0]]
    graph = read_graph(config)
    assert graph is not None
    assert [call.name for call in graph.outputs] == ["b", "a"]


def test_outputs_of_a_model_are_told_apart() -> None:
    inner = functional("inner", layer("Dense", "a", "entrance"), layer("Dense", "b", "entrance"))
    inner["config"]["output_layers"] = [["a", 0, 0], ["b", 0, 0]]
    outer = functional("outer", called(inner, "inner", "entrance"), layer("Dense", "c", "inner"))
    outer["config"]["layers"][-1]["inbound_nodes"] = [[["inner", 0, 1, {}]]]
    assert taken(calls(outer)["c"]) == ["inner/b"]


def test_layers_may_stand_in_any_order() -> None:
    config = functional("model", *chain("entrance", ("Dense", "a"), ("Dense", "b"), ("Dense", "c")))
    config["config"]["layers"].reverse()
    assert [call.name for call in calls(config).values()] == ["entrance", "a", "b", "c"]


def test_a_sequential_model_without_an_input_layer_has_one() -> None:
    config = {"class_name": "Sequential", "config": {"layers": [layer("Dense", "a", batch_input_shape=[None, 3])]}}
    assert calls(config)["input"].settings["batch_input_shape"] == [None, 3]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"a": 1},
        {"class_name": "Own", "config": {"units": 5}},
        {"class_name": "Sequential", "config": {"layers": 3}},
    ],
)
def test_a_model_of_a_users_own_class_has_no_graph(config: Config) -> None:
    assert read_graph(config) is None


@pytest.mark.parametrize(
    "nodes", [[["nowhere", 0, 0]], [[["first", 0]]], [[[1, 0, 0]]], [[]], 3, [[["first", 0, 0, 5]]], [[["last", 0, 0]]]]
)
def test_calls_that_are_not_well_formed_are_told(nodes: object) -> None:
    assert malformed(model(nodes))


def test_layers_in_a_circle_are_told() -> None:
    config = functional("model", layer("Dense", "a", "b"), layer("Dense", "b", "a"))
    assert "circle" in malformed(config)


def test_a_model_that_is_given_too_much_is_told() -> None:
    inner = functional("inner", layer("Dense", "a", "entrance"))
    outer = functional("outer", layer("Dense", "b", "entrance"), called(inner, "inner", "entrance"))
    outer["config"]["layers"][-1]["inbound_nodes"] = [[["entrance", 0, 0], ["b", 0, 0]]]
    assert "takes 1 inputs and is given 2" in malformed(outer)


@pytest.mark.parametrize(("outputs", "number"), [([], 0), ([["a", 0, 0], ["a", 0, 0]], 2), ([["a", 0, 0]] * 2, -1)])
def test_an_output_that_a_model_does_not_have_is_told(outputs: object, number: int) -> None:
    inner = functional("inner", layer("Dense", "a", "entrance"))
    inner["config"]["output_layers"] = outputs
    outer = functional("outer", called(inner, "inner", "entrance"), layer("Dense", "b", "inner"))
    outer["config"]["layers"][-1]["inbound_nodes"] = [[["inner", 0, number, {}]]]
    assert "output" in malformed(outer)


def test_a_name_that_would_not_print_is_told() -> None:
    assert "a layer is called" in malformed(sequential(layer("Dense", "a\nb")))


def test_models_that_lie_too_deep_are_told() -> None:
    config: Config = sequential(layer("Dense", "a"))
    for _ in range(40):
        config = sequential(config)
    assert "models are nested more than" in malformed(config)


def test_a_graph_that_grows_without_end_is_told() -> None:
    """Each model calls the one within it twice."""
    config: Any = functional("model", layer("Dense", "a", "entrance"))
    for number in range(20):
        inner = called(config, f"model{number}", "entrance", "entrance")
        config = functional("outer", inner, layer("Add", "sum", f"model{number}"))
        config["config"]["layers"][-1]["inbound_nodes"] = [[[f"model{number}", 0, 0, {}], [f"model{number}", 1, 0, {}]]]
    with pytest.raises(UnreadableCheckpoint, match="needs far more work to read"):
        malformed(config)
