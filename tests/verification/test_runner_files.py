"""A runner runs only the file that its settings were made for, and reports an error in one line."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from effconvert.verification.runners.base import Arrays, Network, Runner, Settings, main

REFUSED = 4
Attempt = Callable[..., tuple[int, str]]


class Reached(Exception):
    """The network would be built now."""


def make_network(file: str, tensors: Arrays | None, settings: Settings, inputs: Arrays) -> Network:
    raise Reached("the network would be built now")


RUNNER = Runner(framework="ours", packages=(), description="", start=lambda: None, make_network=make_network)


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Attempt:
    """Run a file that the settings have the given hashes of, but for the framework; return exit code and last line."""
    monkeypatch.chdir(tmp_path)
    np.savez("inputs.npz", images=np.zeros((2, 3, 8, 8), np.float32))

    def run(file: Path, *options: str, **sha256: str) -> tuple[int, str]:
        Path("settings.json").write_text(json.dumps({"variant": "b0", "sha256": sha256}))
        given = ["--settings", "settings.json", "--inputs", "inputs.npz", "--out", "run.npz", *options]
        code = main(RUNNER, [str(file), *given])
        return code, capsys.readouterr().err.splitlines()[-1]

    return run


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_file_that_is_not_the_settings_is_refused(attempt: Attempt, tmp_path: Path) -> None:
    file = tmp_path / "b0.pth"
    file.write_text("other weights")
    assert attempt(file, **{"b0.pth": sha256("weights")}) == (
        REFUSED,
        f"ours: {file} is not the file of the settings: its SHA-256 differs; run --prepare again",
    )


def test_the_file_that_the_settings_were_made_for_is_run(attempt: Attempt, tmp_path: Path) -> None:
    (tmp_path / "b0.pth").write_text("weights")
    code, said = attempt(tmp_path / "b0.pth", **{"b0.pth": sha256("weights")})
    assert (code, said) == (1, "ours: Reached: the network would be built now")


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


@pytest.mark.parametrize("content", [None, b"", b"top-1 77.1\n"], ids=["missing", "empty", "text"])
def test_tensors_that_are_missing_or_damaged_are_named(attempt: Attempt, tmp_path: Path, content: bytes | None) -> None:
    tensors = tmp_path / "tensors.npz"
    if content is not None:
        tensors.write_bytes(content)
    code, said = attempt(tmp_path / "b0.pth", "--tensors", str(tensors))
    assert code == 3
    assert said.startswith(f"ours: {tensors}: missing or damaged: ")
