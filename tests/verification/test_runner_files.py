"""A runner is one file that any environment of its framework can start, and it runs no other file than it was made for."""

import ast
import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from effconvert.verification.launching import FRAMEWORKS, runner_file

RUNNERS = sorted(runner_file("timm").parent.glob("run_*.py"))
REFUSED = 4


def module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=RUNNERS, ids=lambda path: path.stem)
def runner(request: pytest.FixtureRequest) -> Path:
    return request.param  # type: ignore[no-any-return]


def test_every_framework_has_a_runner_and_every_runner_a_framework() -> None:
    assert sorted(map(runner_file, FRAMEWORKS)) == RUNNERS


def test_a_runner_is_python_3_9(runner: Path) -> None:
    ast.parse(runner.read_text(encoding="utf-8"), feature_version=(3, 9))


def imported(node: ast.AST) -> list[str]:
    """The packages that the statement imports; a relative import has no name."""
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").partition(".")[0]]
    return [alias.name.partition(".")[0] for alias in node.names] if isinstance(node, ast.Import) else []


def test_a_runner_needs_nothing_but_numpy_to_say_that_its_framework_is_missing(runner: Path) -> None:
    tree = ast.parse(runner.read_text(encoding="utf-8"))
    at_once = {name for node in tree.body for name in imported(node)}
    assert "numpy" in at_once
    assert at_once <= {*sys.stdlib_module_names, "numpy", *module_of(runner).PACKAGES}


def test_a_runner_needs_nothing_of_this_project(runner: Path) -> None:
    tree = ast.parse(runner.read_text(encoding="utf-8"))
    anywhere = {name for node in ast.walk(tree) for name in imported(node)}
    assert not {"effconvert", "validate", ""} & anywhere


Attempt = Callable[..., tuple[int, str]]


@pytest.fixture
def attempt(
    runner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Attempt:
    """Run a file that the settings have the given hashes of, but for the framework; return exit code and last line."""
    module = module_of(runner)

    class Reached(Exception):
        """The network would be built now."""

    def reached(*arguments: object) -> None:
        raise Reached("the network would be built now")

    def run(file: Path, **sha256: str) -> tuple[int, str]:
        (tmp_path / "settings.json").write_text(json.dumps({"variant": "b0", "sha256": sha256}))
        np.savez(tmp_path / "inputs.npz", images=np.zeros((2, 3, 8, 8), np.float32))
        options = ["--settings", "settings.json", "--inputs", "inputs.npz", "--out", "run.npz"]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [runner.name, str(file), *options])
        code = module.main()
        return code, capsys.readouterr().err.splitlines()[-1]

    monkeypatch.setattr(module, "start", lambda: None)
    monkeypatch.setattr(module, "run", reached)
    return run


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_file_that_is_not_the_settings_is_refused(attempt: Attempt, tmp_path: Path) -> None:
    file = tmp_path / "b0.pth"
    file.write_text("other weights")
    code, said = attempt(file, **{"b0.pth": sha256("weights")})
    assert code == REFUSED
    assert f"{file} is not the file that the settings were made for: its SHA-256 is another" in said


def test_the_file_that_the_settings_were_made_for_is_run(attempt: Attempt, tmp_path: Path) -> None:
    (tmp_path / "b0.pth").write_text("weights")
    code, said = attempt(tmp_path / "b0.pth", **{"b0.pth": sha256("weights")})
    assert code == 1
    assert said.endswith("Reached: the network would be built now")


@pytest.mark.parametrize(("text", "code"), [("weights", 1), ("other weights", REFUSED)])
def test_a_file_that_was_renamed_on_its_way_is_known_by_its_hash(
    attempt: Attempt, tmp_path: Path, text: str, code: int
) -> None:
    (tmp_path / "renamed.pth").write_text(text)
    assert attempt(tmp_path / "renamed.pth", **{"b0.pth": sha256("weights")})[0] == code


@pytest.mark.parametrize(("text", "code"), [("weights", 1), ("other weights", REFUSED)])
@pytest.mark.parametrize(
    ("named", "folder"),
    [("model.ckpt", ""), ("", ""), ("", "variables")],
    ids=["prefix", "folder", "SavedModel"],
)
def test_every_file_of_a_checkpoint_is_looked_at(
    attempt: Attempt, tmp_path: Path, named: str, folder: str, text: str, code: int
) -> None:
    place = tmp_path / "saved" / folder
    place.mkdir(parents=True)
    (place / "model.ckpt.index").write_text("index")
    (place / "model.ckpt.data-00000-of-00001").write_text(text)
    expected = {"model.ckpt.index": sha256("index"), "model.ckpt.data-00000-of-00001": sha256("weights")}
    assert attempt(tmp_path / "saved" / named, **expected)[0] == code
