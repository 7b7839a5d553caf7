"""`effconvert frameworks` on the command line, and the help texts of verification's commands."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from effconvert.cli import COMMANDS
from effconvert.verification.launching import RUNNERS
from helpers.running import Ran
from helpers.verification.fake_pythons import shell


@pytest.fixture
def pythons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Programs in place of Python: one has what it is asked for, one has nothing, one breaks; timm is in the first."""
    programs = {
        "has": shell(tmp_path / "has", 'echo \'{"numpy": "2.4.6", "timm": "1.0.31"}\''),
        "lacks": shell(tmp_path / "lacks", "echo '{}'; echo 'it cannot be imported: no module' >&2; exit 9"),
        "breaks": shell(tmp_path / "breaks", "echo 'Illegal instruction' >&2; exit 1"),
    }
    for name, framework in RUNNERS.items():
        program = {"timm": "has", "keras": "breaks"}.get(name, "lacks")
        monkeypatch.setenv(framework.variable, str(programs[program]))
    return programs


def row_of(ran: Ran, name: str) -> str:
    return next(line for line in ran.out.splitlines() if line.split()[:1] == [name])


def test_every_framework_has_a_row_with_its_state_versions_and_interpreter(
    run: Callable[..., Ran], pythons: dict[str, Path]
) -> None:
    ran = run("frameworks")
    assert (ran.exit_code, ran.err) == (0, "")
    assert row_of(ran, "timm").split() == ["timm", "usable", "timm", "1.0.31", str(pythons["has"])]
    assert row_of(ran, "keras").split()[:3] == ["keras", "broken", "Illegal"]
    for name in RUNNERS.keys() - {"timm", "keras"}:
        words = row_of(ran, name).split()
        assert (words[:2], words[-1]) == ([name, "missing"], str(pythons["lacks"]))


def test_what_is_missing_says_how_it_is_installed(run: Callable[..., Ran], pythons: dict[str, Path]) -> None:
    ran = run("frameworks")
    for name in RUNNERS.keys() - {"timm", "keras"}:
        assert "pip install " in row_of(ran, name)
    assert "EFFCONVERT_PYTHON_<FRAMEWORK>=PATH" in ran.out
    assert "Illegal instruction" in row_of(ran, "keras")
    assert "pip" not in row_of(ran, "timm")


def test_an_interpreter_alone_is_for_the_frameworks_that_it_has(
    run: Callable[..., Ran], pythons: dict[str, Path], tmp_path: Path
) -> None:
    only_mindcv = shell(tmp_path / "only", """case "$*" in *mindcv*) echo '{"mindcv": "0.5"}';; *) echo '{}';; esac""")
    ran = run("frameworks", "--quick", "--python", only_mindcv)
    assert row_of(ran, "mindcv").split() == ["mindcv", "installed", "mindcv", "0.5", str(only_mindcv)]
    assert row_of(ran, "timm").split()[-1] == str(pythons["has"])


def test_an_option_goes_before_the_variable(run: Callable[..., Ran], pythons: dict[str, Path]) -> None:
    ran = run("frameworks", "--python", f"mindcv={pythons['has']}", "--python", f"timm={pythons['lacks']}")
    assert row_of(ran, "mindcv").split()[1] == "usable"
    assert row_of(ran, "timm").split()[1] == "missing"


@pytest.mark.parametrize("options", [[], ["--quick"]], ids=str)
def test_json_has_the_same(run: Callable[..., Ran], pythons: dict[str, Path], options: list[str]) -> None:
    ran = run("frameworks", "--json", *options)
    assert ran.exit_code == 0
    rows = {row["name"]: row for row in json.loads(ran.out)["frameworks"]}
    assert rows.keys() == RUNNERS.keys()
    assert rows["timm"] == {
        "name": "timm",
        "state": "installed" if options else "usable",
        "versions": {"numpy": "2.4.6", "timm": "1.0.31"},
        "python": str(pythons["has"]),
        "reason": "",
        "remedy": "",
    }
    assert rows["mindcv"]["state"] == "missing"
    assert "mindspore" in rows["mindcv"]["remedy"]


def test_a_quick_look_imports_nothing(run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, framework in RUNNERS.items():
        monkeypatch.setenv(framework.variable, sys.executable)
        package = tmp_path / name
        metadata = tmp_path / f"{framework.packages[0].replace('-', '_')}-9.9.dist-info"
        package.mkdir()
        metadata.mkdir()
        (package / "__init__.py").write_text("raise SystemExit('imported')")
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {framework.packages[0]}\nVersion: 9.9\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ran = run("frameworks", "--quick")
    assert ran.exit_code == 0
    for name, framework in RUNNERS.items():
        assert row_of(ran, name).replace(",", "").split()[:4] == [name, "installed", framework.packages[0], "9.9"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("timm", "must read FRAMEWORK=PATH"),
        ("=x", "must read FRAMEWORK=PATH"),
        ("caffe=/bin/sh", "frameworks are huggingface, keras"),
        ("timm=/no/such/python", "--python timm=/no/such/python: is not an executable file"),
    ],
)
def test_usage_errors_are_2(run: Callable[..., Ran], value: str, said: str) -> None:
    ran = run("frameworks", "--python", value)
    assert ran.exit_code == 2
    assert said in ran.err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_neither_torch_nor_numpy(command: str) -> None:
    script = (
        "import sys; from effconvert.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, command, "--help"], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "tensorflow"} & set(ran.stderr.split())


def test_frameworks_imports_no_framework_itself(pythons: dict[str, Path]) -> None:
    script = (
        "import sys; from effconvert.cli import main\n"
        "try:\n    main(['frameworks'])\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "tensorflow", *RUNNERS} & set(ran.stderr.split())


def test_a_given_interpreter_that_lacks_the_framework_is_named(
    run: Callable[..., Ran], pythons: dict[str, Path], lite0: Path, tmp_path: Path
) -> None:
    given = shell(tmp_path / "given", "echo '{}'")
    ran = run("verify", lite0, "--against", lite0, "--python", given, "--size", 32)
    assert ran.exit_code == 9
    assert f"tensorflow in {pythons['lacks']}: " in ran.err
    assert f", nor is it in {given} (--python {given}); install it in one of them" in ran.err
