"""Shared fixtures of many tests: checkpoints that are made once, and the command line run in this process."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from effconvert.cli import main
from helpers import official_weights
from helpers.checkpoints import write_checkpoint
from helpers.running import Ran

pytest_plugins = ["helpers.deep"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command as `run("inspect", path)`."""

    def command(*arguments: object) -> Ran:
        exit_code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as error:
            exit_code = int(error.code or 0)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(exit_code, captured.out, captured.err)

    return command


@pytest.fixture(scope="session")
def b0_tensors() -> dict[str, np.ndarray]:
    """Every tensor of an official B0 checkpoint: raw, averaged, global_step."""
    return official_weights.checkpoint("efficientnet-b0")


@pytest.fixture(scope="session")
def b0(tmp_path_factory: pytest.TempPathFactory, b0_tensors: dict[str, np.ndarray]) -> Path:
    """An official B0 checkpoint; do not change it."""
    return write_checkpoint(tmp_path_factory.mktemp("official") / "efficientnet-b0", b0_tensors)


@pytest.fixture(scope="session")
def lite0_tensors() -> dict[str, np.ndarray]:
    """The averages of an official Lite0 checkpoint alone: the smallest whole checkpoint."""
    return official_weights.checkpoint("efficientnet-lite0", averages_only=True)


@pytest.fixture(scope="session")
def lite0(tmp_path_factory: pytest.TempPathFactory, lite0_tensors: dict[str, np.ndarray]) -> Path:
    """An official Lite0 checkpoint of averages alone; do not change it."""
    return write_checkpoint(tmp_path_factory.mktemp("official") / "efficientnet-lite0", lite0_tensors)


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test touches the user's cache, nor the published archives, nor keeps the maps that another one added."""
    monkeypatch.setenv("EFFCONVERT_ADDED_MAPS", "")
    monkeypatch.setenv("EFFCONVERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EFFCONVERT_MIRROR", "http://no-such-host.invalid")
