"""The real timm reads what is written for it, and computes the same numbers; what it writes is read bit for bit."""

from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import pytest
import safetensors.torch
import timm
import torch
from timm.models import get_pretrained_cfg

from effconvert.model.calibration import synthetic_images
from effconvert.reference_tables.weights import weights_table
from helpers.frameworks.torch_libraries import (
    ODD_AND_EVEN,
    assert_comes_back,
    assert_read_bit_for_bit,
    assert_same_numbers,
    assert_same_order,
    built,
    calibrated,
    write,
)

EDGE = {"fused_stride": "expand", "classes": 1000}
SYMMETRIC = {"padding": "symmetric", "bn_eps": 1e-5}
CASES = [
    ("b0", {}, "tf_efficientnet_b0"),
    ("b3", {}, "tf_efficientnet_b3"),
    ("cc-b0-4e", {}, "tf_efficientnet_cc_b0_4e"),
    ("cc-b1-8e", {}, "tf_efficientnet_cc_b1_8e"),
    ("edgetpu-s", EDGE, "tf_efficientnet_es"),
    ("lite0", {}, "tf_efficientnet_lite0"),
    ("b0", SYMMETRIC, "efficientnet_b0"),
    ("edgetpu-s", EDGE | SYMMETRIC, "efficientnet_es"),
    ("b0", {"bn_eps": 1e-5}, "efficientnet_b0"),
    ("b0", {"bn_eps": 2e-4, "padding": "symmetric"}, "efficientnet_b0"),
    ("b0", {"classes": 7}, "tf_efficientnet_b0"),
    ("b0", {"classes": 0}, "tf_efficientnet_b0"),
]


@pytest.mark.parametrize(("variant", "facts", "name"), CASES, ids=str)
def test_it_loads_strictly_and_computes_the_same(tmp_path, variant, facts, name):
    network = calibrated(variant, ODD_AND_EVEN, **facts)
    report = write(network, tmp_path / "model.pth", "timm")
    theirs = built(report)
    assert f'"{name}"' in report.network
    assert_same_order(tmp_path / "model.pth", theirs)
    for size in (ODD_AND_EVEN, (96, 96)):
        assert_same_numbers(f"{name} {facts or ''}", network, theirs, size)


def test_it_loads_safetensors(tmp_path):
    network = calibrated("b0", ODD_AND_EVEN)
    theirs = built(write(network, tmp_path / "model.safetensors", "timm"))
    assert_same_order(tmp_path / "model.safetensors", theirs)
    assert_same_numbers("tf_efficientnet_b0, safetensors", network, theirs, ODD_AND_EVEN)


@pytest.mark.parametrize("facts", [{}, SYMMETRIC], ids=str)
def test_a_backbone_for_detection_gives_the_same_features(tmp_path, facts):
    network = calibrated("b0", ODD_AND_EVEN, classes=0, head_conv=False, **facts)
    theirs = built(write(network, tmp_path / "model.pth", "timm"))
    assert_same_order(tmp_path / "model.pth", theirs)
    case = f"b0, features only {facts or ''}"
    assert_same_numbers(case, network, lambda images: theirs(images)[-1].mean((2, 3)), ODD_AND_EVEN)


def test_the_wrong_family_would_be_noticed(tmp_path):
    network = calibrated("b0", ODD_AND_EVEN)
    theirs = built(write(network, tmp_path / "model.pth", "timm"))
    images = synthetic_images(2, *ODD_AND_EVEN, seed=3)
    other = timm.create_model("efficientnet_b0", checkpoint_path=str(tmp_path / "model.pth")).eval()
    with torch.no_grad():
        assert (other(images) - theirs(images)).abs().max() > 1e-2 * theirs(images).abs().max()


@pytest.mark.parametrize("variant", ["b0", "cc-b0-4e"])
def test_what_it_saves_is_read_bit_for_bit_and_comes_back(tmp_path, variant):
    network = calibrated(variant, ODD_AND_EVEN)
    theirs = built(write(network, tmp_path / "model.pth", "timm"))
    torch.save(theirs.state_dict(), tmp_path / "saved.pth")
    safetensors.torch.save_file(theirs.state_dict(), tmp_path / "saved.safetensors")
    for name in ("saved.pth", "saved.safetensors"):
        assert_read_bit_for_bit(tmp_path / name, theirs.state_dict())
        assert_comes_back(tmp_path / name, network)


def test_its_default_trainings_are_those_that_the_table_marks():
    networks = {row.network for row in weights_table() if row.framework == "timm"}
    marked = {row.network: row.weights for row in weights_table() if row.default}
    assert marked == {network: get_pretrained_cfg(network).tag for network in networks}
