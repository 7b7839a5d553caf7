"""The runners of PyTorch's libraries give every layer of the library's own network, from the file as the library loads it.

Each runs as a user runs it: in a process of its own, which imports nothing of effconvert.
"""

import torchvision_repair  # noqa: F401

# isort: split
import argparse
import importlib.util
import json
import re
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
from figures import distance
from mmengine.logging import HistoryBuffer
from running_runners import (
    RUNNERS,
    TOLERANCE,
    assert_same_layers,
    called,
    canonical_fed,
    canonical_layers,
    part,
    ran_runner,
    run,
    settings_of,
)
from torch_libraries import ODD_AND_EVEN, calibrated, write

import effconvert
from effconvert.model import create_model
from effconvert.model.calibration import synthetic_images

EDGE = {"fused_stride": "expand", "classes": 1000}
SYMMETRIC = {"padding": "symmetric", "bn_eps": 1e-5}
BACKBONE = {"classes": 0, "head_conv": False}
CASES = [
    ("timm", "b0", "b0", {}, "timm.create_model('tf_efficientnet_b0', num_classes=1000)"),
    ("timm", "b0", "b0", {"bn_eps": 2e-4}, "timm.create_model('tf_efficientnet_b0', num_classes=1000, bn_eps=0.0002)"),
    ("timm", "b0", "b0", SYMMETRIC, "timm.create_model('efficientnet_b0', num_classes=1000)"),
    (
        "timm",
        "b0",
        "b0",
        SYMMETRIC | {"bn_eps": 1e-3},
        "timm.create_model('efficientnet_b0', num_classes=1000, bn_eps=0.001)",
    ),
    ("timm", "b0", "b0", {"classes": 0}, "timm.create_model('tf_efficientnet_b0', num_classes=0)"),
    ("timm", "b0", "b0", BACKBONE, "timm.create_model('tf_efficientnet_b0', features_only=True)"),
    (
        "timm",
        "edgetpu-s",
        "es",
        EDGE | BACKBONE | SYMMETRIC,
        "timm.create_model('efficientnet_es', features_only=True)",
    ),
    ("timm", "cc-b1-8e", "cc_b1_8e", {}, "timm.create_model('tf_efficientnet_cc_b1_8e', num_classes=1000)"),
    ("timm", "edgetpu-s", "es", EDGE, "timm.create_model('tf_efficientnet_es', num_classes=1000)"),
    ("timm", "lite0", "lite0", {}, "timm.create_model('tf_efficientnet_lite0', num_classes=1000)"),
    ("torchvision", "b0", "b0", SYMMETRIC, "torchvision.models.efficientnet_b0(num_classes=1000)"),
    ("torchvision", "b5", "b5", {"padding": "symmetric"}, "torchvision.models.efficientnet_b5(num_classes=1000)"),
    ("torchvision", "b0", "b0", SYMMETRIC | {"classes": 0}, "torchvision.models.efficientnet_b0()"),
    ("lukemelas", "b0", "b0", {}, "EfficientNet.from_name('efficientnet-b0', image_size=[97, 110]"),
    ("lukemelas", "b1", "b1", {"bn_eps": 2e-4, "classes": 0}, "batch_norm_epsilon=0.0002, include_top=False"),
    ("mmpretrain", "b0", "b0", {}, "mmpretrain.get_model('efficientnet-b0_8xb32_in1k.py'"),
    ("mmpretrain", "b1", "b1", {"bn_eps": 2e-4, "classes": 0}, "head=None"),
    ("mmpretrain", "edgetpu-m", "em", EDGE, "mmpretrain.get_model('efficientnet-em_8xb32-01norm_in1k.py'"),
]
LOADERS = {
    "timm": "timm.models.load_checkpoint",
    "torchvision": "load_state_dict",
    "lukemelas": "load_state_dict",
    "mmpretrain": "mmengine.runner.load_checkpoint",
    "huggingface": "from_pretrained",
}


def images_of(size, seed=3):
    return synthetic_images(2, *size, seed=seed).numpy()


def assert_it_runs_the_file(folder, framework, case, network, name, size, words):
    """Assert that the runner gives what the canonical network gives, on images and on another run's layers."""
    file = folder / ("weights" if framework == "huggingface" else "weights.pth")
    write(network, file, framework)
    feed = canonical_layers(network, images_of(size, seed=8))
    record, arrays = run(framework, folder, file, settings_of(network, name), images_of(size), feed=feed)
    assert words in record["network"]
    assert record["loader"] == LOADERS[framework]
    assert_same_layers(case, part(arrays, "layer"), canonical_layers(network, images_of(size)))
    fed = part(arrays, "fed")
    assert (fed.pop("stem") == arrays["layer/stem"]).all()
    assert_same_layers(f"{case}, fed", fed, canonical_fed(network, feed))


@pytest.mark.parametrize(
    ("framework", "variant", "name", "facts", "words"), CASES, ids=[f"{c[0]} {c[1]} {c[3]}" for c in CASES]
)
def test_every_layer_is_the_canonical_one_and_so_is_every_block_fed_with_another_run(
    tmp_path, framework, variant, name, facts, words
):
    network = calibrated(variant, ODD_AND_EVEN, **facts)
    case = f"{framework} {variant} {facts or ''}"
    assert_it_runs_the_file(tmp_path, framework, case, network, name, ODD_AND_EVEN, words)


@pytest.mark.parametrize(
    ("variant", "side", "facts", "words"),
    [
        ("b0", 96, {}, "EfficientNetForImageClassification(width_coefficient=1.0, depth_coefficient=1.0"),
        ("b1", 240, {"bn_eps": 2e-4, "classes": 7}, "depthwise_padding=[16], batch_norm_eps=0.0002"),
        ("b0", 96, {"classes": 0}, "transformers.EfficientNetModel("),
    ],
)
def test_every_layer_of_transformers_is_the_canonical_one(tmp_path, variant, side, facts, words):
    network = calibrated(variant, (side, side), **facts)
    case = f"huggingface {variant} {facts or ''}"
    assert_it_runs_the_file(tmp_path, "huggingface", case, network, variant, (side, side), words)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """{framework: (calibrated B0, images, file of it)}, the file as the framework loads it."""
    folder, found = tmp_path_factory.mktemp("b0"), {}
    for framework in LOADERS:
        size = (96, 96) if framework == "huggingface" else ODD_AND_EVEN
        network = calibrated("b0", size, **(SYMMETRIC if framework == "torchvision" else {}))
        file = folder / framework if framework == "huggingface" else folder / f"{framework}.pth"
        write(network, file, framework)
        found[framework] = network, images_of(size), file
    return found


def tensors_in(file, counters=True):
    """Return {name: array} of a file, with or without the counters of batches."""
    with effconvert.open_checkpoint(file) as checkpoint:
        return {name: checkpoint.read(name) for name in checkpoint.tensors if counters or "num_batches" not in name}


def state_of(file, change=lambda tensors: None):
    """Return the state_dict in a file, its tensors changed in place by `change`."""
    state = {name: torch.from_numpy(np.array(array)) for name, array in tensors_in(file).items()}
    change(state)
    return state


@pytest.mark.parametrize(
    ("framework", "fault"),
    [
        ("timm", "blocks.3.0.bn3.weight"),
        ("torchvision", "features.4.0.block.3.1.weight"),
        ("lukemelas", "_blocks.5._bn2.weight"),
        ("mmpretrain", "backbone.layers.4.0.linear_conv.bn.weight"),
    ],
)
def test_a_fault_in_one_block_shows_in_that_block_alone_when_fed(tmp_path, networks, framework, fault):
    network, images, file = networks[framework]
    torch.save(state_of(file, lambda state: state[fault].mul_(1.001)), tmp_path / "faulty.pth")
    feed = canonical_layers(network, images)
    _, arrays = run(framework, tmp_path, tmp_path / "faulty.pth", settings_of(network), images, feed=feed)
    wrong = {kind: differing(part(arrays, kind), feed) for kind in ("layer", "fed")}
    assert wrong["fed"] == ["blocks.5"]
    assert wrong["layer"] == list(feed)[list(feed).index("blocks.5") :]


def differing(found, expected):
    """Return the layers that are not the same."""
    return [name for name in expected if distance(found[name], expected[name]) > TOLERANCE]


def refused_by_timm(file, folder):
    """A pickled class that PyTorch does not know; timm itself admits argparse.Namespace."""
    torch.save({"state_dict": state_of(file), "log": HistoryBuffer()}, folder / "x.pth")
    return folder / "x.pth", "HistoryBuffer"


def refused_by_torchvision(file, folder):
    torch.save({"state_dict": state_of(file)}, folder / "x.pth")
    return folder / "x.pth", 'Unexpected key(s) in state_dict: "state_dict"'


def refused_by_lukemelas(file, folder):
    torch.save({f"module.{name}": tensor for name, tensor in state_of(file).items()}, folder / "x.pth")
    return folder / "x.pth", "module._conv_stem.weight"


def refused_by_mmpretrain(file, folder):
    """As a Runner saves it."""
    log = {"log_scalars": {"loss": HistoryBuffer()}}
    torch.save({"meta": {}, "state_dict": state_of(file), "message_hub": log}, folder / "epoch_1.pth")
    return folder / "epoch_1.pth", "HistoryBuffer"


def refused_by_huggingface(file, folder):
    return shutil.copy(file / "model.safetensors", folder), "no config.json of an EfficientNet"


REFUSED = {
    "timm": refused_by_timm,
    "torchvision": refused_by_torchvision,
    "lukemelas": refused_by_lukemelas,
    "mmpretrain": refused_by_mmpretrain,
    "huggingface": refused_by_huggingface,
}


@pytest.mark.parametrize("framework", REFUSED)
def test_a_file_that_its_loader_refuses_runs_from_given_tensors(tmp_path, networks, framework):
    network, images, file = networks[framework]
    refused, words = REFUSED[framework](file, tmp_path)
    ran = ran_runner(framework, tmp_path, refused, settings_of(network), images)
    assert (ran.exit_code, words in ran.err.splitlines()[-1]) == (10, True), ran.err
    assert "Traceback" not in ran.err
    given = tensors_in(file, counters=False)
    record, arrays = run(framework, tmp_path, refused, settings_of(network), images, tensors=given)
    assert record["loader"] == "load_state_dict of given tensors"
    assert_same_layers(f"{framework}, given tensors", part(arrays, "layer"), canonical_layers(network, images))


@pytest.mark.parametrize("raw", [False, True])
def test_timm_loads_its_own_training_file_by_itself(tmp_path, networks, raw):
    network, images, file = networks["timm"]
    other = state_of(file, lambda state: state["classifier.bias"].add_(1))
    content = {"epoch": 3, "arch": "tf_efficientnet_b0", "args": argparse.Namespace(lr=0.1), "version": 2}
    for key, state in {"state_dict": other, "state_dict_ema": state_of(file)}.items():
        content[key] = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save(content, tmp_path / "train.pth.tar")
    record, arrays = run("timm", tmp_path, tmp_path / "train.pth.tar", settings_of(network, raw=raw), images)
    assert record["loader"] == LOADERS["timm"]
    expected = canonical_layers(network, images)
    expected["logits"] += raw
    assert_same_layers(f"timm, training file, raw {raw}", part(arrays, "layer"), expected)


@pytest.mark.parametrize("framework", ["torchvision", "lukemelas", "mmpretrain", "timm"])
def test_safetensors_are_loaded_too(tmp_path, networks, framework):
    network, images, file = networks[framework]
    safetensors.torch.save_file(state_of(file), tmp_path / "x.safetensors")
    record, arrays = run(framework, tmp_path, tmp_path / "x.safetensors", settings_of(network), images)
    assert record["loader"] in ("load_state_dict", LOADERS["timm"])
    assert_same_layers(f"{framework}, safetensors", part(arrays, "layer"), canonical_layers(network, images))


def test_the_averages_that_mmengine_loads_are_not_passed_off_as_raw_weights(tmp_path, networks):
    network, images, file = networks["mmpretrain"]
    state = state_of(file)
    raw = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"meta": {}, "state_dict": state, "ema_state_dict": raw}, tmp_path / "epoch_1.pth")
    ran = ran_runner("mmpretrain", tmp_path, tmp_path / "epoch_1.pth", settings_of(network, raw=True), images)
    assert (ran.exit_code, "ema_state_dict" in ran.err.splitlines()[-1]) == (10, True), ran.err


def without_one(state):
    del state["conv_stem.weight"]


def with_another(state):
    state["extra.weight"] = torch.ones(1)


def of_ten_classes(state):
    state["classifier.weight"], state["classifier.bias"] = torch.ones(10, 1280), torch.ones(10)


@pytest.mark.parametrize(
    ("change", "words"),
    [(without_one, "conv_stem.weight"), (with_another, "extra.weight"), (of_ten_classes, "classifier.weight")],
)
def test_every_tensor_must_fit(tmp_path, networks, change, words):
    network, images, file = networks["timm"]
    state = state_of(file, change)
    torch.save(state, tmp_path / "x.pth")
    ran = ran_runner("timm", tmp_path, tmp_path / "x.pth", settings_of(network), images)
    assert (ran.exit_code, words in ran.err.splitlines()[-1]) == (10, True), ran.err
    given = {name: tensor.numpy() for name, tensor in state.items()}
    ran = ran_runner("timm", tmp_path, tmp_path / "x.pth", settings_of(network), images, tensors=given)
    assert (ran.exit_code, words in ran.err.splitlines()[-1]) == (4, True), ran.err
    assert not (tmp_path / "run.npz").exists()


def module_of(framework):
    """Return the runner as a module."""
    place = importlib.util.spec_from_file_location(f"run_{framework}", RUNNERS / f"run_{framework}.py")
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


CANNOT = [
    ("timm", "edgetpu-s", "es", {}, "fused_stride expand, not project"),
    ("timm", "b0", "b0", {"activation": "relu"}, "activation silu, not relu"),
    ("timm", "b0", "b9", {}, "timm has no tf_efficientnet_b9"),
    ("torchvision", "b0", "b0", {"padding": "symmetric", "bn_eps": 1e-3}, "bn_eps 1e-05, not 0.001"),
    ("torchvision", "b5", "b5", SYMMETRIC, "bn_eps 0.001, not 1e-05"),
    ("torchvision", "b0", "b0", {"bn_eps": 1e-5}, "padding symmetric, not tf-same"),
    ("torchvision", "b0", "b0", SYMMETRIC | BACKBONE, "head_conv True, not False"),
    ("torchvision", "b8", "b8", SYMMETRIC, "torchvision has no efficientnet_b8"),
    ("lukemelas", "b0", "b0", SYMMETRIC, "padding tf-same, not symmetric"),
    ("lukemelas", "lite0", "lite0", {}, "has no efficientnet-lite0"),
    ("mmpretrain", "b0", "b0", SYMMETRIC, "padding tf-same, not symmetric"),
    ("mmpretrain", "edgetpu-s", "es", {}, "fused_stride expand, not project"),
    ("mmpretrain", "edgetpu-l", "el", EDGE, "120 channels in the first block where EdgeTPU-L has 128"),
    ("mmpretrain", "lite0", "lite0", {}, "mmpretrain has no EfficientNet lite0"),
    ("huggingface", "b0", "b0", SYMMETRIC, "padding tf-same, not symmetric"),
    ("huggingface", "b8", "b8", {}, "transformers has no EfficientNet b8"),
]


@pytest.mark.parametrize(("framework", "variant", "name", "facts", "words"), CANNOT, ids=str)
def test_a_network_that_the_library_does_not_have_is_not_replaced_by_another(
    tmp_path, framework, variant, name, facts, words
):
    with torch.device("meta"):
        settings = settings_of(create_model(variant, **facts), name)
    module = module_of(framework)
    with pytest.raises(module.CannotBuild, match=re.escape(words)):
        module.run(str(tmp_path / "x.pth"), {}, settings, {"images": images_of((96, 96))})


@pytest.mark.parametrize(
    ("variant", "side", "facts", "said", "words"),
    [
        ("b0", 96, {"bn_eps": 1e-5}, {}, "bn_eps 0.001, not 1e-05"),
        ("b0", 96, {}, {"hidden_act": "relu"}, "activation relu, not silu"),
        ("b1", 96, {}, {}, "width, depth (1.0, 1.0), not (1.0, 1.1)"),
        ("b0", 97, {}, {}, "paddings for images of 224 pixels, which are others than for 97"),
        ("b0", 240, {}, {}, "paddings for images of 224 pixels, which are others than for 240"),
    ],
)
def test_a_configuration_that_says_otherwise_is_not_run(tmp_path, networks, variant, side, facts, said, words):
    config = json.loads((networks["huggingface"][2] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | said))
    with torch.device("meta"):
        settings = settings_of(create_model(variant, **facts))
    module = module_of("huggingface")
    with pytest.raises(module.CannotBuild, match=re.escape(words)):
        module.run(str(tmp_path), None, settings, {"images": images_of((side, side))})


def test_the_paddings_of_a_configuration_are_run_as_they_are(tmp_path, networks):
    network, images, folder = networks["huggingface"]
    shutil.copytree(folder, tmp_path / "folder")
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "folder" / "config.json").write_text(json.dumps(config | {"depthwise_padding": [5]}))
    _, arrays = run("huggingface", tmp_path, tmp_path / "folder", settings_of(network), images)
    assert differing(part(arrays, "layer"), canonical_layers(network, images))[0] == "blocks.5"


def test_a_file_that_transformers_would_pass_over_is_refused(tmp_path, networks):
    network, images, folder = networks["huggingface"]
    shutil.copytree(folder, tmp_path / "folder")
    torch.save({}, tmp_path / "folder" / "pytorch_model.bin")
    settings = settings_of(network)
    ran = ran_runner("huggingface", tmp_path, tmp_path / "folder" / "pytorch_model.bin", settings, images)
    assert ran.exit_code == 10
    assert ran.err.splitlines()[-1].endswith("from_pretrained takes model.safetensors and not pytorch_model.bin")
    run("huggingface", tmp_path, tmp_path / "folder" / "model.safetensors", settings, images)


def test_what_cannot_be_built_is_one_line_and_exit_code_4(tmp_path, networks):
    network, images, file = networks["lukemelas"]
    ran = ran_runner("lukemelas", tmp_path, file, settings_of(network, padding="symmetric"), images)
    words = "lukemelas: lukemelas's EfficientNet b0 has padding tf-same, not symmetric"
    assert (ran.exit_code, ran.err.splitlines()) == (4, [words])


@pytest.mark.parametrize("framework", LOADERS)
def test_a_check_prints_the_versions_and_nothing_else(tmp_path, framework):
    ran = called(framework, "--check", folder=tmp_path)
    assert ran.exit_code == 0, ran.err
    assert {"python", "numpy", "torch"} < set(json.loads(ran.out))


def test_a_library_that_is_missing_is_exit_code_9(tmp_path, monkeypatch):
    (tmp_path / "timm.py").write_text("raise ImportError('No module named timm')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ran = called("timm", "--check", folder=tmp_path)
    assert (ran.exit_code, ran.err) == (9, "timm: timm cannot be imported: No module named timm\n")


def test_the_runners_share_their_text():
    torch_mark = "# ---- The same text in every runner of a PyTorch library ---"
    mark = "# ---- The same text in every runner ---"
    runners = {path: path.read_text() for path in sorted(RUNNERS.glob("run_*.py"))}
    assert len({text.partition(torch_mark)[2] for text in runners.values() if torch_mark in text}) == 1
    assert sum(torch_mark in text for text in runners.values()) == len(LOADERS)
    assert len({text.partition(mark)[2] for text in runners.values()}) == 1
