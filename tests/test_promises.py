"""Promises that belong to no part alone, and the table of SECURITY.md that names the tests of each promise."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import effconvert
from effconvert.conversion import outputs
from effconvert.errors import OutputProblem
from helpers.places import PROJECT, TESTS

SECURITY = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([SR]\d+) \| .* \| (.*) \|$", re.MULTILINE)
PROMISES = [*(f"S{number}" for number in range(1, 11)), *(f"R{number}" for number in range(1, 15))]
ROWS = {found[1]: re.findall(r"`([^`]+)`", found[2]) for found in ROW.finditer(SECURITY)}

# What runs code of a file, or leads to it, by the name under which it is called.
FORBIDDEN = {
    "eval", "exec", "__import__", "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads",
    "yaml.load", "yaml.unsafe_load", "shelve.open", "torch.load", "joblib.load", "dill.load", "dill.loads",
}  # fmt: skip
ARGUMENTS = {("allow_pickle", True), ("weights_only", False)}
OPENED = """
import sys
seen = []
def hook(event, details):
    started = event.startswith(("subprocess.", "os.exec", "os.posix_spawn", "os.system"))
    if event.startswith("socket.") or (started and "uname" not in str(details)):  # platform.processor() asks uname
        seen.append((event, str(details)[:200]))
sys.addaudithook(hook)
from effconvert.cli import main
try:
    main(sys.argv[1:])
except SystemExit as error:
    assert not error.code, error.code
sys.exit(str(seen) if seen else 0)
"""


def named_tests() -> dict[str, Path]:
    """Return the file of every test."""
    found = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[node.name] = path
    return found


def test_every_promise_has_a_row_whose_tests_exist_and_are_named_after_it() -> None:
    assert list(ROWS) == PROMISES
    known = named_tests()
    for promise, names in ROWS.items():
        assert names, promise
        for name in names:
            if name.endswith(".py"):
                assert (PROJECT / name).is_file(), name
            else:
                assert name in known, name
                assert name.startswith(f"test_{promise.lower()}_"), name


def test_every_test_that_is_named_after_a_promise_is_in_its_row() -> None:
    named = {name for name in named_tests() if re.match(r"test_[sr]\d+_", name)}
    assert named == {name for names in ROWS.values() for name in names if not name.endswith(".py")}


def test_r3_a_file_that_is_not_what_was_meant_is_not_kept(
    lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = outputs._write_container

    def written_wrongly(file: Any, *arguments: Any) -> None:
        write(file, *arguments)
        file.seek(-3, os.SEEK_END)
        file.write(b"\0\1\2")

    monkeypatch.setattr(outputs, "_write_container", written_wrongly)
    with pytest.raises(OutputProblem, match="the written file is different when read back"):
        effconvert.convert(lite0, tmp_path / "x.safetensors")
    assert list(tmp_path.glob("*.safetensors")) == []


def sources() -> list[Path]:
    """Return the modules of the project, but for the runners, which are programs of other interpreters."""
    found = [path for folder in ("effconvert", "validate") for path in sorted((PROJECT / folder).rglob("*.py"))]
    return [path for path in found if "runners" not in path.parts]


def dangerous(tree: ast.AST) -> Iterator[str]:
    """Yield the calls that could run code of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if (called := ast.unparse(node.func)) in FORBIDDEN:
                yield called
            given = {(word.arg, word.value.value) for word in node.keywords if isinstance(word.value, ast.Constant)}
            yield from (f"{name}={value!r}" for name, value in given & ARGUMENTS)


def test_s3_nothing_turns_the_closed_table_off() -> None:
    assert len(sources()) > 200
    assert {
        str(path): list(found) for path in sources() if (found := set(dangerous(ast.parse(path.read_text()))))
    } == {}


@pytest.mark.parametrize(
    "code", ["eval(x)", "pickle.load(f)", "yaml.load(f)", "np.load(f, allow_pickle=True)", "torch.load(f)"]
)
def test_s3_what_would_be_found_is_found(code: str) -> None:
    assert list(dangerous(ast.parse(code)))


@pytest.mark.parametrize("command", ["inspect FILE", "convert FILE --to timm --out OUT --quiet", "diff FILE FILE", "list", "tables --variant b0", "report --published --out REPORT", "map moves timm --json"])  # fmt: skip
def test_s10_no_command_but_a_download_opens_a_connection(lite0: Path, tmp_path: Path, command: str) -> None:
    names = {"FILE": str(lite0), "OUT": str(tmp_path / "x.pth"), "REPORT": str(tmp_path / "report")}
    words = [names.get(word, word) for word in command.split()]
    ran = subprocess.run([sys.executable, "-c", OPENED, *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_s10_the_hook_sees_a_connection() -> None:
    script = OPENED.replace("from effconvert.cli import main", "import socket; main = lambda words: socket.socket()")
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "socket.__new__" in ran.stderr


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_r4_neither_a_hash_seed_nor_threads_change_a_byte(lite0: Path, tmp_path: Path, suffix: str) -> None:
    written = []
    for seed, threads in (("1", "1"), ("2", "2")):
        out = tmp_path / f"{seed}{suffix}"
        command = [
            sys.executable,
            "-m",
            "effconvert",
            "convert",
            str(lite0),
            "--to",
            "timm",
            "--out",
            str(out),
            "--quiet",
        ]
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads}, check=True)
        written.append(out.read_bytes())
    assert written[0] == written[1]
