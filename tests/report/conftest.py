"""Shared fixtures of the tests of reports: a converted network, measured and verified once by the real commands."""

import io
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from pictures import picture, saved

import effconvert
from effconvert.cli import main

sys.path.append(str(Path(__file__).parents[1] / "verification"))  # running_here

_CLASSES = ("n01440764", "n01443537", "n01484850")


@dataclass(frozen=True)
class Real:
    """Output files of `validate` and `verify --json` for one converted file; do not change them."""

    run: Path
    verification: Path


@pytest.fixture(scope="session")
def real(lite0: Path, tmp_path_factory: pytest.TempPathFactory) -> Real:
    """A run and a verification of a converted Lite0, by the commands themselves, of small images."""
    from running_here import canonical_network_in_this_process

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
