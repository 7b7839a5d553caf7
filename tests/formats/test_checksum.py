"""A tensor's checksum, read in pieces, is that of the bytes that reading it gives."""

from pathlib import Path

import crc32c
import numpy as np
import pytest
import torch

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import Array, open_checkpoint
from effconvert.formats.checkpoint import as_bytes
from helpers.formats import building


@pytest.fixture
def large() -> dict[str, Array]:
    """Tensors under, at and over the size of a piece, and an empty one."""
    random = np.random.default_rng(3)
    sizes = {"a": 7, "b": 1 << 18, "c": (1 << 18) + 1, "d": 700_001, "e": 0}
    return {name: random.random(size, np.float32) for name, size in sizes.items()}


@pytest.mark.parametrize("make", [building.make_bundle, building.make_safetensors, building.make_torch])
def test_the_checksum_is_that_of_the_bytes(make, large: dict[str, Array], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with open_checkpoint(make(tmp_path / "model", large)) as checkpoint:
        for name, array in large.items():
            assert checkpoint.checksum(name) == crc32c.crc32c(array.tobytes())


def test_views_have_the_checksum_of_what_they_show(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    torch.save({"part": base[1:], "turned": base.T, "whole": base}, tmp_path / "views.pth")
    with open_checkpoint(tmp_path / "views.pth") as checkpoint:
        for name in checkpoint.tensors:
            assert checkpoint.checksum(name) == crc32c.crc32c(as_bytes(checkpoint.read(name)))


@pytest.mark.parametrize("make", [building.make_bundle, building.make_torch])
def test_damage_is_found_by_the_checksum_too(make, large: dict[str, Array], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = make(tmp_path / "model", large)
    (data,) = [file for file in tmp_path.iterdir() if file.stat().st_size > 1_000_000]
    content = bytearray(data.read_bytes())
    content[content.index(large["d"].tobytes()) + 2_000_000] ^= 1
    data.write_bytes(content)
    with open_checkpoint(path) as checkpoint, pytest.raises(UnreadableCheckpoint, match="damaged"):
        checkpoint.checksum("d")
