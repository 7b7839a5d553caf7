"""A graph of Keras decides facts of its network, and is refused by the names of the layers that compute otherwise."""

from typing import Any

import pytest

from effconvert.formats.keras.check import Findings
from helpers.formats.keras_findings import (
    DENSE,
    FORMS,
    POOL,
    TOP,
    Form,
    activated,
    findings,
    of_every_norm,
    refused,
    with_head,
)
from helpers.formats.keras_graphs import (
    SIZE,
    Config,
    as_keras_2,
    behind,
    called,
    chain,
    edited,
    find,
    functional,
    layer,
    network,
    sequential,
    without,
)

# What is right


@FORMS
@pytest.mark.parametrize("variant", ["b0", "b4"])
@pytest.mark.parametrize("topology", ["keras", "keras-imagenet"])
def test_the_graph_of_keras_has_its_facts(form: Form, variant: str, topology: str) -> None:
    config = form(network(5, variant, topology))
    assert findings(config, "predictions", variant) == Findings({"bn_eps": 1e-3, "activation": "silu"})


@FORMS
@pytest.mark.parametrize(
    "head",
    [
        [POOL, DENSE],
        [POOL, ("Dropout", "drop"), DENSE],
        [("Dropout", "a"), POOL, ("GaussianNoise", "b"), ("Dropout", "c"), DENSE],
        [("GlobalAveragePooling2D", "pool", {"keepdims": True}), ("Flatten", "flatten"), DENSE],
        [POOL, ("Reshape", "reshape", {"target_shape": [1280]}), DENSE],
        [("AveragePooling2D", "a", {"pool_size": [7, 7], "padding": "valid"}), ("Flatten", "b"), DENSE],
        [POOL, DENSE, ("Activation", "a", {"activation": "softmax"})],
        [POOL, DENSE, ("Softmax", "a", {"axis": -1})],
        [POOL, DENSE, ("Activation", "a", {"activation": "linear"})],
    ],
    ids=str,
)
def test_a_head_that_reads_the_mean_is_one(form: Form, head: Any) -> None:
    assert findings(form(with_head(*head))) == Findings({"bn_eps": 1e-3, "activation": "silu"})


@FORMS
def test_a_network_in_a_network_is_opened(form: Form) -> None:
    config = functional(
        "outer",
        layer("RandomFlip", "flip", "entrance"),
        called(network(), "b0", "flip", training=False),
        *chain("b0", POOL, DENSE),
    )
    assert findings(form(config)).facts["activation"] == "silu"


@FORMS
def test_a_chain_of_models_is_opened(form: Form) -> None:
    backbone = behind(network(), *chain(TOP, POOL))
    head = sequential(layer("Dropout", "drop"), layer("Dense", "dense"), name="head", shape=(None, 1280))
    augmentation = sequential(layer("RandomFlip", "flip"), layer("RandomZoom", "zoom"), name="augmentation")
    assert findings(form(sequential(augmentation, backbone, head))).cautions == ()


def test_layers_that_pad_by_themselves_as_tensorflow_does_are_as_good() -> None:
    config = network(5)
    for name in [one["name"] for one in config["config"]["layers"] if one["class_name"] == "ZeroPadding2D"]:
        user = name.removesuffix("_pad")
        config = edited(without(config, name), user, padding="same")
    assert findings(config, "predictions").facts.keys() == {"bn_eps", "activation"}


def test_a_sum_and_a_product_may_be_written_either_way() -> None:
    config = network(5)
    for one in config["config"]["layers"]:
        if one["class_name"] in ("Add", "Multiply"):
            one["inbound_nodes"][0]["args"][0].reverse()
    assert findings(config, "predictions").facts["bn_eps"] == 1e-3


def test_an_epsilon_that_every_norm_has_is_taken() -> None:
    assert findings(of_every_norm(network(5), 1e-5), "predictions").facts["bn_eps"] == 1e-5


@pytest.mark.parametrize(("name", "activation"), [("swish", "silu"), ("relu", "relu"), ("relu6", "relu6")])
def test_an_activation_that_every_layer_has_is_taken(name: str, activation: str) -> None:
    assert findings(activated(network(5), name), "predictions").facts["activation"] == activation


def test_a_layer_of_its_own_for_the_activation_counts_as_well() -> None:
    config = activated(network(5), "relu6")
    for one in config["config"]["layers"]:
        if one["class_name"] == "Activation":
            one["class_name"], one["config"] = "ReLU", {"name": one["name"], "max_value": 6.0}
    assert findings(config, "predictions").facts["activation"] == "relu6"


def test_padding_as_pytorch_pads_is_a_fact() -> None:
    config = network(5)
    for one in config["config"]["layers"]:
        if one["class_name"] == "ZeroPadding2D":
            after = one["config"]["padding"][0][1]
            one["config"]["padding"] = [[after, after], [after, after]]
    assert findings(config, "predictions").facts["padding"] == "symmetric"


def test_a_network_for_pictures_of_any_size_says_where_its_padding_is_not_tensorflows() -> None:
    """Keras pads as for even sizes; B1's own 240 pixels come to 15."""
    b0, b1 = (edited(network(5, name), "input_layer", batch_shape=[None, None, None, 3]) for name in ("b0", "b1"))
    for one in b1["config"]["layers"]:
        if one["class_name"] == "ZeroPadding2D":
            after = one["config"]["padding"][0][1]
            one["config"]["padding"] = [[after - 1, after], [after - 1, after]]
    assert findings(b0, "predictions").cautions == ()
    assert "as at 240 pixels" in findings(b1, "predictions", "b1").cautions[0]


# What lies between the network and its classifier


@FORMS
@pytest.mark.parametrize(
    ("head", "named"),
    [
        ([("GlobalMaxPooling2D", "max_pool"), DENSE], "max_pool (GlobalMaxPooling2D): is between"),
        ([("Flatten", "flat"), DENSE], "flat (Flatten): is between"),
        ([("MaxPooling2D", "small"), POOL, DENSE], "small (MaxPooling2D): is between"),
        ([("AveragePooling2D", "a", {"pool_size": [2, 2], "padding": "valid"}), ("Flatten", "b"), DENSE], "a (Average"),
        ([POOL, ("Activation", "act", {"activation": "relu"}), DENSE], "act (Activation): is between"),
        ([POOL, ("LeakyReLU", "leaky"), DENSE], "leaky (LeakyReLU): is between"),
        ([POOL, ("Rescaling", "scaled"), DENSE], "scaled (Rescaling): is between"),
        ([POOL, ("UnitNormalization", "unit"), DENSE], "unit (UnitNormalization): is between"),
        ([POOL, ("Lambda", "code"), DENSE], "code (Lambda): is between"),
        ([POOL, ("BatchNormalization", "norm"), DENSE], "norm (BatchNormalization): is between"),
        ([DENSE], "dense (Dense): follows top_activation (Activation) without GlobalAveragePooling2D"),
        ([POOL, ("TFOpLambda", "op", {"function": "math.l2_normalize"}), DENSE], "op (TFOpLambda math.l2_normalize)"),
    ],
    ids=str,
)
def test_what_computes_before_the_classifier_is_refused_by_name(form: Form, head: Any, named: str) -> None:
    said = refused(form(with_head(*head)))
    assert named in said
    assert "backbone=True" in said


@FORMS
def test_pooling_in_a_model_of_its_own_is_refused_by_name(form: Form) -> None:
    backbone = behind(network(), *chain(TOP, ("GlobalMaxPooling2D", "max_pool")))
    assert "max_pool (GlobalMaxPooling2D)" in refused(form(sequential(backbone, layer("Dense", "dense"))))


@FORMS
def test_several_kinds_of_pooling_at_once_are_refused_by_name(form: Form) -> None:
    config = behind(
        network(),
        *chain(TOP, POOL),
        *chain(TOP, ("GlobalMaxPooling2D", "most")),
        layer("Concatenate", "both", "pool", "most"),
        *chain("both", DENSE),
    )
    assert "both (Concatenate): takes pool (GlobalAveragePooling2D), most (GlobalMaxPooling2D)" in refused(form(config))
    assert "both (Concatenate)" in refused(form(config), "", whole=False)


@FORMS
def test_a_second_input_before_the_classifier_is_refused_by_name(form: Form) -> None:
    age = layer("InputLayer", "age", batch_shape=[None, 1])
    config = behind(
        network(), *chain(TOP, POOL), age, layer("Concatenate", "both", "pool", "age"), *chain("both", DENSE)
    )
    config["config"]["input_layers"].append(["age", 0, 0])
    assert "age (InputLayer)" in refused(form(config))


def test_a_call_on_a_number_is_refused_by_name() -> None:
    config = with_head(POOL, ("Multiply", "times"), DENSE)
    find(config, "times")["inbound_nodes"][0]["args"].append(0.5)
    assert "times (Multiply): takes pool (GlobalAveragePooling2D) and something else" in refused(config)
    keras_2 = as_keras_2(with_head(POOL, ("TFOpLambda", "times", {"function": "math.multiply"}), DENSE))
    find(keras_2, "times")["inbound_nodes"] = [["pool", 0, 0, {"y": 0.5, "name": None}]]
    assert "times (TFOpLambda math.multiply)" in refused(keras_2)


def test_a_class_of_a_users_own_is_no_layer_of_keras() -> None:
    config = with_head(POOL, ("Dropout", "own"), DENSE)
    find(config, "own").update(module="mylayers", registered_name="mylayers>Dropout")
    assert "own (mylayers>Dropout)" in refused(config)
    find(config, "own").update(module=None, registered_name="Dropout")
    assert "own (custom>Dropout)" in refused(config)


def test_dropout_that_is_called_as_in_training_is_refused_by_name() -> None:
    config = with_head(POOL, ("Dropout", "monte_carlo"), DENSE)
    find(config, "monte_carlo")["inbound_nodes"][0]["kwargs"] = {"training": True}
    assert "monte_carlo (Dropout)" in refused(config)


def test_heads_that_read_the_mean_are_left_to_the_tensors() -> None:
    config = behind(network(), *chain(TOP, POOL, DENSE), *chain("pool", ("Dense", "other")))
    assert findings(config, "", whole=False).facts["bn_eps"] == 1e-3


# What lies behind the classifier


@FORMS
@pytest.mark.parametrize(
    ("after", "named"),
    [
        (("Rescaling", "temperature"), "temperature (Rescaling): is after the classifier dense"),
        (("Lambda", "code"), "code (Lambda): is after"),
        (("Activation", "act", {"activation": "relu"}), "act: activation relu, expected one softmax or sigmoid"),
        (("LeakyReLU", "leaky"), "leaky (LeakyReLU): is after"),
    ],
    ids=str,
)
def test_what_computes_behind_the_classifier_is_refused_by_name(form: Form, after: Any, named: str) -> None:
    assert named in refused(form(with_head(POOL, DENSE, after)))


def test_a_second_softmax_is_refused_by_name() -> None:
    config = with_head(POOL, ("Dense", "dense", {"activation": "softmax"}), ("Softmax", "again"))
    assert "again: activation softmax" in refused(config)


def test_a_network_without_a_classifier_says_what_stands_behind_it() -> None:
    assert findings(with_head(POOL), "").cautions == ()
    (caution,) = findings(with_head(("GlobalMaxPooling2D", "most")), "").cautions
    assert "most (GlobalMaxPooling2D)" in caution
    (caution,) = findings(with_head(("Lambda", "code"), POOL, DENSE, ("Softmax", "end")), "").cautions
    assert caution.endswith("code (Lambda)")


# What lies before the network


@FORMS
@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("Lambda", "first (Lambda): is before the first convolution"),
        ("Permute", "first (Permute)"),
        ("AutoContrast", "first (AutoContrast)"),
        ("SlicingOpLambda", "first (SlicingOpLambda)"),
        ("Cropping2D", "first (Cropping2D)"),
    ],
)
def test_what_changes_pixels_in_an_unknown_way_is_refused_by_name(form: Form, kind: str, named: str) -> None:
    backbone = behind(network(), *chain(TOP, POOL))
    assert named in refused(form(sequential(layer(kind, "first"), backbone, layer("Dense", "dense"))))


@pytest.mark.parametrize("kind", ["RandomFlip", "RandomRotation", "RandomHeight", "GaussianNoise", "Rescaling"])
def test_augmentation_and_scales_may_stand_there(kind: str) -> None:
    backbone = behind(network(), *chain(TOP, POOL))
    config = sequential(layer(kind, "first", scale=2.0, offset=0.0), backbone, layer("Dense", "dense"))
    assert findings(config).cautions == ()


def test_augmentation_may_be_recorded_as_called_in_training_which_is_its_default() -> None:
    flip = layer("RandomFlip", "flip", "entrance")
    flip["inbound_nodes"][0]["kwargs"] = {"training": True}
    config = functional("outer", flip, called(network(5), "b0", "flip"))
    assert findings(config, "predictions").cautions == ()


@pytest.mark.parametrize("kind", ["Resizing", "CenterCrop", "RandomCrop"])
def test_a_layer_that_sizes_pictures_is_left_out_with_a_caution(kind: str) -> None:
    backbone = edited(behind(network(), *chain(TOP, POOL)), "input_layer", batch_shape=[None, None, None, 3])
    first = layer(kind, "first", height=SIZE, width=SIZE)
    config = sequential(first, backbone, layer("Dense", "dense"), shape=(None, None, None, 3))
    (caution,) = findings(config).cautions
    assert f"first ({kind})" in caution


# Several networks in one model


def two_networks() -> Config:
    first, second = (called(network(5), name, "entrance") for name in ("first", "second"))
    second = edited(second, "top_bn", epsilon=1e-5)
    return functional("both", first, second, layer("Average", "average", "first", "second"))


@FORMS
def test_the_network_that_is_meant_is_looked_at_alone(form: Form) -> None:
    config = form(two_networks())
    told = findings(config, "predictions", scope="first/")
    assert told.facts["bn_eps"] == 1e-3
    assert "average (Average)" in told.cautions[0]
    assert "epsilon 1e-05: 1 layers, the first top_bn" in refused(config, "predictions", scope="second/")
