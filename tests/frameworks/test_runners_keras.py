"""The runner of Keras gives every layer of keras.applications' network, from every kind of file that Keras writes.

It runs as a user runs it: in a process of its own, which imports nothing of effconvert.
"""

import json
import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import pytest
import torch
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

import effconvert
from effconvert.model import create_model
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from helpers.deep import deep_but
from helpers.frameworks.figures import distance
from helpers.frameworks.running_runners import (
    assert_same_layers,
    called,
    canonical_fed,
    canonical_layers,
    part,
    ran_runner,
    run,
    settings_of,
)

SIZE = (97, 110)
KERAS = {"normalization": "keras"}
PUBLISHED = {"normalization": "keras-imagenet"}
LIGHT = ({"classes": 0}, {"classes": 7, "in_channels": 4}, PUBLISHED)


def images_of(seed=3, size=SIZE, channels=3):
    return synthetic_images(2, *size, seed=seed, channels=channels).numpy()


def network_of(variant="b0", size=SIZE, **facts):
    """The canonical network with calibrated weights, and facts as Keras's has them."""
    made = random_weights(create_model(variant, **{**KERAS, **facts}), 5)
    return calibrate(made, synthetic_images(8, *size, seed=11, channels=made.facts.in_channels), seed=5).eval()


def keras_settings(network, **changes):
    return settings_of(network, network.variant.name.upper(), **changes)


def write(network, output, normalization="keras"):
    """Write the weights for Keras, whatever epsilon they are for, and return the file."""
    source, variant = output.with_name("canonical.pth"), network.variant.name
    torch.save(network.state_dict(), source)
    facts = {"normalization": normalization}
    effconvert.convert(source, output, to="keras", variant=variant, weights="aa", facts=facts, force=True)
    return output


def built(folder, size=SIZE):
    """Keras's own network with the weights of `b0`."""
    made = keras.applications.EfficientNetB0(weights=None, input_shape=(*size, 3), classes=7)
    made.load_weights(write(network_of(classes=7), folder / "weights.h5"))
    return made


def tensors_of(made):
    """{path: array} of a network of Keras, its normalization left out as no weight."""
    return {v.path: v.numpy() for v in made.weights if not v.path.startswith("normalization")}


@pytest.fixture(scope="module")
def b0():
    return network_of(classes=7)


CASES = (
    ("b0", {}, ".h5", "load_weights"),
    ("b0", {"classes": 7}, ".weights.h5", "load_weights"),
    ("b0", {"classes": 0}, ".keras", "keras.models.load_model"),
    ("b0", {"in_channels": 1}, ".weights.h5", "load_weights"),
    ("b0", {"classes": 7, "in_channels": 4}, ".keras", "keras.models.load_model"),
    ("b1", {"classes": 7}, ".keras", "keras.models.load_model"),
    ("b0", PUBLISHED, ".h5", "load_weights of keras.applications"),
    ("b0", {"classes": 0, **PUBLISHED}, ".weights.h5", "load_weights of keras.applications"),
    ("b0", {"classes": 7, **PUBLISHED}, ".keras", "keras.models.load_model"),
)


@pytest.mark.parametrize(
    ("variant", "facts", "suffix", "loader"),
    deep_but(CASES, lambda case: case[:2] == ("b0", {}) or case[1] in LIGHT),
    ids=str,
)
def test_every_layer_is_the_canonical_one_and_so_is_every_block_fed_with_another_run(
    tmp_path, variant, facts, suffix, loader
):
    network = network_of(variant, **facts)
    file = write(network, tmp_path / f"x{suffix}", network.facts.normalization)
    images, others = (images_of(seed, channels=network.facts.in_channels) for seed in (3, 8))
    feed = canonical_layers(network, others)
    found, arrays = run("keras", tmp_path, file, keras_settings(network), images, feed=feed)
    assert found["loader"] == loader
    case, fed = f"keras {variant} {facts or ''} {suffix}", part(arrays, "fed")
    assert_same_layers(case, part(arrays, "layer"), canonical_layers(network, images))
    assert np.array_equal(fed.pop("stem"), arrays["layer/stem"])
    assert_same_layers(f"{case}, fed", fed, canonical_fed(network, feed))


@pytest.mark.parametrize(
    "kind",  # the others are loaded by the tests of every layer
    deep_but(["legacy.h5", "model.h5", "x.weights.h5", "x.keras"], lambda kind: kind in ("legacy.h5", "model.h5")),
)
def test_what_keras_saves_is_loaded_by_keras(tmp_path, b0, kind):
    made, path = built(tmp_path), tmp_path / kind
    if kind == "legacy.h5":
        import h5py

        with h5py.File(path, "w") as file:
            save_weights_to_hdf5_group(file, made)
    else:
        (made.save_weights if kind == "x.weights.h5" else made.save)(path)
    found, arrays = run("keras", tmp_path, path, keras_settings(b0), images_of())
    assert found["loader"] == ("keras.models.load_model" if kind in ("model.h5", "x.keras") else "load_weights")
    assert_same_layers(f"keras {kind} of Keras", part(arrays, "layer"), canonical_layers(b0, images_of()))


def test_a_model_saved_for_another_size_runs_at_the_size_of_the_images(tmp_path, b0):
    built(tmp_path, size=(64, 64)).save(tmp_path / "x.keras")
    _, arrays = run("keras", tmp_path, tmp_path / "x.keras", keras_settings(b0), images_of())
    assert_same_layers("keras, other size", part(arrays, "layer"), canonical_layers(b0, images_of()))


def test_an_edited_epsilon_is_that_of_the_file(tmp_path):
    network = network_of(classes=7, bn_eps=0.1)
    edited = json.loads(built(tmp_path).to_json())
    for layer in edited["config"]["layers"]:
        if layer["class_name"] == "BatchNormalization":
            layer["config"]["epsilon"] = 0.1
    made = keras.models.model_from_json(json.dumps(edited))
    made.load_weights(write(network, tmp_path / "weights.h5"))
    made.save(tmp_path / "x.keras")
    _, arrays = run("keras", tmp_path, tmp_path / "x.keras", keras_settings(network), images_of())
    assert_same_layers("keras, epsilon 0.1", part(arrays, "layer"), canonical_layers(network, images_of()))
    ran = ran_runner("keras", tmp_path, tmp_path / "x.keras", keras_settings(network, bn_eps=1e-3), images_of())
    assert (ran.exit_code, "bn_eps [0.1], not 0.001" in ran.err) == (4, True), ran.err


def test_a_fault_of_one_block_shows_in_that_block_alone_when_each_is_fed(tmp_path, b0):
    made = built(tmp_path)
    kernel = made.get_layer("block3b_project_conv").kernel
    kernel.assign(kernel * 1.001)
    made.save_weights(tmp_path / "x.weights.h5")
    feed = canonical_layers(b0, images_of())
    _, arrays = run("keras", tmp_path, tmp_path / "x.weights.h5", keras_settings(b0), images_of(), feed=feed)
    errors = {name: distance(found, feed[name]) for name, found in part(arrays, "fed").items()}
    assert [name for name, error in errors.items() if error > 2e-5] == ["blocks.4"]
    assert distance(arrays["layer/logits"], feed["logits"]) > 2e-5


@pytest.mark.parametrize(
    "normalization", deep_but(["keras", "keras-imagenet"], lambda given: given == "keras-imagenet")
)
def test_given_tensors_are_loaded_in_place_of_the_file_and_pixels_normalised_by_the_inputs(tmp_path, b0, normalization):
    settings = keras_settings(b0, normalization=normalization)
    tensors = tensors_of(built(tmp_path))
    found, arrays = run("keras", tmp_path, tmp_path / "any", settings, images_of(), tensors=tensors)
    assert found["loader"] == "given tensors"
    assert_same_layers(f"keras, tensors, {normalization}", part(arrays, "layer"), canonical_layers(b0, images_of()))


def test_given_tensors_of_a_file_without_names_are_loaded_by_class_and_number(tmp_path, b0):
    import h5py

    built(tmp_path).save_weights(tmp_path / "x.weights.h5")
    with h5py.File(tmp_path / "x.weights.h5", "r+") as file:  # as Keras before 3.6 wrote them
        for group in file["layers"].values():
            group["vars"].attrs.pop("name", None)
    with effconvert.open_checkpoint(tmp_path / "x.weights.h5") as checkpoint:
        tensors = {n: checkpoint.read(n) for n in checkpoint.tensors if not n.startswith("normalization")}
    assert "conv2d/kernel" in tensors
    _, arrays = run("keras", tmp_path, tmp_path / "any", keras_settings(b0), images_of(), tensors=tensors)
    assert_same_layers("keras, tensors by number", part(arrays, "layer"), canonical_layers(b0, images_of()))


def test_tensors_that_do_not_fit_are_named(tmp_path, b0):
    tensors = tensors_of(built(tmp_path))
    tensors["extra/kernel"] = tensors.pop("top_bn/gamma")
    tensors["predictions/bias"] = tensors["predictions/bias"][:5]
    ran = ran_runner("keras", tmp_path, tmp_path / "any", keras_settings(b0), images_of(), tensors=tensors)
    said = ran.err.splitlines()[-1]
    assert ran.exit_code == 4
    assert "top_bn/gamma: missing; predictions/bias: [5], expected [7]; extra/kernel: unexpected" in said


def transferred(folder, nested):
    """B0 under a new head, as users build it."""
    base = built(folder)
    pixels = keras.layers.Input((*SIZE, 3))
    backbone = keras.Model(base.input, base.get_layer("top_activation").output)
    features = backbone(pixels) if nested else backbone.output
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(pixels if nested else backbone.input, keras.layers.Dense(7)(pooled))


@pytest.mark.parametrize("suffix", deep_but([".keras", "_model.h5", ".weights.h5"], lambda suffix: suffix == ".keras"))
def test_layers_of_a_users_own_are_left_to_effconvert(tmp_path, b0, suffix):
    made = transferred(tmp_path, nested=True)
    (made.save_weights if suffix == ".weights.h5" else made.save)(tmp_path / f"x{suffix}")
    ran = ran_runner("keras", tmp_path, tmp_path / f"x{suffix}", keras_settings(b0), images_of())
    assert ran.exit_code == 10, ran.err
    assert ran.err.splitlines()[-1].startswith("keras: ")
    assert "Traceback" not in ran.err


def test_weights_beyond_the_networks_own_are_not_passed_over(tmp_path, b0):
    made = built(tmp_path)
    keras.Model(made.input, keras.layers.Dense(3)(made.output)).save_weights(tmp_path / "x.weights.h5")
    ran = ran_runner("keras", tmp_path, tmp_path / "x.weights.h5", keras_settings(b0), images_of())
    assert (ran.exit_code, "has 316 tensors, the network has 314" in ran.err) == (10, True), ran.err


def test_code_in_a_model_is_not_run(tmp_path, b0):
    made, mark = built(tmp_path), str(tmp_path / "ran")
    code = keras.layers.Lambda(lambda x: (open(mark, "w").close(), x)[1])
    keras.Model(made.input, code(made.output)).save(tmp_path / "x.keras")
    (tmp_path / "ran").unlink()
    ran = ran_runner("keras", tmp_path, tmp_path / "x.keras", keras_settings(b0), images_of())
    assert (ran.exit_code, "has Lambda lambda" in ran.err) == (10, True), ran.err
    assert not (tmp_path / "ran").exists()


def test_what_is_no_file_of_keras_is_left_to_effconvert(tmp_path, b0):
    (tmp_path / "x.h5").write_bytes(b"nothing")
    ran = ran_runner("keras", tmp_path, tmp_path / "x.h5", keras_settings(b0), images_of())
    assert (ran.exit_code, "Traceback" in ran.err) == (10, False)


@pytest.mark.parametrize(
    "facts", [{"bn_eps": 1e-5}, {"padding": "symmetric"}, {"activation": "relu"}, {"name": "B9"}, {"head_conv": False}]
)
def test_facts_that_keras_cannot_build_are_refused(tmp_path, b0, facts):
    write(b0, tmp_path / "x.h5")
    ran = ran_runner("keras", tmp_path, tmp_path / "x.h5", {**keras_settings(b0), **facts}, images_of())
    assert (ran.exit_code, "Traceback" in ran.err) == (4, False), ran.err


def test_another_backend_gives_the_same(tmp_path, b0, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    file = write(b0, tmp_path / "x.h5")
    found, arrays = run("keras", tmp_path, file, keras_settings(b0), images_of(), started=True)
    assert found["network"].endswith("on torch")
    assert_same_layers("keras on torch", part(arrays, "layer"), canonical_layers(b0, images_of()))


def test_it_says_which_versions_it_would_run_and_nothing_else(tmp_path):
    ran = called("keras", "--check", folder=tmp_path)
    assert (ran.exit_code, ran.err) == (0, "")
    assert '"keras": "3.' in ran.out
