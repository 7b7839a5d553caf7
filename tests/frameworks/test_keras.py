"""The real Keras reads every kind of file that is written for it, and computes the same numbers; its own files are read
bit for bit.

Keras normalises pixels inside of the network, so it is fed pixels that become the very images of the canonical network.
"""

import json
import os
import zipfile
from itertools import product

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import pytest
import torch
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

import effconvert
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import LayoutMismatch
from effconvert.formats.keras.check import Findings, Network, check_graph
from effconvert.formats.keras.config import model_config
from effconvert.formats.keras.graph import read_graph
from effconvert.model import create_model
from effconvert.model.calibration import calibrate, random_weights, sensitivity, synthetic_images
from helpers.deep import deep_but
from helpers.frameworks.figures import distance, record

TOLERANCE = 2e-5
SUFFIXES = (".h5", ".weights.h5", ".keras")
STD = np.array([0.229, 0.224, 0.225])
MEAN = np.array([0.485, 0.456, 0.406])


@pytest.fixture(scope="module")
def calibrated():
    """Return {classes: canonical B0 with random weights that see the images of `images`}."""

    def network(classes):
        made = random_weights(create_model("b0", classes=classes), 5)
        return calibrate(made, synthetic_images(8, 224, 224, seed=11), seed=5)

    return {classes: network(classes) for classes in (1000, 10, 0)}


def images():
    return synthetic_images(2, 224, 224, seed=3)


def keras_network(classes):
    top = {"classes": classes, "classifier_activation": None} if classes else {"include_top": False}
    return keras.applications.EfficientNetB0(weights=None, input_shape=(224, 224, 3), **top)


def write(network, output, **facts):
    source = output.with_name("canonical.pth")
    torch.save(network.state_dict(), source)
    return effconvert.convert(source, output, to="keras", variant="b0", weights="aa", facts=facts, force=True)


def outputs(model):
    """Return a Keras network's output for the canonical images, in canonical axes; logits if it ends in softmax."""
    pixels = (images().permute(0, 2, 3, 1).numpy().astype(np.float64) * STD + MEAN) * 255
    last = model.layers[-1]
    if last.name == "predictions":
        last.activation = keras.activations.linear
        model = keras.Model(model.inputs, last(last.input))
    return np.moveaxis(model(pixels.astype(np.float32), training=False).numpy(), -1, 1)


def reference(network):
    """Return the canonical network's output: logits, or the last feature map if it has no classifier."""
    with torch.no_grad():
        if network.facts.classes:
            logits = network(images())
            assert sensitivity(logits) > 0.1
            return logits.numpy()
        return network.forward_features(images()).numpy()


def assert_same_numbers(case, network, model):
    error = distance(outputs(model), reference(network))
    assert record(f"Keras b0 {case}", "224 x 224", error, f"<= {TOLERANCE:.0e}") <= TOLERANCE


def same_weights(one, other):
    return [value.tobytes() for value in one.get_weights()] == [value.tobytes() for value in other.get_weights()]


@pytest.mark.parametrize(
    ("classes", "suffix"),
    deep_but(
        product([1000, 10, 0], SUFFIXES), lambda case: case in ((1000, ".weights.h5"), (10, ".h5"), (0, ".keras"))
    ),
)
def test_load_weights_takes_the_file_and_computes_the_same(tmp_path, calibrated, classes, suffix):
    write(calibrated[classes], tmp_path / f"x{suffix}")
    model = keras_network(classes)
    model.load_weights(tmp_path / f"x{suffix}")
    assert_same_numbers(f"{classes} {suffix}", calibrated[classes], model)


@pytest.mark.parametrize("classes", deep_but([1000, 10, 0], lambda classes: classes == 10))
def test_load_model_gives_the_network(tmp_path, calibrated, classes):
    write(calibrated[classes], tmp_path / "x.keras")
    assert_same_numbers(f"{classes} load_model", calibrated[classes], keras.models.load_model(tmp_path / "x.keras"))


def test_weights_are_found_by_name_as_well(tmp_path, calibrated):
    """By name a session's second network finds no normalization: Keras calls its own normalization_1."""
    write(calibrated[10], tmp_path / "x.h5")
    keras.backend.clear_session()
    model, ordered = keras_network(10), keras_network(10)
    model.load_weights(tmp_path / "x.h5", by_name=True)
    ordered.load_weights(tmp_path / "x.h5")
    assert same_weights(model, ordered)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_lines_of_the_report_build_and_load_the_network(tmp_path, calibrated, suffix):
    report = write(calibrated[10], tmp_path / f"x{suffix}")
    names = {}
    exec(report.network, names)
    model = keras_network(10)
    model.load_weights(tmp_path / f"x{suffix}")
    assert same_weights(names["network"], model)


def test_the_lines_of_the_report_load_the_published_topology(tmp_path, calibrated):
    report = write(calibrated[10], tmp_path / "x.keras", normalization="keras-imagenet")
    names = {}
    exec(report.network, names)
    assert_same_numbers("10 keras-imagenet, lines of the report", calibrated[10], names["network"])


def test_the_published_topology_computes_the_same(tmp_path, calibrated):
    """With std in place of the variance, and the second Rescaling."""
    write(calibrated[10], tmp_path / "x.keras", normalization="keras-imagenet")
    model = keras.models.load_model(tmp_path / "x.keras")
    assert len(model.layers) == 241
    assert np.array_equal(model.get_layer("normalization").variance.numpy().reshape(-1), STD.astype(np.float32))
    assert_same_numbers("10 keras-imagenet", calibrated[10], model)


def test_the_wrong_topology_would_be_noticed(tmp_path, calibrated):
    write(calibrated[10], tmp_path / "x.keras", normalization="keras-imagenet")
    model = keras_network(10)
    model.load_weights(tmp_path / "x.keras")
    assert distance(outputs(model), reference(calibrated[10])) > 1e-2


@pytest.fixture(scope="module")
def saved(tmp_path_factory, calibrated):
    """Return (the network, {kind of file: path}) as Keras itself saves them."""
    folder = tmp_path_factory.mktemp("saved")
    write(calibrated[10], folder / "x.h5")
    model = keras_network(10)
    model.load_weights(folder / "x.h5")
    paths = {name: folder / name for name in ("legacy.h5", "model.h5", "x.weights.h5", "unnamed.weights.h5", "x.keras")}
    import h5py

    with h5py.File(paths["legacy.h5"], "w") as file:
        save_weights_to_hdf5_group(file, model)
    model.save(paths["model.h5"])
    model.save(paths["x.keras"])
    for name in ("x.weights.h5", "unnamed.weights.h5"):
        model.save_weights(paths[name])
    with h5py.File(paths["unnamed.weights.h5"], "r+") as file:  # as Keras before 3.6 wrote them
        for group in file["layers"].values():
            group["vars"].attrs.pop("name", None)
    return model, paths


@pytest.mark.parametrize("kind", ["legacy.h5", "model.h5", "x.weights.h5", "x.keras"])
def test_what_keras_saves_is_read_bit_for_bit(saved, kind):
    model, paths = saved
    with effconvert.open_checkpoint(paths[kind]) as checkpoint:
        assert checkpoint.tensors.keys() == {variable.path for variable in model.weights}
        for variable in model.weights:
            found = checkpoint.read(variable.path)
            assert (found.shape, found.tobytes()) == (tuple(variable.shape), variable.numpy().tobytes())


@pytest.mark.parametrize("kind", ["legacy.h5", "model.h5", "x.weights.h5", "unnamed.weights.h5", "x.keras"])
def test_what_keras_saves_comes_back_as_the_canonical_weights(saved, calibrated, tmp_path, kind):
    effconvert.convert(saved[1][kind], tmp_path / "back.pth")
    state = torch.load(tmp_path / "back.pth")
    original = {n: t for n, t in calibrated[10].state_dict().items() if not n.endswith("num_batches_tracked")}
    assert state.keys() == original.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in original.items())


def transferred(weights, nested, pooling=keras.layers.GlobalAveragePooling2D):
    """B0 without a top under a new head of 5 classes, as users build it; everything random but what `weights` hold."""
    keras.utils.set_random_seed(5)
    pixels = keras.layers.Input((224, 224, 3))
    settings = {"weights": None, "include_top": False, "input_shape": (224, 224, 3)}
    backbone = keras.applications.EfficientNetB0(**settings, **({} if nested else {"input_tensor": pixels}))
    backbone.load_weights(weights)
    features = backbone(pixels, training=False) if nested else backbone.output
    pooled = keras.layers.Dropout(0.2)(pooling()(features))
    return keras.Model(pixels, keras.layers.Dense(5)(pooled))


def canonical_logits(path):
    """Return the canonical network's output for a file and the canonical images, with the facts of its description."""
    effconvert.convert(path, path.with_suffix(".safetensors"), force=True)
    network = effconvert.load_model(path.with_suffix(".safetensors"))
    with torch.no_grad():
        return network, network.eval()(images()).numpy()


@pytest.mark.parametrize(
    ("nested", "suffix"),
    deep_but(
        product([True, False], [".keras", "_model.h5", ".weights.h5"]),
        lambda case: case == (True, ".keras"),
    ),
)
def test_a_new_head_on_the_network_is_its_classifier(tmp_path, calibrated, nested, suffix):
    write(calibrated[0], tmp_path / "notop.h5")
    model, path = transferred(tmp_path / "notop.h5", nested), tmp_path / f"x{suffix}"
    (model.save_weights if suffix == ".weights.h5" else model.save)(path)
    network, logits = canonical_logits(path)
    assert network.facts.classes == 5
    error = distance(outputs(model), logits)
    case = f"Keras b0 transferred {'nested' if nested else 'inline'} {suffix}"
    assert record(case, "224 x 224", error, f"<= {TOLERANCE:.0e}") <= TOLERANCE


@pytest.mark.parametrize(
    ("nested", "suffix"),
    deep_but(product([True, False], [".keras", "_model.h5"]), lambda case: case == (False, "_model.h5")),
)
def test_max_pooling_under_the_head_is_refused_by_name(tmp_path, calibrated, nested, suffix):
    write(calibrated[0], tmp_path / "notop.h5")
    path = tmp_path / f"x{suffix}"
    transferred(tmp_path / "notop.h5", nested, keras.layers.GlobalMaxPooling2D).save(path)
    with pytest.raises(LayoutMismatch, match=r"global_max_pooling2d\w* \(GlobalMaxPooling2D\): is between"):
        effconvert.convert(path, tmp_path / "x.safetensors")


def test_weights_of_a_network_with_max_pooling_say_that_it_lists_it(tmp_path, calibrated):
    write(calibrated[0], tmp_path / "notop.h5")
    transferred(tmp_path / "notop.h5", True, keras.layers.GlobalMaxPooling2D).save_weights(tmp_path / "x.weights.h5")
    report = effconvert.convert(tmp_path / "x.weights.h5", tmp_path / "x.safetensors")
    assert any("it lists global_max_pooling2d" in caution for caution in report.cautions)


@pytest.mark.parametrize("suffix", deep_but([".keras", "_model.h5", ".weights.h5"], lambda suffix: suffix == ".keras"))
def test_one_of_two_networks_in_a_file_computes_the_same(tmp_path, calibrated, suffix):
    write(calibrated[10], tmp_path / "x.h5")
    one, other = (keras.models.clone_model(keras_network(10)) for _ in range(2))
    pixels = keras.layers.Input((224, 224, 3))
    for network, name in ((one, "one"), (other, "other")):
        network.name = name
    other.load_weights(tmp_path / "x.h5")
    model, path = keras.Model(pixels, keras.layers.Average()([one(pixels), other(pixels)])), tmp_path / f"two{suffix}"
    (model.save_weights if suffix == ".weights.h5" else model.save)(path)
    with pytest.raises(LayoutMismatch, match="'one/'"):
        effconvert.convert(path, tmp_path / "two.safetensors")
    effconvert.convert(path, tmp_path / "two.safetensors", root="other/")
    with torch.no_grad():
        logits = effconvert.load_model(tmp_path / "two.safetensors").eval()(images()).numpy()
    assert distance(reference(calibrated[10]), logits) == 0


def test_an_edited_epsilon_is_taken(tmp_path, saved):
    original, paths = saved
    edited = json.loads(original.to_json())
    for layer in edited["config"]["layers"]:
        if layer["class_name"] == "BatchNormalization":
            layer["config"]["epsilon"] = 0.1
    model = keras.models.model_from_json(json.dumps(edited))
    model.load_weights(paths["x.weights.h5"])
    model.save(tmp_path / "x.keras")
    network, logits = canonical_logits(tmp_path / "x.keras")
    assert network.facts.bn_eps == 0.1
    assert distance(outputs(original), logits) > 1e-2
    error = distance(outputs(model), logits)
    assert record("Keras b0 10, epsilon 0.1", "224 x 224", error, f"<= {TOLERANCE:.0e}") <= TOLERANCE


@pytest.mark.parametrize(
    "variant", deep_but(["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"], lambda variant: variant == "b0")
)
def test_the_graph_is_layer_for_layer_that_of_keras(tmp_path, variant):
    """Initializers aside, which the graph leaves to Keras as weights replace what they give."""
    theirs = json.loads(getattr(keras.applications, f"EfficientNet{variant.upper()}")(weights=None).to_json())
    checked = check_graph(read_graph(theirs), Network(VARIANTS[variant], "predictions"), tmp_path / variant)
    assert checked == Findings({"bn_eps": 1e-3, "activation": "silu"})
    ours = keras.saving.deserialize_keras_object(model_config(VARIANTS[variant], 1000, "keras"))
    assert plain_layers(json.loads(ours.to_json())) == plain_layers(theirs)


def plain_layers(config):
    """Name, class, settings, inputs and shapes of every layer; a session's counters and shared objects left out."""
    text = json.dumps(config).replace("normalization_", "normalization#").replace("rescaling_", "rescaling#")
    layers = json.loads(text)["config"]["layers"]
    result = []
    for layer in layers:
        settings = {key: value for key, value in layer["config"].items() if "initializer" not in key}
        settings.pop("dtype")
        settings["name"] = plain_name(settings["name"])
        histories = [plain_name(name) for name in history_names(layer["inbound_nodes"])]
        result.append((layer["class_name"], settings, histories))
    return result


def plain_name(name):
    return name.split("#")[0] if "#" in name else "input_layer" if name.startswith("input_layer") else name


def history_names(node):
    if isinstance(node, dict) and "keras_history" in node:
        return [node["keras_history"][0]]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return [name for child in children for name in history_names(child)]


def test_a_lambda_in_the_configuration_is_left_alone(tmp_path):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Lambda(lambda x: x + 1), keras.layers.Dense(2)])
    model.save(tmp_path / "x.keras")
    assert "__lambda__" in zipfile.ZipFile(tmp_path / "x.keras").read("config.json").decode()
    with effconvert.open_checkpoint(tmp_path / "x.keras") as checkpoint:
        assert [info.shape for info in checkpoint.tensors.values()] == [(4, 2), (2,)]
