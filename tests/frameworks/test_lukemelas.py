"""The real EfficientNet-PyTorch, and the package of its Lite networks, read what is written for them, and compute the same
numbers; what they write is read.

Its paddings are fixed when it is built, for images of the variant's own size, so that only those are compared.
"""

import pytest
import torch

from helpers.frameworks import torchvision_repair  # noqa: F401 - before torchvision, which the printed Python imports
from helpers.frameworks.torch_libraries import (
    assert_comes_back,
    assert_read_bit_for_bit,
    assert_same_numbers,
    assert_same_order,
    built,
    calibrated,
    write,
)

CASES = [
    ("b0", 224, {}), ("b1", 240, {"bn_eps": 2e-4}), ("b0", 224, {"classes": 7}), ("b0", 224, {"classes": 0}),
    ("lite0", 224, {}), ("lite3", 280, {"bn_eps": 2e-4}), ("lite1", 240, {"classes": 7}), ("lite0", 224, {"classes": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("variant", "size", "facts"), CASES, ids=str)
def test_it_loads_strictly_and_computes_the_same(tmp_path, variant, size, facts):
    network = calibrated(variant, (size, size), **facts)
    theirs = built(write(network, tmp_path / "model.pth", "lukemelas"))
    assert_same_order(tmp_path / "model.pth", theirs)
    assert_same_numbers(f"{variant} {facts or ''}", network, theirs, (size, size))


@pytest.mark.parametrize("variant", ["b0", "lite0"])
def test_what_it_saves_is_read_bit_for_bit_and_comes_back(tmp_path, variant):
    network = calibrated(variant, (96, 96))
    theirs = built(write(network, tmp_path / "model.pth", "lukemelas"))
    torch.save(theirs.state_dict(), tmp_path / "saved.pth")
    assert_read_bit_for_bit(tmp_path / "saved.pth", theirs.state_dict())
    assert_comes_back(tmp_path / "saved.pth", network)
