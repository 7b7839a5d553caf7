"""The runner of TensorFlow gives every layer of the official network, from any form of a checkpoint that TensorFlow reads.

It runs as a user runs it: in a process of its own, which imports nothing of effconvert.
"""

import shutil
import tarfile

import numpy as np
import pytest

from effconvert.model import create_model
from effconvert.model.calibration import synthetic_images
from effconvert.verification.runners.base import CannotBuild, CannotLoad
from effconvert.verification.runners.official_variables import variables as shapes_of_variables
from effconvert.verification.runners.run_tensorflow import load_file, load_tensors, official_name
from helpers import official_weights
from helpers.deep import deep_but
from helpers.frameworks.calibrated_checkpoint import calibrated_state, official_variables
from helpers.frameworks.figures import distance, record
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
from helpers.frameworks.tensorflow_files import save
from helpers.official_weights import AVERAGE

SIZE = (97, 110)
EXPECTED = shapes_of_variables("b0", 7)
TENSORS = {name: np.random.RandomState(1).normal(size=shape).astype(np.float32) for name, shape in EXPECTED.items()}
BIAS = "head/dense/bias"
BARE = {"classes": 0, "head_conv": False}
CASES = [
    ("b0", "b0", {}),
    ("b0", "b0", {"classes": 7}),
    ("b0", "b0", {"classes": 0}),
    ("b0", "b0", BARE),
    ("b0", "b0", {"in_channels": 4}),
    ("cc-b0-4e", "condconv-b0-4e", {}),
    ("cc-b1-8e", "condconv-b0-8e-depth", {}),
    ("edgetpu-s", "edgetpu-S", {}),
    ("edgetpu-s", "edgetpu-S", {"fused_stride": "expand"}),
    ("lite0", "lite0", {}),
]


def images_of(seed=3, channels=3):
    return synthetic_images(2, *SIZE, seed=seed, channels=channels).numpy()


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


def own_scope(tensors, after=""):
    return {f"efficientnet-b0/{name}{after}": array for name, array in tensors.items()}


def assert_loads(file, expected, raw=False):
    found = load_file(file, "b0", EXPECTED, raw)
    assert {name: array.tobytes() for name, array in found.items()} == {n: a.tobytes() for n, a in expected.items()}


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


@pytest.mark.parametrize(
    ("variant", "name", "facts"),
    deep_but(CASES, lambda case: case[0] != "cc-b1-8e" and case[2] in ({}, {"classes": 7}, BARE)),
    ids=str,
)
def test_every_layer_is_the_canonical_one_and_so_is_every_block_fed_with_another_run(tmp_path, variant, name, facts):
    network = network_of(variant, **facts)
    save(tmp_path / "checkpoint", variables(network, name))
    images, others = (images_of(seed, network.facts.in_channels) for seed in (3, 8))
    feed, settings = canonical_layers(network, others), settings_of(network, name)
    found, arrays = run("tensorflow", tmp_path, tmp_path / "checkpoint", settings, images, feed=feed)
    assert found["loader"] == "tf.train.load_checkpoint"
    case, fed = f"tensorflow {name} {facts or ''}", part(arrays, "fed")
    assert_same_layers(case, part(arrays, "layer"), canonical_layers(network, images))
    assert np.array_equal(fed.pop("stem"), arrays["layer/stem"])
    assert_same_layers(f"{case}, fed", fed, canonical_fed(network, feed))


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
def test_a_checkpoint_may_be_given_as_any_of_its_files(tmp_path, form):
    folder = save(tmp_path / "model", own_scope(TENSORS))
    (folder / "saved_model.pb").write_bytes(b"")
    (folder / "variables").mkdir()
    files = {"folder": folder, "prefix": folder / "model.ckpt", "index": folder / "model.ckpt.index"}
    files |= {"data": folder / "model.ckpt.data-00000-of-00001", "SavedModel": folder}
    if form.lower().startswith("saved"):
        for path in folder.glob("model.ckpt.*"):
            path.rename(folder / "variables" / path.name.replace("model.ckpt", "variables"))
    assert_loads(files.get(form, folder / form), TENSORS)


def test_averages_are_taken_where_there_are_any_and_raw_weights_where_they_are_asked_for(tmp_path):
    averages = {name: array + 1 for name, array in TENSORS.items()}
    save(tmp_path, {**own_scope(TENSORS), **own_scope(averages, AVERAGE)})
    assert_loads(tmp_path, averages)
    assert_loads(tmp_path, TENSORS, raw=True)


def test_averages_alone_are_enough_but_not_for_raw_weights(tmp_path):
    save(tmp_path, own_scope(TENSORS, AVERAGE))
    assert_loads(tmp_path, TENSORS)
    with pytest.raises(CannotLoad, match="stem/conv2d/kernel: missing"):
        load_file(tmp_path, "b0", EXPECTED, raw=True)


def test_slots_of_an_optimizer_and_the_step_are_no_weights(tmp_path):
    slots = {f"{name}/RMSProp{number}": array for name, array in TENSORS.items() for number in ("", "_1")}
    save(tmp_path, {**own_scope(TENSORS), **own_scope(slots), "global_step": np.array(5)})
    assert_loads(tmp_path, TENSORS)


@pytest.mark.parametrize("scope", ["edgetpunet-S/", "", "student/efficientnet-b0/"])
def test_weights_under_another_scope_are_found(tmp_path, scope):
    save(tmp_path, {scope + name: array for name, array in TENSORS.items()})
    assert_loads(tmp_path, TENSORS)


def test_two_networks_in_one_file_are_refused_unless_one_has_the_official_scope(tmp_path):
    others = {f"{scope}/{name}": array + 1 for scope in ("teacher", "student") for name, array in TENSORS.items()}
    save(tmp_path / "two", others)
    with pytest.raises(CannotLoad, match="2 scopes, and not in efficientnet-b0/"):
        load_file(tmp_path / "two", "b0", EXPECTED, raw=False)
    save(tmp_path / "three", {**others, **own_scope(TENSORS)})
    assert_loads(tmp_path / "three", TENSORS)


def test_what_tensorflow_does_not_open_is_left_to_effconvert(tmp_path):
    folder = save(tmp_path / "model", own_scope(TENSORS))
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(folder, "model")
    (tmp_path / "empty").mkdir()
    shutil.copy(folder / "model.ckpt.index", tmp_path / "alone.index")
    data = folder / "model.ckpt.data-00000-of-00001"
    data.write_bytes(bytes(data.stat().st_size))
    for name in ("model.tar.gz", "empty", "alone.index", "model", "nowhere"):
        with pytest.raises(CannotLoad):
            load_file(tmp_path / name, "b0", EXPECTED, raw=False)


FAULTS = {
    "missing": ({name: array for name, array in TENSORS.items() if name != BIAS}, f"{BIAS}: missing"),
    "unexpected": ({**TENSORS, "head/extra": TENSORS[BIAS]}, "head/extra: unexpected"),
    "shape": ({**TENSORS, BIAS: TENSORS[BIAS][:5]}, rf"{BIAS}: \[5\], expected \[7\]"),
    "transposed": (
        {name: array.T if name.endswith("se/conv2d/kernel") else array for name, array in TENSORS.items()},
        r"blocks_3/se/conv2d/kernel: \[6, 144, 1, 1\], expected \[1, 1, 144, 6\]",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_tensors_that_do_not_fit_are_named_wherever_they_come_from(tmp_path, fault):
    tensors, said = FAULTS[fault]
    save(tmp_path, own_scope(tensors))
    with pytest.raises(CannotLoad, match=said):
        load_file(tmp_path, "b0", EXPECTED, raw=False)
    with pytest.raises(CannotBuild, match=said):
        load_tensors(tensors, "b0", EXPECTED)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"bn_eps": 1e-5}, "bn_eps 1e-05"),
        ({"padding": "symmetric"}, "padding symmetric"),
        ({"activation": "relu"}, "activation relu"),
        ({"name": "b9"}, "there is no official network efficientnet-b9"),
    ],
)
def test_facts_that_the_official_network_cannot_have_are_refused(facts, said):
    with pytest.raises(CannotBuild, match=said):
        official_name({**settings_of(create_model("b0")), **facts})


@pytest.mark.parametrize("scoped", [True, False])
def test_given_tensors_are_loaded_in_place_of_the_file(tmp_path, b0, scoped):
    tensors = variables(b0, "b0")
    tensors = tensors if scoped else {name.removeprefix("efficientnet-b0/"): array for name, array in tensors.items()}
    found, arrays = run("tensorflow", tmp_path, tmp_path / "any", settings_of(b0), images_of(), tensors=tensors)
    assert found["loader"] == "given tensors"
    assert_same_layers("tensorflow, tensors", part(arrays, "layer"), canonical_layers(b0, images_of()))


@pytest.mark.parametrize(("exit_code", "facts"), [(10, {}), (4, {"bn_eps": 1e-5})])
def test_a_refusal_is_one_line_and_its_exit_code_tells_whose_it_is(tmp_path, b0, exit_code, facts):
    ran = ran_runner("tensorflow", tmp_path, tmp_path / "nothing", settings_of(b0, **facts), images_of())
    assert ran.exit_code == exit_code
    assert ran.err.startswith("tensorflow: ")
    assert ran.err.count("\n") == 1


def test_it_says_which_versions_it_would_run_and_nothing_else(tmp_path):
    ran = called("tensorflow", "--check", folder=tmp_path)
    assert (ran.exit_code, ran.err) == (0, "")
    assert '"tensorflow' in ran.out
