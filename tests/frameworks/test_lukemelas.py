"""The real EfficientNet-PyTorch reads what is written for it, and computes the same numbers; what it writes is read.

Its paddings are fixed when it is built, for images of the variant's own size, so that only those are compared.
"""

import pytest
import torch
from torch_libraries import (
    assert_comes_back,
    assert_read_bit_for_bit,
    assert_same_numbers,
    assert_same_order,
    built,
    calibrated,
    write,
)

CASES = [("b0", 224, {}), ("b1", 240, {"bn_eps": 2e-4}), ("b0", 224, {"classes": 7}), ("b0", 224, {"classes": 0})]


@pytest.mark.parametrize(("variant", "size", "facts"), CASES, ids=str)
def test_it_loads_strictly_and_computes_the_same(tmp_path, variant, size, facts):
    network = calibrated(variant, (size, size), **facts)
    theirs = built(write(network, tmp_path / "model.pth", "lukemelas"))
    assert_same_order(tmp_path / "model.pth", theirs)
    assert_same_numbers(f"{variant} {facts or ''}", network, theirs, (size, size))


def test_what_it_saves_is_read_bit_for_bit_and_comes_back(tmp_path):
    network = calibrated("b0", (96, 96))
    theirs = built(write(network, tmp_path / "model.pth", "lukemelas"))
    torch.save(theirs.state_dict(), tmp_path / "saved.pth")
    assert_read_bit_for_bit(tmp_path / "saved.pth", theirs.state_dict())
    assert_comes_back(tmp_path / "saved.pth", network)
