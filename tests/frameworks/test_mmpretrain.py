"""The real mmpretrain reads what is written for it, and computes the same numbers; what it writes is read."""

from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import mmpretrain  # noqa: F401
import pytest
import torch

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
CASES = [
    ("b0", {}),
    ("b0", {"bn_eps": 2e-4}),
    ("b0", {"classes": 7}),
    ("b0", {"classes": 0}),
    ("edgetpu-s", EDGE),
    ("edgetpu-m", EDGE),
]


@pytest.mark.parametrize(("variant", "facts"), CASES, ids=str)
def test_it_loads_strictly_and_computes_the_same(tmp_path, variant, facts):
    network = calibrated(variant, ODD_AND_EVEN, **facts)
    theirs = built(write(network, tmp_path / "model.pth", "mmpretrain"))
    assert_same_order(tmp_path / "model.pth", theirs)
    for size in (ODD_AND_EVEN, (96, 96)):
        assert_same_numbers(f"{variant} {facts or ''}", network, theirs, size)


def test_what_it_saves_is_read_bit_for_bit_and_comes_back(tmp_path):
    network = calibrated("b0", ODD_AND_EVEN)
    theirs = built(write(network, tmp_path / "model.pth", "mmpretrain"))
    torch.save(theirs.state_dict(), tmp_path / "saved.pth")
    assert_read_bit_for_bit(tmp_path / "saved.pth", theirs.state_dict())
    assert_comes_back(tmp_path / "saved.pth", network)


def test_its_backbone_alone_comes_back(tmp_path):
    network = calibrated("b0", ODD_AND_EVEN, classes=0)
    theirs = built(write(network, tmp_path / "model.pth", "mmpretrain"))
    torch.save(theirs.backbone.state_dict(), tmp_path / "backbone.pth")
    assert_comes_back(tmp_path / "backbone.pth", network)
