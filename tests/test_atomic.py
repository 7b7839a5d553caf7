"""An output appears whole or not at all, and what exists is left alone."""

import fcntl
import sys
from pathlib import Path

import pytest

from effconvert import atomic
from effconvert.atomic import new_file, new_folder
from effconvert.errors import OutputProblem


def write_folder(path: Path, *, force: bool = False, **files: str) -> None:
    with new_folder(path, force) as folder:
        for name, text in files.items():
            (folder / name).write_text(text)


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with new_file(path) as (file, part):
        file.write(b"new")
        assert not path.exists()
        assert part.parent == tmp_path
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_file(tmp_path / "x") as (file, _):
        file.write(b"new")
        raise RuntimeError
    with pytest.raises(RuntimeError), new_folder(tmp_path / "y") as folder:
        (folder / "a").write_text("new")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_replaced_only_by_force_and_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o640)
    with pytest.raises(OutputProblem, match="exists; give force=True"), new_file(path):
        pass
    with new_file(path, force=True) as (file, _):
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "x").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputProblem), new_file(tmp_path / "x"):
        pass
    with new_file(tmp_path / "x", force=True) as (file, _):
        file.write(b"new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "x").is_symlink()


def test_a_link_in_the_place_of_the_part_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".x.effconvert-part").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputProblem, match="cannot be written"), new_file(tmp_path / "x") as (file, _):
        file.write(b"new")
    assert (tmp_path / "precious").read_text() == "precious"


def test_what_a_killed_run_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".x.effconvert-part").write_bytes(b"half of something longer")
    with new_file(tmp_path / "x") as (file, _):
        file.write(b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    (tmp_path / ".y.effconvert-part").mkdir()
    (tmp_path / ".y.effconvert-part" / "half").write_text("half")
    write_folder(tmp_path / "y", a="new")
    assert [entry.name for entry in (tmp_path / "y").iterdir()] == ["a"]


def test_two_runs_to_one_output_do_not_mix(tmp_path: Path) -> None:
    with new_file(tmp_path / "x") as (file, _):
        file.write(b"first")
        with pytest.raises(OutputProblem, match="another run is writing it"), new_file(tmp_path / "x"):
            pass
    assert (tmp_path / "x").read_bytes() == b"first"
    with new_folder(tmp_path / "y") as folder:
        (folder / "a").write_text("first")
        with pytest.raises(OutputProblem, match="another run is writing it"), new_folder(tmp_path / "y"):
            pass
    assert (tmp_path / "y" / "a").read_text() == "first"


def test_a_part_that_another_run_renamed_meanwhile_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / ".x.effconvert-part"

    def lock_late(descriptor: int, path: Path) -> None:
        part.rename(path)  # the other run ends between our opening and our locking
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    monkeypatch.setattr(atomic, "_lock", lock_late)
    part.write_bytes(b"the other's")
    with pytest.raises(OutputProblem, match="another run has just written it"), new_file(tmp_path / "x") as (file, _):
        file.write(b"ours")
    assert (tmp_path / "x").read_bytes() == b"the other's"


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_replaced_by_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool) -> None:
    if not exchange:
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    write_folder(tmp_path / "x", a="old", b="old")
    with pytest.raises(OutputProblem, match="exists"):
        write_folder(tmp_path / "x", a="new")
    write_folder(tmp_path / "x", force=True, a="new", b="new")
    assert {entry.name: entry.read_text() for entry in (tmp_path / "x").iterdir()} == {"a": "new", "b": "new"}
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    write_folder(tmp_path / "x", a="old", thesis="years of work")
    with pytest.raises(OutputProblem, match="also holds thesis, which force=True does not remove"):
        write_folder(tmp_path / "x", force=True, a="new")
    assert (tmp_path / "x" / "a").read_text() == "old"


def test_an_empty_folder_may_become_the_output(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    write_folder(tmp_path / "x", a="new")
    assert (tmp_path / "x" / "a").read_text() == "new"


def test_a_folder_does_not_replace_a_file_nor_a_file_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputProblem, match="exists and is not a folder"):
        write_folder(tmp_path / "file", force=True, a="new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputProblem, match="is a folder"), new_file(tmp_path / "folder", force=True):
        pass
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a folder that not even root may write")
def test_a_folder_that_may_not_be_written_is_an_output_problem() -> None:
    with pytest.raises(OutputProblem, match="/proc/x: cannot be written"), new_file(Path("/proc/x")):
        pass
