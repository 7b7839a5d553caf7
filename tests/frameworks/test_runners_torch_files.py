"""The runners of PyTorch's libraries load a file as the library does, say what it refuses, and never run another network.

What is refused is seen in this process, as a runner needs seconds to start; that it becomes an exit code, once.
"""

from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import argparse
import json
import shutil

import pytest
import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer

from effconvert.model import create_model
from helpers.frameworks.running_runners import assert_same_layers, canonical_layers, part, ran_runner, run, settings_of
from helpers.frameworks.torch_runners import (
    BACKBONE,
    EDGE,
    GIVEN,
    LOADERS,
    SYMMETRIC,
    b0_files,
    images_of,
    refusal,
    state_of,
    tensors_in,
)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return b0_files(tmp_path_factory.mktemp("b0"))


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
    shutil.copy(file / "model.safetensors", folder)
    return folder / "model.safetensors", "no config.json of an EfficientNet"


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
    kind, message = refusal(framework, refused, settings_of(network), images)
    assert (kind, words in message) == ("CannotLoad", True), message
    given = tensors_in(file, counters=False)
    record, arrays = run(framework, tmp_path, refused, settings_of(network), images, tensors=given)
    assert record["loader"] == GIVEN
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


@pytest.mark.parametrize("framework", ["torchvision", "mmpretrain"])
def test_safetensors_are_loaded_too(tmp_path, networks, framework):
    network, images, file = networks[framework]
    safetensors.torch.save_file(state_of(file), tmp_path / "x.safetensors")
    record, arrays = run(framework, tmp_path, tmp_path / "x.safetensors", settings_of(network), images)
    assert record["loader"] == "load_state_dict"
    assert_same_layers(f"{framework}, safetensors", part(arrays, "layer"), canonical_layers(network, images))


def test_the_averages_that_mmengine_loads_are_not_passed_off_as_raw_weights(tmp_path, networks):
    network, images, file = networks["mmpretrain"]
    state = state_of(file)
    raw = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"meta": {}, "state_dict": state, "ema_state_dict": raw}, tmp_path / "epoch_1.pth")
    kind, message = refusal("mmpretrain", tmp_path / "epoch_1.pth", settings_of(network, raw=True), images)
    assert (kind, "ema_state_dict" in message) == ("CannotLoad", True), message


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
    settings, given = settings_of(network), {name: tensor.numpy() for name, tensor in state.items()}
    for tensors, expected in ((None, "CannotLoad"), (given, "CannotBuild")):
        kind, message = refusal("timm", tmp_path / "x.pth", settings, images, tensors)
        assert (kind, words in message) == (expected, True), message


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
    ("lukemelas", "edgetpu-s", "es", EDGE, "has no efficientnet-es"),
    ("mmpretrain", "b0", "b0", SYMMETRIC, "padding tf-same, not symmetric"),
    ("mmpretrain", "edgetpu-s", "es", {}, "fused_stride expand, not project"),
    ("mmpretrain", "edgetpu-l", "el", EDGE, "120 channels in the first block; EdgeTPU-L has 128"),
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
    kind, message = refusal(framework, tmp_path / "x.pth", settings, images_of((96, 96)), {})
    assert (kind, words in message) == ("CannotBuild", True), message


@pytest.mark.parametrize(
    ("variant", "side", "facts", "said", "words"),
    [
        ("b0", 96, {"bn_eps": 1e-5}, {}, "bn_eps 0.001, not 1e-05"),
        ("b0", 96, {}, {"hidden_act": "relu"}, "activation relu, not silu"),
        ("b1", 96, {}, {}, "width, depth (1.0, 1.0), not (1.0, 1.1)"),
        ("b0", 97, {}, {}, "paddings for images of 224 pixels, which differ from those for 97"),
        ("b0", 240, {}, {}, "paddings for images of 224 pixels, which differ from those for 240"),
    ],
)
def test_a_configuration_that_says_otherwise_is_not_run(tmp_path, networks, variant, side, facts, said, words):
    config = json.loads((networks["huggingface"][2] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | said))
    with torch.device("meta"):
        settings = settings_of(create_model(variant, **facts))
    kind, message = refusal("huggingface", tmp_path, settings, images_of((side, side)))
    assert (kind, words in message) == ("CannotBuild", True), message


def test_a_file_that_transformers_would_pass_over_is_refused(tmp_path, networks):
    network, images, folder = networks["huggingface"]
    shutil.copytree(folder, tmp_path / "folder")
    torch.save({}, tmp_path / "folder" / "pytorch_model.bin")
    settings = settings_of(network)
    ran = ran_runner("huggingface", tmp_path, tmp_path / "folder" / "pytorch_model.bin", settings, images)
    words = "huggingface: from_pretrained loads model.safetensors and not pytorch_model.bin"
    assert (ran.exit_code, ran.err.splitlines()[-1]) == (10, words)
    assert not (tmp_path / "run.npz").exists()
    run("huggingface", tmp_path, tmp_path / "folder" / "model.safetensors", settings, images)


def test_what_cannot_be_built_is_one_line_and_exit_code_4(tmp_path, networks):
    network, images, file = networks["lukemelas"]
    ran = ran_runner("lukemelas", tmp_path, file, settings_of(network, padding="symmetric"), images)
    words = "lukemelas: lukemelas's EfficientNet b0 has padding tf-same, not symmetric"
    assert (ran.exit_code, ran.err.splitlines()) == (4, [words])
    assert not (tmp_path / "run.npz").exists()
