"""Ctrl-C at any moment, also while modules are imported, ends in one line and exit code 130."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import effconvert

NOTHING = "effconvert: interrupted; nothing was changed"


@pytest.fixture(scope="module")
def converted(lite0: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("converted") / "lite0.safetensors"
    effconvert.convert(lite0, path)
    return path


# Interrupts itself when it looks for the module number COUNT, as a user might at that moment.
AT_IMPORT = """
import signal, sys
from importlib.machinery import PathFinder

class Interrupting:
    left = int(sys.argv.pop(1))
    def find_spec(self, *arguments):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)

import effconvert.__main__
sys.meta_path.insert(0, Interrupting())
effconvert.__main__.main()
"""


def interrupted(script: str, *words: object) -> "subprocess.CompletedProcess[str]":
    """Run the script; an empty line, with which click ends that of ^C, is left out of what it printed."""
    command = [sys.executable, "-c", script, *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    ran.stderr = ran.stderr.strip("\n")
    return ran


@pytest.mark.parametrize("moment", [1, 2, 5, 10, 20, 40, 60, 80, 100, 120, 150, 180, 200, 220, 250, 280])
def test_ctrl_c_while_modules_are_imported_is_one_line(converted: Path, moment: int) -> None:
    ran = interrupted(AT_IMPORT, moment, "inspect", converted)
    assert (ran.returncode, ran.stderr, ran.stdout) == (130, NOTHING, "")


def test_an_error_that_an_interruption_became_is_an_interruption(converted: Path) -> None:
    """numpy makes an ImportError of it when it comes while its C parts import modules."""
    script = (
        "import signal, sys\n"
        "import effconvert.cli.commands.inspect_ as module, effconvert.__main__\n"
        "from effconvert.errors import UnreadableCheckpoint\n"
        "def swallow(*_):\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    except BaseException:\n"
        "        raise KIND('failed to import') from None\n"
        "import click\n"
        "module.command.callback = lambda **_: swallow()\n"
        "effconvert.__main__.main()\n"
    )
    for kind in ("ImportError", "UnreadableCheckpoint", "OSError"):
        ran = interrupted(script.replace("KIND", kind), "inspect", converted)
        assert (ran.returncode, ran.stderr) == (130, NOTHING)


def test_ctrl_c_after_the_output_is_in_place_says_so(b0: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.safetensors"
    script = (
        "import signal, effconvert.__main__, effconvert.atomic as atomic\n"
        "real = atomic._sync_place\n"
        "def interrupt(path):\n"
        "    real(path)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "atomic._sync_place = interrupt\n"
        "effconvert.__main__.main()\n"
    )
    ran = interrupted(script, "tf2pt", "--checkpoint", b0, "--out", output, "--quiet")
    assert (ran.returncode, ran.stderr) == (130, f"effconvert: interrupted; already written: {output}")
    assert list(tmp_path.iterdir()) == [output]


def test_ctrl_c_before_the_output_is_in_place_leaves_nothing(b0: Path, tmp_path: Path) -> None:
    script = (
        "import signal, effconvert.__main__, effconvert.atomic as atomic\n"
        "atomic._renamed = type('', (list,), {'append': lambda *_: signal.raise_signal(signal.SIGINT)})()\n"
        "effconvert.__main__.main()\n"
    )
    ran = interrupted(script, "tf2pt", "--checkpoint", b0, "--out", tmp_path / "x.safetensors", "--quiet")
    assert (ran.returncode, ran.stderr) == (130, NOTHING)
    assert list(tmp_path.iterdir()) == []


def test_an_ignored_interruption_stays_ignored(converted: Path) -> None:
    """As of a command that the shell started in the background."""
    script = "import signal, effconvert.__main__; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    script += "signal.raise_signal(signal.SIGINT); effconvert.__main__.main()"
    assert interrupted(script, "inspect", converted).returncode == 0


def test_s7_a_name_does_not_control_the_terminal(tmp_path: Path) -> None:
    name = "a\x1b[2J\x07\u202e\u2028\x9b.pth"
    for path in (tmp_path / name, tmp_path / f"missing-{name}"):
        if not path.name.startswith("missing"):
            path.write_bytes(b"no checkpoint")
        for command in ("inspect", "diff"):
            words = [path] * (2 if command == "diff" else 1)
            run = subprocess.run(
                [sys.executable, "-m", "effconvert", command, *words], capture_output=True, check=False
            )
            assert run.returncode in (2, 3)
            assert run.stderr.decode().replace("\n", "").isprintable(), run.stderr
    assert os.fsencode(name) not in run.stderr


def test_s7_a_file_name_that_is_no_text_is_printed(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/x\xff.pth"
    Path(os.fsdecode(path)).write_bytes(b"no checkpoint")
    run = subprocess.run([sys.executable, "-m", "effconvert", "inspect", path], capture_output=True, check=False)
    assert run.returncode == 3
    assert b"x\\udcff.pth" in run.stderr
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
