"""The runners of PyTorch's libraries give every layer of the library's own network, as the canonical network does.

Each runs as a user runs it: in a process of its own, which imports nothing of effconvert.
"""

import json
import shutil

import pytest
import torch

from effconvert.model import create_model
from helpers.deep import deep_but
from helpers.frameworks.figures import distance
from helpers.frameworks.running_runners import (
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
from helpers.frameworks.torch_libraries import ODD_AND_EVEN, calibrated, write
from helpers.frameworks.torch_runners import (
    BACKBONE,
    EDGE,
    LOADERS,
    SYMMETRIC,
    b0_files,
    images_of,
    state_of,
    tensors_in,
)

KINDS = {"b0", "cc-b1-8e", "edgetpu-s", "lite0"}  # one of each every time
CASES = [
    ("timm", "b0", "b0", {}, "timm.create_model('tf_efficientnet_b0', num_classes=1000)"),
    (
        "timm",
        "b0",
        "b0",
        {"bn_eps": 2e-4},
        "timm.create_model('efficientnet_b0', num_classes=1000, bn_eps=0.0002, pad_type='same')",
    ),
    ("timm", "b0", "b0", SYMMETRIC, "timm.create_model('efficientnet_b0', num_classes=1000)"),
    (
        "timm",
        "b0",
        "b0",
        SYMMETRIC | {"bn_eps": 1e-3},
        "timm.create_model('efficientnet_b0', num_classes=1000, bn_eps=0.001)",
    ),
    ("timm", "b0", "b0", {"in_channels": 4}, "timm.create_model('tf_efficientnet_b0', in_chans=4, num_classes=1000)"),
    ("timm", "b0", "b0", {"classes": 0}, "timm.create_model('tf_efficientnet_b0', num_classes=0)"),
    (
        "timm",
        "b0",
        "b0",
        BACKBONE,
        "timm.create_model('efficientnet_b0', features_only=True, bn_eps=0.001, pad_type='same')",
    ),
    (
        "timm",
        "edgetpu-s",
        "es",
        EDGE | BACKBONE | SYMMETRIC,
        "timm.create_model('efficientnet_es', features_only=True, bn_eps=1e-05)",
    ),
    ("timm", "cc-b1-8e", "cc_b1_8e", {}, "timm.create_model('tf_efficientnet_cc_b1_8e', num_classes=1000)"),
    ("timm", "edgetpu-s", "es", EDGE, "timm.create_model('tf_efficientnet_es', num_classes=1000)"),
    ("timm", "lite0", "lite0", {}, "timm.create_model('tf_efficientnet_lite0', num_classes=1000)"),
    ("torchvision", "b0", "b0", SYMMETRIC, "torchvision.models.efficientnet_b0(num_classes=1000)"),
    ("torchvision", "b5", "b5", {"padding": "symmetric"}, "torchvision.models.efficientnet_b5(num_classes=1000)"),
    ("torchvision", "b0", "b0", SYMMETRIC | {"classes": 0}, "torchvision.models.efficientnet_b0()"),
    ("lukemelas", "b0", "b0", {}, "EfficientNet.from_name('efficientnet-b0', image_size=[97, 110]"),
    ("torchvision", "b0", "b0", SYMMETRIC | {"in_channels": 1}, "its features[0][0] of 1 input channels"),
    ("lukemelas", "b0", "b0", {"in_channels": 6}, "image_size=[97, 110], batch_norm_epsilon=0.001, in_channels=6"),
    ("lukemelas", "b1", "b1", {"bn_eps": 2e-4, "classes": 0}, "batch_norm_epsilon=0.0002, include_top=False"),
    ("lukemelas", "lite4", "lite4", {"in_channels": 4}, ") with a first convolution of 4 channels"),
    ("lukemelas", "lite0", "lite0", {}, "EfficientNet.from_name('efficientnet-lite0', image_size=[97, 110]"),
    ("lukemelas", "lite3", "lite3", {"bn_eps": 2e-4, "classes": 0}, "batch_norm_epsilon=0.0002)"),
    ("mmpretrain", "b0", "b0", {}, "mmpretrain.get_model('efficientnet-b0_8xb32_in1k.py'"),
    ("mmpretrain", "b1", "b1", {"bn_eps": 2e-4, "classes": 0}, "head=None"),
    ("mmpretrain", "edgetpu-m", "em", EDGE, "mmpretrain.get_model('efficientnet-em_8xb32-01norm_in1k.py'"),
]


def assert_it_runs_the_file(folder, framework, case, network, name, size, words):
    """Assert that the runner gives what the canonical network gives, on images and on another run's layers."""
    file = folder / ("weights" if framework == "huggingface" else "weights.pth")
    write(network, file, framework)
    channels = network.facts.in_channels
    images, others = (images_of(size, seed, channels) for seed in (3, 8))
    feed = canonical_layers(network, others)
    record, arrays = run(framework, folder, file, settings_of(network, name), images, feed=feed)
    assert words in record["network"]
    assert record["loader"] == LOADERS[framework]
    assert_same_layers(case, part(arrays, "layer"), canonical_layers(network, images))
    fed = part(arrays, "fed")
    assert (fed.pop("stem") == arrays["layer/stem"]).all()
    assert_same_layers(f"{case}, fed", fed, canonical_fed(network, feed))


@pytest.mark.parametrize(
    ("framework", "variant", "name", "facts", "words"),
    deep_but(CASES, lambda case: case[1] in KINDS and case[3] in ({}, SYMMETRIC, EDGE)),
    ids=[f"{c[0]} {c[1]} {c[3]}" for c in CASES],
)
def test_every_layer_is_the_canonical_one_and_so_is_every_block_fed_with_another_run(
    tmp_path, framework, variant, name, facts, words
):
    network = calibrated(variant, ODD_AND_EVEN, **facts)
    case = f"{framework} {variant} {facts or ''}"
    assert_it_runs_the_file(tmp_path, framework, case, network, name, ODD_AND_EVEN, words)


@pytest.mark.parametrize(
    ("variant", "side", "facts", "words"),
    deep_but(
        [
            ("b0", 96, {}, "EfficientNetForImageClassification(width_coefficient=1.0, depth_coefficient=1.0"),
            ("b1", 240, {"bn_eps": 2e-4, "classes": 7}, "depthwise_padding=[16], batch_norm_eps=0.0002"),
            ("b0", 96, {"in_channels": 4}, "hidden_act='swish', num_channels=4"),
            ("b0", 96, {"classes": 0}, "transformers.EfficientNetModel("),
        ],
        lambda case: case[0] == "b0",
    ),
)
def test_every_layer_of_transformers_is_the_canonical_one(tmp_path, variant, side, facts, words):
    network = calibrated(variant, (side, side), **facts)
    case = f"huggingface {variant} {facts or ''}"
    assert_it_runs_the_file(tmp_path, "huggingface", case, network, variant, (side, side), words)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return b0_files(tmp_path_factory.mktemp("b0"))


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


def test_the_paddings_of_a_configuration_are_run_as_they_are(tmp_path, networks):
    network, images, folder = networks["huggingface"]
    config = json.loads((folder / "config.json").read_text())
    shutil.copytree(folder, tmp_path / "folder")
    (tmp_path / "folder" / "config.json").write_text(json.dumps(config | {"depthwise_padding": [5]}))
    _, arrays = run("huggingface", tmp_path, tmp_path / "folder", settings_of(network), images)
    assert differing(part(arrays, "layer"), canonical_layers(network, images))[0] == "blocks.5"


@pytest.mark.parametrize("framework", ["timm", "lukemelas", "mmpretrain", "huggingface"])
def test_an_epsilon_that_is_not_the_librarys_own_is_refused_unless_it_was_said(tmp_path, networks, framework):
    """A mistake in a map would otherwise be built into the very network that should show it."""
    network, images, file = networks[framework]
    settings = settings_of(network) | {"bn_eps": 5e-3, "usual": True}
    (tmp_path / "alone").mkdir()
    alone = tmp_path / "alone" / "file"  # beside no configuration
    ran = ran_runner(framework, tmp_path, alone, settings, images, tensors=tensors_in(file))
    assert ran.exit_code == 4
    assert "0.001" in ran.err.splitlines()[-1]
    assert "0.005" in ran.err.splitlines()[-1]


@pytest.mark.parametrize("framework", deep_but(LOADERS, lambda framework: framework in ("timm", "lukemelas")))
def test_a_check_prints_the_versions_and_nothing_else(tmp_path, framework):
    ran = called(framework, "--check", folder=tmp_path)
    assert ran.exit_code == 0, ran.err
    assert {"python", "numpy", "torch"} < set(json.loads(ran.out))


def test_a_library_that_is_missing_is_exit_code_9(tmp_path, monkeypatch):
    (tmp_path / "timm.py").write_text("raise ImportError('No module named timm')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ran = called("timm", "--check", folder=tmp_path)
    assert (ran.exit_code, ran.err) == (9, "timm: timm cannot be imported: No module named timm\n")


@pytest.mark.parametrize(("variant", "other"), [("lite0", "efficientnet_lite_pytorch"), ("b0", "efficientnet_pytorch")])
def test_either_package_of_lukemelas_is_enough_for_its_own_networks(tmp_path, monkeypatch, variant, other):
    (tmp_path / f"{other}.py").write_text("raise ImportError('it is not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert called("lukemelas", "--check", folder=tmp_path).exit_code == 0
    with torch.device("meta"):
        settings = settings_of(create_model(variant))
    ran = ran_runner("lukemelas", tmp_path, tmp_path / "x.pth", settings, images_of((64, 64)), tensors={}, started=True)
    assert (ran.exit_code, ran.err) == (9, f"lukemelas: {other} cannot be imported: it is not here\n")
