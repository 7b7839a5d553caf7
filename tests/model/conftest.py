"""Makes the helpers in tests/ importable, and random numbers the same in every run."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.manual_seed(0)
