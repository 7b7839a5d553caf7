"""The runner of TensorFlow gives every layer of the official network, from any form of a checkpoint that TensorFlow reads.

It runs as a user runs it: in a process of its own, which imports nothing of effconvert.
"""

import shutil
import tarfile

import numpy as np
import official_weights
import pytest
from calibrated_checkpoint import calibrated_state, official_variables, write_checkpoint
from figures import distance, record
from official_weights import AVERAGE
from running_runners import (
    assert_same_layers,
    called,
    canonical_fed,
    canonical_layers,
    part,
    ran_runner,
    run,
    settings_of,
)
from tensorflow_files import save

from effconvert.model import create_model
from effconvert.model.calibration import synthetic_images

SIZE = (97, 110)
BARE = {"classes": 0, "head_conv": False}
CASES = [
    ("b0", "b0", {}),
    ("b0", "b0", {"classes": 7}),
    ("b0", "b0", {"classes": 0}),
    ("b0", "b0", BARE),
    ("cc-b0-4e", "condconv-b0-4e", {}),
    ("cc-b1-8e", "condconv-b0-8e-depth", {}),
    ("edgetpu-s", "edgetpu-S", {}),
    ("edgetpu-s", "edgetpu-S", {"fused_stride": "expand"}),
    ("lite0", "lite0", {}),
]


def images_of(seed=3):
    return synthetic_images(2, *SIZE, seed=seed).numpy()


def network_of(variant, seed=0, **facts):
    """The canonical network with calibrated weights."""
    import torch

    network = create_model(variant, **facts)
    state = calibrated_state(variant, SIZE, seed, **facts)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return network.eval()


def variables(network, name):
    return official_variables(f"efficientnet-{name}", {n: t.numpy() for n, t in network.state_dict().items()})


@pytest.fixture(scope="module")
def b0():
    return network_of("b0", classes=7)


def without_scope(tensors):
    return {name.removeprefix("efficientnet-b0/"): array for name, array in tensors.items()}


@pytest.mark.parametrize("model", ["efficientnet-b0", "efficientnet-lite0"])
@pytest.mark.parametrize("weights", ["ema", "raw"])
def test_it_gives_the_golden_outputs_of_the_official_graph(tmp_path, model, weights):
    golden = official_weights.golden(model)
    checkpoint = save(tmp_path / "checkpoint", official_weights.checkpoint(model))
    name = model.removeprefix("efficientnet-")
    settings = settings_of(create_model(name), raw=weights == "raw")
    _, arrays = run("tensorflow", tmp_path, checkpoint, settings, np.moveaxis(golden["input"], -1, 1))
    # Pooled features of lite0 are 1.4e-5 from the golden ones, in float64 as well: the golden file's own rounding.
    for layer, output, tolerance in (("logits", "logits", 1e-5), ("pooled", "pooled_features", 2e-5)):
        found = arrays[f"layer/{layer}"]
        error = distance(found, golden[f"{output}_{weights}"].reshape(found.shape))
        assert record(f"tensorflow {model}, {weights}, golden", layer, error, f"<= {tolerance:.0e}") <= tolerance


@pytest.mark.parametrize(("variant", "name", "facts"), CASES, ids=str)
def test_every_layer_is_the_canonical_one_and_so_is_every_block_fed_with_another_run(tmp_path, variant, name, facts):
    network = network_of(variant, **facts)
    save(tmp_path / "checkpoint", variables(network, name))
    feed, settings = canonical_layers(network, images_of(8)), settings_of(network, name)
    found, arrays = run("tensorflow", tmp_path, tmp_path / "checkpoint", settings, images_of(), feed=feed)
    assert found["loader"] == "tf.train.load_checkpoint"
    assert_same_layers(
        f"tensorflow {name} {facts or ''}", part(arrays, "layer"), canonical_layers(network, images_of())
    )
    assert_same_layers(f"tensorflow {name} {facts or ''}, fed", part(arrays, "fed"), canonical_fed(network, feed))


def test_a_fault_of_one_block_shows_in_that_block_alone_when_each_is_fed(tmp_path, b0):
    faulty = variables(b0, "b0")
    faulty["efficientnet-b0/blocks_5/conv2d_1/kernel"] = faulty["efficientnet-b0/blocks_5/conv2d_1/kernel"] * 1.001
    save(tmp_path / "checkpoint", faulty)
    feed = canonical_layers(b0, images_of())
    _, arrays = run("tensorflow", tmp_path, tmp_path / "checkpoint", settings_of(b0), images_of(), feed=feed)
    errors = {name: distance(found, feed[name]) for name, found in part(arrays, "fed").items()}
    assert [name for name, error in errors.items() if error > 2e-5] == ["blocks.5"]
    assert distance(arrays["layer/logits"], feed["logits"]) > 2e-5


@pytest.mark.parametrize("form", ["folder", "prefix", "index", "data", "SavedModel", "saved_model.pb"])
def test_a_checkpoint_may_be_given_as_any_of_its_files(tmp_path, b0, form):
    folder = save(tmp_path / "model", variables(b0, "b0"))
    (folder / "saved_model.pb").write_bytes(b"")
    (folder / "variables").mkdir()
    files = {"folder": folder, "prefix": folder / "model.ckpt", "index": folder / "model.ckpt.index"}
    files |= {"data": folder / "model.ckpt.data-00000-of-00001", "SavedModel": folder}
    if form.lower().startswith("saved"):
        for path in folder.glob("model.ckpt.*"):
            path.rename(folder / "variables" / path.name.replace("model.ckpt", "variables"))
    _, arrays = run("tensorflow", tmp_path, files.get(form, folder / form), settings_of(b0), images_of())
    assert_same_layers(f"tensorflow, {form}", part(arrays, "layer"), canonical_layers(b0, images_of()))


def test_averages_are_taken_where_there_are_any_and_raw_weights_where_they_are_asked_for(tmp_path, b0):
    other = network_of("b0", seed=1, classes=7)
    states = [{name: tensor.numpy() for name, tensor in network.state_dict().items()} for network in (b0, other)]
    write_checkpoint(tmp_path / "checkpoint", "efficientnet-b0", averages=states[0], raw=states[1])
    for raw, network in ((False, b0), (True, other)):
        settings = settings_of(network, raw=raw)
        _, arrays = run("tensorflow", tmp_path, tmp_path / "checkpoint", settings, images_of())
        assert_same_layers(f"tensorflow, raw {raw}", part(arrays, "layer"), canonical_layers(network, images_of()))


def test_averages_alone_are_enough_but_not_for_raw_weights(tmp_path, b0):
    averages = {name + AVERAGE: array for name, array in variables(b0, "b0").items()}
    save(tmp_path / "checkpoint", averages)
    _, arrays = run("tensorflow", tmp_path, tmp_path / "checkpoint", settings_of(b0), images_of())
    assert_same_layers("tensorflow, averages alone", part(arrays, "layer"), canonical_layers(b0, images_of()))
    ran = ran_runner("tensorflow", tmp_path, tmp_path / "checkpoint", settings_of(b0, raw=True), images_of())
    assert ran.exit_code == 10
    assert "stem/conv2d/kernel: missing" in ran.err


def test_slots_of_an_optimizer_and_the_step_are_no_weights(tmp_path, b0):
    tensors = variables(b0, "b0")
    slots = {f"{name}/RMSProp{number}": array for name, array in tensors.items() for number in ("", "_1")}
    save(tmp_path / "checkpoint", {**tensors, **slots, "global_step": np.array(5)})
    _, arrays = run("tensorflow", tmp_path, tmp_path / "checkpoint", settings_of(b0), images_of())
    assert_same_layers("tensorflow, slots", part(arrays, "layer"), canonical_layers(b0, images_of()))


@pytest.mark.parametrize("scope", ["edgetpunet-S/", "", "student/efficientnet-edgetpu-S/"])
def test_weights_under_another_scope_are_found(tmp_path, scope):
    network = network_of("edgetpu-s", classes=7)
    tensors = variables(network, "edgetpu-S")
    save(tmp_path / "c", {name.replace("efficientnet-edgetpu-S/", scope): array for name, array in tensors.items()})
    _, arrays = run("tensorflow", tmp_path, tmp_path / "c", settings_of(network, "edgetpu-S"), images_of())
    assert_same_layers(f"tensorflow, scope {scope!r}", part(arrays, "layer"), canonical_layers(network, images_of()))


def test_two_networks_in_one_file_are_refused_unless_one_has_the_official_scope(tmp_path, b0):
    tensors = variables(b0, "b0")
    scopes = ("teacher", "student", "efficientnet-b0")
    several = [{n.replace("efficientnet-b0", scope): array for n, array in tensors.items()} for scope in scopes]
    save(tmp_path / "two", several[0] | several[1])
    ran = ran_runner("tensorflow", tmp_path, tmp_path / "two", settings_of(b0), images_of())
    assert (ran.exit_code, "2 scopes" in ran.err) == (10, True)
    save(tmp_path / "three", several[0] | several[1] | several[2])
    run("tensorflow", tmp_path, tmp_path / "three", settings_of(b0), images_of())


def test_what_tensorflow_does_not_open_is_left_to_effconvert(tmp_path, b0):
    folder = save(tmp_path / "model", variables(b0, "b0"))
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(folder, "model")
    (tmp_path / "empty").mkdir()
    shutil.copy(folder / "model.ckpt.index", tmp_path / "alone.index")
    for name in ("model.tar.gz", "empty", "alone.index"):
        ran = ran_runner("tensorflow", tmp_path, tmp_path / name, settings_of(b0), images_of())
        assert (name, ran.exit_code) == (name, 10)
        assert ran.err.splitlines()[-1].startswith("tensorflow: ")
        assert "Traceback" not in ran.err


@pytest.mark.parametrize("scoped", [True, False])
def test_given_tensors_are_loaded_in_place_of_the_file(tmp_path, b0, scoped):
    tensors = variables(b0, "b0")
    tensors = tensors if scoped else without_scope(tensors)
    found, arrays = run("tensorflow", tmp_path, tmp_path / "any", settings_of(b0), images_of(), tensors=tensors)
    assert found["loader"] == "given tensors"
    assert_same_layers("tensorflow, tensors", part(arrays, "layer"), canonical_layers(b0, images_of()))


def mutations(tensors):
    """Return {what is wrong: (tensors, what is said)}."""
    bias = "efficientnet-b0/head/dense/bias"
    lacking = {name: array for name, array in tensors.items() if name != bias}
    return {
        "missing": (lacking, "head/dense/bias: missing"),
        "unexpected": ({**tensors, "efficientnet-b0/head/extra": tensors[bias]}, "head/extra: unexpected"),
        "shape": ({**tensors, bias: tensors[bias][:5]}, "head/dense/bias: [5], expected [7]"),
        "transposed": (
            {name: array.T if name.endswith("se/conv2d/kernel") else array for name, array in tensors.items()},
            "blocks_3/se/conv2d/kernel: [6, 144, 1, 1], expected [1, 1, 144, 6]",
        ),
    }


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape", "transposed"])
def test_tensors_that_do_not_fit_are_named_wherever_they_come_from(tmp_path, b0, fault):
    tensors, said = mutations(variables(b0, "b0"))[fault]
    save(tmp_path / "checkpoint", tensors)
    for exit_code, options in ((10, {}), (4, {"tensors": tensors})):
        ran = ran_runner("tensorflow", tmp_path, tmp_path / "checkpoint", settings_of(b0), images_of(), **options)
        assert (ran.exit_code, said in ran.err.splitlines()[-1]) == (exit_code, True), ran.err
        assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"bn_eps": 1e-5}, "bn_eps 1e-05"),
        ({"padding": "symmetric"}, "padding symmetric"),
        ({"activation": "relu"}, "activation relu"),
        ({"name": "b9"}, "no official network is called efficientnet-b9"),
    ],
)
def test_facts_that_the_official_network_cannot_have_are_refused(tmp_path, b0, facts, said):
    settings = {**settings_of(b0), **facts}
    ran = ran_runner("tensorflow", tmp_path, tmp_path / "any", settings, images_of(), tensors=variables(b0, "b0"))
    assert (ran.exit_code, said in ran.err.splitlines()[-1]) == (4, True), ran.err


def test_it_says_which_versions_it_would_run_and_nothing_else(tmp_path):
    ran = called("tensorflow", "--check", folder=tmp_path)
    assert (ran.exit_code, ran.err) == (0, "")
    assert '"tensorflow' in ran.out
