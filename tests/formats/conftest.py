"""Shared fixtures of the tests of formats."""

from pathlib import Path

import numpy as np
import pytest

from effconvert.formats import Array
from helpers.formats import building


@pytest.fixture
def arrays() -> dict[str, Array]:
    """A few tensors of several shapes and dtypes, names ascending."""
    rng = np.random.default_rng(5)
    return {
        "a/half": rng.normal(size=(3,)).astype(np.float16),
        "b/kernel": rng.normal(size=(3, 2, 4)).astype(np.float32),
        "c/scalar": np.array(-7, np.int64),
        "d/empty": np.zeros((0, 4), np.float32),
        "e/flag": np.array([True, False, True]),
    }


@pytest.fixture
def bundle(tmp_path: Path, arrays: dict[str, Array]) -> Path:
    """The index of a bundle that holds `arrays`."""
    return building.make_bundle(tmp_path / "bundle" / "model.ckpt", arrays)


@pytest.fixture
def safetensors_file(tmp_path: Path, arrays: dict[str, Array]) -> Path:
    """A safetensors file that holds `arrays`."""
    return building.make_safetensors(tmp_path / "model.safetensors", arrays)


@pytest.fixture
def torch_file(tmp_path: Path, arrays: dict[str, Array]) -> Path:
    """A zip file of PyTorch that holds `arrays`."""
    return building.make_torch(tmp_path / "model.pth", arrays)
