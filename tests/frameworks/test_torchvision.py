"""The real torchvision reads what is written for it, and computes the same numbers; what it writes is read."""

from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
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

SYMMETRIC = {"padding": "symmetric", "bn_eps": 1e-5}
CASES = [
    ("b0", SYMMETRIC),
    ("b5", {"padding": "symmetric", "bn_eps": 1e-3}),
    ("b0", SYMMETRIC | {"classes": 7}),
    ("b0", SYMMETRIC | {"classes": 0}),
]


@pytest.mark.parametrize(("variant", "facts"), CASES, ids=str)
def test_it_loads_strictly_and_computes_the_same(tmp_path, variant, facts):
    network = calibrated(variant, ODD_AND_EVEN, **facts)
    theirs = built(write(network, tmp_path / "model.pth", "torchvision"))
    assert_same_order(tmp_path / "model.pth", theirs)
    for size in (ODD_AND_EVEN, (96, 96)):
        assert_same_numbers(f"{variant} {facts}", network, theirs, size)


def test_what_it_saves_is_read_bit_for_bit_and_comes_back(tmp_path):
    network = calibrated("b0", ODD_AND_EVEN, **SYMMETRIC)
    theirs = built(write(network, tmp_path / "model.pth", "torchvision"))
    torch.save(theirs.state_dict(), tmp_path / "saved.pth")
    assert_read_bit_for_bit(tmp_path / "saved.pth", theirs.state_dict())
    assert_comes_back(tmp_path / "saved.pth", network)
