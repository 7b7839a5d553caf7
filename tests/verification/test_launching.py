"""Each framework runs in its own interpreter, gets files but no secrets, and its failures are distinguished."""

import errno
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from effconvert.architecture.canonical import CANONICAL
from effconvert.errors import (
    EffconvertError,
    LayoutMismatch,
    MissingPath,
    NumericMismatch,
    OutputProblem,
    Unavailable,
    UnreadableCheckpoint,
)
from effconvert.maps.layouts import known_layouts
from effconvert.verification import launching
from effconvert.verification.launching import (
    FRAMEWORKS,
    LoaderRefused,
    check_framework,
    framework_of,
    interpreter,
    run_network,
)
from helpers.verification.fake_pythons import fake_python, shell, told, without_packages

SETTINGS = {"variant": "b0", "sha256": {"b0.pth": "0" * 64}}
INPUTS = {"images": np.zeros((2, 3, 8, 8), np.float32)}
WRITES = 'open(options["--out"], "wb").write(b"run")'
_LOOKS = """
folder = os.path.dirname(options["--settings"])
with open(os.path.join(os.path.dirname(options["--out"]), "looked"), "w") as file:
    file.write(oct(os.stat(folder).st_mode & 0o777))
"""
OF_PYTHON = ("PYTHONPATH", "PYTHONHOME")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for framework in FRAMEWORKS.values():
        monkeypatch.delenv(framework.variable, raising=False)
    monkeypatch.delenv("EFFCONVERT_DEBUG", raising=False)


def started(python: Path, folder: Path, name: str = "timm", **options: object) -> Path:
    """Run a file of the framework by `python`, and return where the run was to be written."""
    out = folder / "run.npz"
    run_network(name, str(python), folder / "b0.pth", SETTINGS, INPUTS, out, **options)  # type: ignore[arg-type]
    return out


def failure(python: Path, folder: Path, name: str = "timm") -> EffconvertError:
    with pytest.raises(EffconvertError) as caught:
        started(python, folder, name)
    return caught.value


@pytest.mark.parametrize("name", [*FRAMEWORKS, CANONICAL])
def test_without_a_word_this_interpreter_runs_everything(name: str) -> None:
    assert interpreter(name, {}) == sys.executable


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_environment_names_a_frameworks_interpreter(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(shell(tmp_path / "python", ""))
    monkeypatch.setenv(f"EFFCONVERT_PYTHON_{name.upper()}", path)
    assert {other: interpreter(other, {}) for other in FRAMEWORKS} == dict.fromkeys(FRAMEWORKS, sys.executable) | {
        name: path
    }


def test_the_command_line_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = str(shell(tmp_path / "one", "")), str(shell(tmp_path / "other", ""))
    monkeypatch.setenv("EFFCONVERT_PYTHON_TIMM", one)
    assert interpreter("timm", {"timm": other}) == other


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFCONVERT_PYTHON_TIMM", "")
    assert interpreter("timm", {}) == sys.executable


def test_the_canonical_network_is_always_run_by_this_interpreter(tmp_path: Path) -> None:
    assert interpreter(CANONICAL, {CANONICAL: str(tmp_path / "python")}) == sys.executable


@pytest.mark.parametrize("kind", ["missing", "folder", "not executable"])
def test_a_program_that_is_none_is_a_usage_error_that_says_who_named_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "python"
    if kind == "folder":
        path.mkdir()
    if kind == "not executable":
        path.write_text("#!/bin/sh\n")
        path.chmod(0o644)
    with pytest.raises(MissingPath, match="is not an executable file") as by_option:
        interpreter("timm", {"timm": str(path)})
    monkeypatch.setenv("EFFCONVERT_PYTHON_TIMM", str(path))
    with pytest.raises(MissingPath, match="is not an executable file") as by_variable:
        interpreter("timm", {})
    assert f'python={{"timm": "{path}"}}' in str(by_option.value)
    assert f"EFFCONVERT_PYTHON_TIMM={path}" in str(by_variable.value)
    assert by_option.value.exit_code == 2


def test_a_layout_has_the_framework_that_loads_its_files() -> None:
    named = {layout.name for layout in known_layouts()}
    runs = {layout: framework.name for framework in FRAMEWORKS.values() for layout in framework.layouts}
    assert {layout: framework_of(layout) for layout in runs} == runs
    assert runs.keys() <= named
    assert framework_of("canonical") == CANONICAL


def test_a_layout_without_a_framework_names_those_there_are() -> None:
    with pytest.raises(Unavailable, match="no framework here can run files of the layout mindspore-zoo-b0") as caught:
        framework_of("mindspore-zoo-b0")
    assert ", ".join(FRAMEWORKS) in str(caught.value)


def test_a_framework_that_cannot_be_imported_names_the_extra_and_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise ImportError('libcudart is too old')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(Unavailable) as caught:
        check_framework("tensorflow", sys.executable)
    said = str(caught.value)
    assert said.startswith("tensorflow: tensorflow cannot be imported: libcudart is too old\n")
    assert sys.executable in said
    assert 'pip install "effconvert[tensorflow]"' in said
    assert 'python={"tensorflow": "PATH"}' in said
    assert "EFFCONVERT_PYTHON_TENSORFLOW=PATH" in said
    assert caught.value.exit_code == 9


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_an_interpreter_without_numpy_lacks_every_framework(name: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        check_framework(name, str(without_packages(tmp_path / "bare")))
    assert "No module named 'numpy'" in str(caught.value)
    assert f'pip install "effconvert[{name}]"' in str(caught.value)
    assert FRAMEWORKS[name].variable in str(caught.value)


def test_versions_are_what_the_runner_says_last(tmp_path: Path) -> None:
    python = shell(tmp_path / "python", """echo loading; echo '{"timm": "1.0"}'""")
    assert check_framework("timm", str(python)) == {"timm": "1.0"}


@pytest.mark.parametrize("says", ["", "echo hello", "echo 7", "echo '[1]'"])
def test_a_program_that_is_no_interpreter_is_told_so(tmp_path: Path, says: str) -> None:
    python = shell(tmp_path / "python", says)
    with pytest.raises(EffconvertError, match="did not print any versions: is it a Python interpreter") as caught:
        check_framework("timm", str(python))
    assert str(python) in str(caught.value)


def test_a_file_that_the_system_cannot_start_is_named(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_bytes(b"\x7fELF")
    python.chmod(0o755)
    error = failure(python, tmp_path)
    assert isinstance(error, Unavailable)
    assert f"{python}: Exec format error" in str(error)


def test_the_runner_is_given_everything_as_files(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "python", WRITES)
    feed = tmp_path / "feed.npz"
    out = started(python, tmp_path, feed=feed, tensors={"conv_stem.weight": np.zeros(3, np.float32)})
    assert out.read_bytes() == b"run"
    (call,) = told(python)
    runner, file = call["arguments"][:2]
    assert (Path(runner).name, file) == ("run_timm.pyz", str(tmp_path / "b0.pth"))
    assert call["options"].keys() == {"--settings", "--inputs", "--out", "--tensors", "--feed"}
    assert (call["options"]["--out"], call["options"]["--feed"]) == (str(out), str(feed))
    assert call["settings"] == '{"sha256": {"b0.pth": "' + 64 * "0" + '"}, "variant": "b0"}'


def test_what_a_runner_is_given_lies_in_a_folder_of_its_owner_and_not_beside_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, folder = fake_python(tmp_path / "python", WRITES + _LOOKS), tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    started(python, tmp_path, tensors={"conv_stem.weight": np.zeros(3, np.float32)})
    (call,) = told(python)
    given = {Path(call["options"][name]) for name in ("--settings", "--inputs", "--tensors")}
    given |= {Path(call["arguments"][0])}
    (private,) = {path.parent for path in given}
    assert private.parent == folder
    assert (tmp_path / "looked").read_text() == "0o700"
    assert list(folder.iterdir()) == []


def test_without_feed_and_tensors_neither_is_named(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "python", WRITES)
    started(python, tmp_path)
    assert set(told(python)[0]["options"]) == {"--settings", "--inputs", "--out"}


def test_the_key_of_a_file_goes_to_the_canonical_network_alone_and_is_no_argument(tmp_path: Path) -> None:
    python, ours = fake_python(tmp_path / "python", WRITES), fake_python(tmp_path / "ours", WRITES)
    for name, program in (("mindcv", python), (CANONICAL, ours)):
        started(program, tmp_path, name, key=b"0123456789abcdef")
    (theirs,), (own,) = told(python), told(ours)
    assert (theirs["key"], own["key"]) == (None, "0123456789abcdef")
    assert "0123456789abcdef" not in str(theirs["arguments"]) + str(own["arguments"]) + theirs["settings"]
    assert "EFFCONVERT_KEY_OF_THE_FILE" not in os.environ


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_but_the_run(tmp_path: Path, fails: bool) -> None:
    python, folder = fake_python(tmp_path / "python", "sys.exit(1)" if fails else WRITES), tmp_path / "runs"
    folder.mkdir()
    if fails:
        failure(python, folder)
    else:
        started(python, folder, tensors={"a": np.zeros(1)})
    assert [path.name for path in folder.iterdir()] == ([] if fails else ["run.npz"])


@pytest.mark.parametrize(
    ("code", "kind"),
    [(3, UnreadableCheckpoint), (4, LayoutMismatch), (5, NumericMismatch), (10, LoaderRefused), (9, Unavailable)],
)
def test_what_the_runner_ends_with_is_the_failure_that_it_means(
    tmp_path: Path, code: int, kind: type[Exception]
) -> None:
    error = failure(shell(tmp_path / "python", f"echo chatter >&2; echo 'timm: no b9' >&2; exit {code}"), tmp_path)
    assert type(error) is kind
    assert str(error).splitlines()[0] == "timm: no b9"


def test_a_runner_that_breaks_says_its_last_line_and_how_to_see_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = shell(
        tmp_path / "python", "echo 'Traceback' >&2; echo 'RuntimeError: out of memory' >&2; echo >&2; exit 1"
    )
    assert str(failure(python, tmp_path)) == (
        f"RuntimeError: out of memory (in {python}); EFFCONVERT_DEBUG=1 shows more"
    )
    monkeypatch.setenv("EFFCONVERT_DEBUG", "1")
    assert str(failure(python, tmp_path)).splitlines()[1:] == ["  Traceback", "  RuntimeError: out of memory"]


def test_a_runner_that_ends_without_a_word_says_with_what(tmp_path: Path) -> None:
    error = failure(shell(tmp_path / "python", "exit 134"), tmp_path)
    assert str(error).startswith("its process ended with exit code 134 and without a message (in ")


def test_a_runner_that_is_killed_says_by_which_signal(tmp_path: Path) -> None:
    error = failure(shell(tmp_path / "python", "echo 'loading weights' >&2; kill -9 $$"), tmp_path)
    assert str(error).startswith("timm: its process was ended by signal 9 (in ")


def test_a_runner_that_writes_no_run_is_a_failure(tmp_path: Path) -> None:
    python = shell(tmp_path / "python", "exit 0")
    assert f"timm: {python} wrote neither a run nor an error: is it a Python interpreter?" in str(
        failure(python, tmp_path)
    )


def test_words_in_no_encoding_are_no_obstacle(tmp_path: Path) -> None:
    error = failure(shell(tmp_path / "python", r"printf 'bad \377 byte\n' >&2; exit 1"), tmp_path)
    assert "bad \N{REPLACEMENT CHARACTER} byte" in str(error)


def test_another_interpreter_is_not_told_where_this_one_finds_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (*OF_PYTHON, "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(variable, str(tmp_path))
    python = shell(tmp_path / "python", f"env > '{tmp_path}/variables'; echo '{{}}'")
    check_framework("timm", str(python))
    variables = dict(line.partition("=")[::2] for line in (tmp_path / "variables").read_text().splitlines())
    assert variables["TF_CPP_MIN_LOG_LEVEL"] == str(tmp_path)
    assert not set(OF_PYTHON) & variables.keys()


@pytest.mark.parametrize("said", ["timm: OSError: [Errno 28] No space left on device", "OSError: [Errno 28] no room"])
def test_a_full_disk_is_an_output_problem_that_names_the_way_out(tmp_path: Path, said: str) -> None:
    error = failure(shell(tmp_path / "python", f"echo '{said}' >&2; exit 1"), tmp_path)
    assert isinstance(error, OutputProblem)
    assert str(error).startswith(f"{said}: runs need about 20 bytes for each value of a layer; set TMPDIR")


def test_a_disk_that_is_full_before_the_runner_is_started_is_an_output_problem_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, arrays: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(launching, "save_arrays", full)
    error = failure(shell(tmp_path / "python", "touch started"), tmp_path)
    assert isinstance(error, OutputProblem)
    assert "cannot be written: No space left on device (" in str(error)
    assert not (tmp_path / "started").exists()


def test_paths_with_spaces_and_in_any_script_are_passed_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "my weights — 重み é"
    folder.mkdir()
    python = fake_python(folder / "python 3 ü", WRITES)
    assert started(python, folder).read_bytes() == b"run"
    assert told(python)[0]["arguments"][1] == str(folder / "b0.pth")
