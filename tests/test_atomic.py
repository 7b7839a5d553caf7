"""An output appears whole or not at all, and what exists is left alone."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from effconvert import atomic
from effconvert.atomic import new_file, new_folder, written_outputs
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


def test_s9_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "x").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputProblem), new_file(tmp_path / "x"):
        pass
    with new_file(tmp_path / "x", force=True) as (file, _):
        file.write(b"new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "x").is_symlink()


def left_behind(path: Path, kind: str = "file") -> Path:
    """Leave what a run that is killed leaves, and return its path."""
    script = f"""
import os, sys, signal
from pathlib import Path
from effconvert.atomic import new_file, new_folder, written_outputs
path = Path(sys.argv[1])
with new_{kind}(path) as part:
    if isinstance(part, tuple):
        part[0].write(b"half"); part[0].flush()
    else:
        (part / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    before = set(path.parent.iterdir())
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == -signal.SIGKILL
    (left,) = set(path.parent.iterdir()) - before
    return left


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_r5_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path, kind: str) -> None:
    other = left_behind(tmp_path / "other", kind)
    left = left_behind(tmp_path / "x", kind)
    with new_file(tmp_path / "x") as (file, _):
        assert not left.exists()
        file.write(b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert set(tmp_path.iterdir()) == {tmp_path / "x", other}


def test_s9_a_part_has_a_name_that_nobody_can_plant(tmp_path: Path) -> None:
    names = set()
    for _ in range(3):
        with new_file(tmp_path / "x", force=True) as (_, part):
            names.add(part.name)
            assert part.stat().st_nlink == 1
    assert len(names) == 3


@pytest.mark.parametrize("plant", ["hard link", "link", "pipe", "locked"])
def test_s9_what_is_planted_as_the_rest_of_a_killed_run_is_left_alone(tmp_path: Path, plant: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    left = left_behind(tmp_path / "x")
    with ExitStack() as exits:
        if plant == "locked":
            file = exits.enter_context(left.open("rb"))
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(OutputProblem, match="another run is writing it"), new_file(tmp_path / "x"):
                pass
            return
        left.unlink()
        if plant == "pipe":
            os.mkfifo(left)
        else:
            (left.hardlink_to if plant == "hard link" else left.symlink_to)(precious)
        with new_file(tmp_path / "x") as (out, _):
            out.write(b"new")
    assert precious.read_text() == "precious"
    assert os.path.lexists(left)
    assert (tmp_path / "x").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["x" * 255, "\xe4" * 127, "x\n"])
def test_any_name_that_a_file_may_have_can_be_written(tmp_path: Path, name: str) -> None:
    with new_file(tmp_path / name) as (file, _):
        file.write(b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("kind", ["pipe", "link to a device", "link to a pipe"])
def test_s9_force_replaces_no_pipe_and_no_device(tmp_path: Path, kind: str) -> None:
    path, pipe = tmp_path / "x", tmp_path / "pipe"
    os.mkfifo(pipe)
    if kind == "pipe":
        path = pipe
    else:
        path.symlink_to("/dev/null" if kind == "link to a device" else pipe)
    for new in (new_file, new_folder):
        with pytest.raises(OutputProblem, match="is not a file"), new(path, force=True):
            pass
    assert os.path.lexists(path)
    assert not path.is_file()


def test_the_permission_to_run_as_another_user_is_not_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o6755)
    with new_file(path, force=True) as (file, _):
        file.write(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_what_is_in_place_is_known_and_what_is_not_yet_is_not(tmp_path: Path) -> None:
    def mine() -> list[Path]:
        return [path for path in written_outputs() if path.parent == tmp_path]

    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "x"):
        raise KeyboardInterrupt
    assert mine() == []
    with new_file(tmp_path / "x"):
        assert mine() == []
    with new_folder(tmp_path / "y"):
        pass
    assert mine() == [tmp_path / "x", tmp_path / "y"]
    (tmp_path / "x").unlink()
    assert mine() == [tmp_path / "y"]


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
