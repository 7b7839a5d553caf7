"""`effconvert map draft`."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from effconvert.maps.layouts import parse_layout
from helpers.library_files import library_tensors, save
from helpers.maps.permuted_files import WAYS
from helpers.running import Ran


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return save(tmp_path / "unknown.pth", library_tensors("timm"))


@pytest.fixture
def permuted(tmp_path: Path) -> Path:
    return save(tmp_path / "unknown.pth", WAYS["other words"](library_tensors("timm"), random.Random(0)))


def test_a_draft_is_written_and_what_told_it_is_shown(run: Callable[..., Ran], known: Path, tmp_path: Path) -> None:
    ran = run("map", "draft", known, "--variant", "b0", "--out", tmp_path / "my.toml")
    assert ran.exit_code == 0
    assert "decided  311 of 311 tensors" in ran.out
    assert "told     the order of the file agrees with the names" in ran.out
    assert "assumed  bn_eps 1e-3, padding tf-same; no tensor tells them" in ran.out
    assert parse_layout((tmp_path / "my.toml").read_bytes(), "my.toml").name == "my"


def test_a_draft_that_asks_is_written_and_exits_with_4(run: Callable[..., Ran], permuted: Path, tmp_path: Path) -> None:
    ran = run("map", "draft", permuted, "--variant", "b0", "--out", tmp_path / "my.toml")
    assert ran.exit_code == 4
    assert "my.toml: is written; answer its questions (3):" in ran.err
    assert "'weight' or 'bias' or 'running_mean'" in ran.err
    assert (tmp_path / "my.toml").read_text().count("QUESTION") == 2  # the line, and the count at the top


def test_json_has_what_was_decided_and_what_was_not(run: Callable[..., Ran], permuted: Path, tmp_path: Path) -> None:
    ran = run("map", "draft", permuted, "--variant", "b0", "--out", tmp_path / "my.toml", "--json")
    found = json.loads(ran.out)
    assert (len(found["decided"]), len(found["open"]), len(found["questions"])) == (164, 147, 3)
    assert found["complete"] is False


def test_an_output_that_exists_is_kept_without_force(run: Callable[..., Ran], known: Path, tmp_path: Path) -> None:
    out = tmp_path / "my.toml"
    out.write_text("mine")
    assert run("map", "draft", known, "--variant", "b0", "--out", out).exit_code == 8
    assert out.read_text() == "mine"
    assert run("map", "draft", known, "--variant", "b0", "--out", out, "--force", "--quiet") == Ran(0, "", "")
    assert out.read_text().startswith("# Drafted from unknown.pth")


def test_a_file_of_another_variant_leaves_no_map(run: Callable[..., Ran], known: Path, tmp_path: Path) -> None:
    ran = run("map", "draft", known, "--variant", "b1", "--out", tmp_path / "my.toml")
    assert ran.exit_code == 4
    assert "give --variant b0" in ran.err
    assert not (tmp_path / "my.toml").exists()


def test_a_checkpoint_is_never_replaced_by_a_map(run: Callable[..., Ran], known: Path) -> None:
    before = known.read_bytes()
    ran = run("map", "draft", known, "--variant", "b0", "--out", known, "--force")
    assert (ran.exit_code, "the file that is written ends in .toml" in ran.err) == (8, True)
    assert known.read_bytes() == before


def test_a_draft_with_questions_in_the_folder_of_maps_is_told_by_every_command(
    run: Callable[..., Ran], known: Path, permuted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "maps").mkdir()
    run("map", "draft", permuted, "--variant", "b0", "--out", tmp_path / "maps" / "my.toml")
    monkeypatch.setenv("EFFCONVERT_MAPS", str(tmp_path / "maps"))
    ran = run("inspect", known)
    assert (ran.exit_code, ran.out) == (4, "")
    assert "my.toml: the map cannot be used:\n  kinds.bn" in ran.err


def test_a_map_in_the_folder_of_maps_can_be_drafted_again(
    run: Callable[..., Ran], known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EFFCONVERT_MAPS", str(tmp_path))
    draft = ("map", "draft", known, "--variant", "b0", "--out", tmp_path / "my.toml")
    assert run(*draft).exit_code == 0
    (tmp_path / "my.toml").write_text("unfinished")
    assert run(*draft, "--force").exit_code == 0
    assert (tmp_path / "my.toml").read_text().startswith("# Drafted from unknown.pth")


def test_a_missing_file_and_an_unknown_variant_are_told(run: Callable[..., Ran], known: Path, tmp_path: Path) -> None:
    assert run("map", "draft", tmp_path / "no.pth", "--variant", "b0", "--out", tmp_path / "my.toml").exit_code == 2
    assert run("map", "draft", known, "--variant", "b11", "--out", tmp_path / "my.toml").exit_code == 2
    assert run("map", "draw").exit_code == 2
