"""Shared fixtures of verifications: a canonical source, and a program that plays a framework."""

from collections.abc import Callable
from pathlib import Path

import pytest

from effconvert.options import Options
from effconvert.verification.execution import run_file
from effconvert.verification.network_files import examine
from helpers.verification.fake_pythons import fake_python
from helpers.verification.procedures import IMAGES, State, saved, state_of
from helpers.verification.saved_runs import changed_run


@pytest.fixture(scope="module")
def state() -> State:
    return state_of(classes=10)


@pytest.fixture(scope="module")
def source(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A canonical B0 of ten classes; do not change it."""
    return saved(tmp_path_factory.mktemp("source") / "source.pth", state)


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Give an interpreter that plays a framework by what the canonical network gives of a file with facts."""

    def of(file: Path, name: str, loader: str = "its own loader", **facts: object) -> Path:
        folder = tmp_path_factory.mktemp("player")
        examined = examine(file, Options(facts=facts))
        inputs = IMAGES.prepared(examined.recipe, examined.identity.variant.name)
        run_file(examined, "canonical", "python", inputs, folder / "canonical.npz")
        changed_run(folder / "canonical.npz", folder / "run.npz", {"framework": name, "loader": loader})
        return fake_python(folder / "python", f"shutil.copy({str(folder / 'run.npz')!r}, options['--out'])")

    return of
