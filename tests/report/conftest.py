"""Shared fixtures of the tests of reports: a converted network, measured and verified once by the real commands."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import effconvert
from effconvert.cli import main
from helpers.pictures import picture, saved
from helpers.report.measured import Real
from helpers.verification.running_here import canonical_network_in_this_process

_CLASSES = ("n01440764", "n01443537", "n01484850")


@pytest.fixture(scope="session")
def real(lite0: Path, tmp_path_factory: pytest.TempPathFactory) -> Real:
    """A run and a verification of a converted Lite0, by the commands themselves, of small images."""
    folder = tmp_path_factory.mktemp("real")
    images, converted, verified = folder / "images", folder / "lite0.safetensors", folder / "lite0.json"
    for number, name in enumerate(_CLASSES):
        (images / name).mkdir(parents=True)
        (images / name / f"{number}.jpg").write_bytes(saved(picture(70, 80, number), quality=90))
    effconvert.convert(lite0, converted, weights="base")
    measuring = ("validate", converted, "--data", images, "--size", 64, "--workers", 0, "--runs", folder / "runs")
    verifying = ("verify", converted, "--against", converted, "--size", 64, "--no-float64", "--json", verified)
    with redirect_stdout(io.StringIO()), canonical_network_in_this_process():
        for command in (measuring, verifying):
            main([str(word) for word in command])
    return Real(folder / "runs" / "lite0.npz", verified)
