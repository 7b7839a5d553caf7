"""Shared fixtures of the tests of evaluations: a small network of six classes, and images of six classes."""

from pathlib import Path

import pytest

from helpers.validate.asked_files import seeing, written
from helpers.validate.evaluated import CLASSES, write_zoo


@pytest.fixture(scope="session")
def zoo_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Lite0 of six classes, which tells images of 64 pixels apart; do not change it."""
    network = seeing("lite0", classes=len(CLASSES))
    return written(network, tmp_path_factory.mktemp("network") / "zoo-net.safetensors")


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 images in a folder for each of six classes; do not change it."""
    return write_zoo(tmp_path_factory.mktemp("data") / "zoo", 30)
