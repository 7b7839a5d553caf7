"""A temporary folder goes, also that of a command that was killed; that of another command stays."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from effconvert.errors import OutputProblem
from effconvert.temporary import temporary_folder


@pytest.fixture(autouse=True)
def within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def start(within: Path) -> "subprocess.Popen[str]":
    """Start a process that has a temporary folder with a file in it."""
    script = (
        "import sys, tempfile\n"
        "from effconvert.temporary import temporary_folder\n"
        f"tempfile.tempdir = {str(within)!r}\n"
        "with temporary_folder() as folder:\n"
        "    (folder / 'a').write_text('a')\n"
        "    print(folder, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    return subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_temporary_folder_is_private_and_goes_in_the_end(within: Path) -> None:
    with pytest.raises(RuntimeError), temporary_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "a").write_text("a")
        raise RuntimeError
    assert list(within.iterdir()) == []


def test_r5_what_a_killed_command_unpacked_is_removed_by_the_next(within: Path) -> None:
    with start(within) as process:
        assert process.stdout
        left = Path(process.stdout.readline().strip())
        with temporary_folder():
            assert (left / "a").exists()  # it is in use
        process.send_signal(signal.SIGKILL)
    assert (left / "a").exists()
    with temporary_folder() as folder:
        assert list(within.iterdir()) == [folder]


def test_a_link_that_looks_like_a_folder_of_ours_is_left_alone(
    within: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    precious = tmp_path_factory.mktemp("precious")
    (precious / "a").write_text("a")
    (within / "effconvert-work-0123456789abcdef").symlink_to(precious)
    with temporary_folder():
        pass
    assert (precious / "a").exists()


def test_a_folder_that_cannot_be_made_is_an_output_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    with pytest.raises(OutputProblem, match="/proc: no temporary folder can be made in it"), temporary_folder():
        pass
