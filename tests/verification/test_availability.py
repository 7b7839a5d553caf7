"""Usable frameworks are found by importing each in its own interpreter, or by looking for its package."""

import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from effconvert.errors import MissingPath, Unavailable
from effconvert.verification.availability import Availability, check_installed, frameworks_here
from effconvert.verification.launching import RUNNERS
from helpers.verification.fake_pythons import shell, without_packages


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for framework in RUNNERS.values():
        monkeypatch.delenv(framework.variable, raising=False)


def found(program: Path, *, quick: bool = False) -> Availability:
    """Return the message on timm, with `program` as its interpreter and that of all others."""
    here = frameworks_here(dict.fromkeys(RUNNERS, str(program)), quick)
    assert [each.name for each in here] == list(RUNNERS)
    return next(each for each in here if each.name == "timm")


def test_a_framework_that_is_imported_is_usable_with_its_versions(tmp_path: Path) -> None:
    python = shell(tmp_path / "python", """echo '{"timm": "1.0.31", "torch": "2.13"}'""")
    assert found(python) == Availability("timm", "usable", {"timm": "1.0.31", "torch": "2.13"}, str(python))


def test_one_that_cannot_be_imported_is_missing_and_says_why_and_how_to_get_it(tmp_path: Path) -> None:
    python = shell(tmp_path / "python", "echo 'timm: timm cannot be imported: numpy is too new' >&2; exit 9")
    assert found(python).state == "missing"
    assert found(python).reason == "timm cannot be imported: numpy is too new"
    assert found(python).remedy.startswith("pip install 'timm>=")


def test_what_to_install_is_what_the_package_itself_asks_for(tmp_path: Path) -> None:
    bare = without_packages(tmp_path / "bare")
    for each in frameworks_here(dict.fromkeys(RUNNERS, str(bare)), quick=True):
        needed = [line for line in requires("effconvert") or () if line.endswith(f'extra == "{each.name}"')]
        assert needed
        assert all(line.partition(";")[0].strip() in each.remedy for line in needed)
        assert "effconvert" not in each.remedy  # it is not needed in that environment


def test_only_the_frameworks_that_are_asked_for_are_looked_up(tmp_path: Path) -> None:
    bare = without_packages(tmp_path / "bare")
    here = frameworks_here(dict.fromkeys(RUNNERS, str(bare)), quick=True, names=["keras", "timm"])
    assert {each.name for each in here} == {"keras", "timm"}


def test_every_missing_framework_is_named_at_once(tmp_path: Path) -> None:
    bare = str(without_packages(tmp_path / "bare"))
    with pytest.raises(Unavailable) as error:
        check_installed({"timm": bare, "canonical": sys.executable, "keras": bare})
    first, *others = str(error.value).splitlines()
    assert first == "timm and keras cannot be used; nothing was run:"
    assert [line.split()[0] for line in others] == ["timm", "keras"]
    assert all(f'python={{"{name}": "PATH"}}' in line for name, line in zip(("timm", "keras"), others, strict=True))


def test_one_that_breaks_says_how(tmp_path: Path) -> None:
    here = found(shell(tmp_path / "python", "echo 'RuntimeError: no such device' >&2; exit 1"))
    assert (here.state, here.versions) == ("broken", {})
    assert here.reason.startswith("RuntimeError: no such device (in ")


def test_a_bare_interpreter_has_none(tmp_path: Path) -> None:
    assert found(without_packages(tmp_path / "bare"), quick=True).state == "missing"


def test_a_quick_look_finds_the_package_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, metadata = tmp_path / "timm", tmp_path / "timm-9.9.dist-info"
    package.mkdir()
    metadata.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: timm\nVersion: 9.9\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    here = found(Path(sys.executable), quick=True)
    assert here == Availability("timm", "installed", {"timm": "9.9"}, sys.executable)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("says", ["", "echo hello"])
def test_a_program_that_is_no_interpreter_is_told_so(tmp_path: Path, says: str, quick: bool) -> None:
    here = found(shell(tmp_path / "python", says), quick=quick)
    assert (here.state, here.reason) == (
        "broken",
        f"{tmp_path / 'python'}: did not print any versions: is it a Python interpreter?",
    )


@pytest.mark.parametrize("quick", [False, True])
def test_a_file_that_the_system_cannot_start_is_named(tmp_path: Path, quick: bool) -> None:
    (tmp_path / "python").write_bytes(b"\x7fELF")
    (tmp_path / "python").chmod(0o755)
    assert f"{tmp_path / 'python'}: Exec format error" in found(tmp_path / "python", quick=quick).reason


def test_an_interpreter_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(MissingPath, match='python={"timm": '):
        frameworks_here({"timm": str(tmp_path / "python")})


def test_the_plain_values_are_those_of_the_row(tmp_path: Path) -> None:
    python = shell(tmp_path / "python", """echo '{"timm": "1.0"}'""")
    row = {"name": "timm", "state": "usable", "versions": {"timm": "1.0"}, "python": str(python)}
    row |= {"reason": "", "remedy": ""}
    assert found(python).to_dict() == row
