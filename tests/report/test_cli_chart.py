"""`effconvert chart`: one picture of a report, from runs or from published numbers."""

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from effconvert.report import document
from effconvert.report.contents.report import Report
from helpers.report.made_documents import made_document, typed
from helpers.running import Ran


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A report of two networks in place of the one that runs would give; what it was asked for."""
    asked: list[tuple[Any, ...]] = []

    def build_report(*arguments: Any) -> Report:
        asked.append(arguments)
        return typed(made_document(2))

    monkeypatch.setattr(document, "build_report", build_report)
    return asked


def test_published_numbers_are_drawn_without_a_run(run: Callable[..., Ran], tmp_path: Path) -> None:
    ran = run("chart", "cost", "--published", "--out", tmp_path / "cost.svg")
    assert ran.exit_code == 0
    assert ran.out.startswith("ImageNet top-1 against multiply-adds and parameters: from lite0")
    assert ran.out.endswith(f"written: {tmp_path / 'cost.svg'}\n")
    ElementTree.parse(tmp_path / "cost.svg")


def test_published_numbers_are_drawn_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from effconvert.cli import cli\n"
        f"cli.main(['chart', 'cost', '--published', '--out', {str(tmp_path / 'cost.svg')!r}], standalone_mode=False)\n"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_runs_and_verifications_make_the_report(
    run: Callable[..., Ran], tmp_path: Path, reported: list[tuple[Any, ...]]
) -> None:
    ran = run("chart", "agreement", "a.npz", "b.npz", "--verify", "c.json", "--out", tmp_path / "a.png", "--quiet")
    assert (ran.exit_code, ran.out) == (0, "")
    assert reported == [((Path("a.npz"), Path("b.npz")), (Path("c.json"),))]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_without_a_file_s_name_is_an_svg_of_its_own_name(
    run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("chart", "cost", "--published").out.endswith("written: cost.svg\n")
    ElementTree.parse(tmp_path / "cost.svg")
    ran = run("chart", "cost", "--published")
    assert ran.exit_code == 8
    assert "exists; give --force" in ran.err


@pytest.mark.usefixtures("reported")
def test_layers_of_a_network_are_chosen_by_its_name(run: Callable[..., Ran], tmp_path: Path) -> None:
    name = made_document(2)["networks"][1]["name"]
    assert run("chart", "layers", "a.npz", "--network", name, "--out", tmp_path / "b1.csv").exit_code == 0
    rows = list(csv.DictReader((tmp_path / "b1.csv").read_text().splitlines()))
    assert {row["network"] for row in rows} == {name}
    ran = run("chart", "layers", "a.npz", "--network", "b9", "--out", tmp_path / "b9.csv")
    assert ran.exit_code == 2
    assert "--network 'b9' is not verified; known are " in ran.err
    assert repr(name) in ran.err


@pytest.mark.usefixtures("reported")
def test_what_a_picture_lacks_is_said(run: Callable[..., Ran], tmp_path: Path) -> None:
    ran = run("chart", "agreement", "--published", "--out", tmp_path / "agreement.svg")
    assert ran.exit_code == 2
    assert "agreement: nothing to draw; it needs two runs of `validate` on the same images" in ran.err


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("cost",), 2, "give runs of `validate` or --verify files, or only --published"),
        (("cost", "run.npz", "--published"), 2, "or only --published"),
        (("cost", "--published", "--network", "b0"), 2, "--network is only for layers"),
        (("radar", "--published"), 2, "'radar' is unknown; known are accuracy, cost"),
        (("cost", "nothing.npz"), 2, "nothing.npz: no such file or directory"),
    ],
)
def test_what_makes_no_picture_is_a_usage_error(
    run: Callable[..., Ran], tmp_path: Path, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    ran = run("chart", *arguments, "--out", tmp_path / "picture.svg")
    assert ran.exit_code == exit_code
    assert message in ran.err
    assert not list(tmp_path.iterdir())


def test_an_output_that_cannot_be_is_refused_before_the_work(run: Callable[..., Ran], tmp_path: Path) -> None:
    ran = run("chart", "cost", "nothing.npz", "--out", tmp_path / "cost.eps")
    assert ran.exit_code == 8
    assert "cost.eps: the suffix must be .svg, .pdf or .png, or .csv for the numbers" in ran.err
    (tmp_path / "cost.svg").touch()
    assert run("chart", "cost", "--published", "--out", tmp_path / "cost.svg").exit_code == 8
    assert run("chart", "cost", "--published", "--out", tmp_path / "cost.svg", "--force").exit_code == 0
