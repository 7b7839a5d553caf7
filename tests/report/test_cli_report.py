"""`effconvert report` on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.report.made_inputs import layer, run_record, verification, with_rows, write_run, write_verification
from helpers.running import Ran

Report = Callable[..., Ran]


@pytest.fixture
def report(run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Run the command in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run("report", *arguments)


def test_it_says_the_sentence_the_verdicts_and_where_the_page_is(report: Report, tmp_path: Path) -> None:
    write_run(tmp_path / "b0.npz", 38_550)
    write_verification(tmp_path / "b0.json")
    ran = report("b0.npz", "--verify", "b0.json")
    assert ran.exit_code == 0
    lines = ran.out.splitlines()
    assert lines[0].startswith("efficientnet-b0 (AutoAugment) converted from TensorFlow: 311 tensors")
    (row,) = [line.split() for line in lines if line.split()[-7:] == ["passed"] * 7]
    assert " ".join(row[:-7]) == "efficientnet-b0 (AutoAugment) 77.100 50,000"
    assert lines[-1] == "written: effconvert-report/report.html"
    assert (tmp_path / "effconvert-report" / "report.html").is_file()


def test_what_failed_is_told_with_its_reason(report: Report, tmp_path: Path) -> None:
    document = with_rows(verification(), layer("stem"), layer("logits", relative=0.5), verdict="different")
    write_verification(tmp_path / "b0.json", document)
    assert "(AutoAugment): logits failed: different: as the rows say" in report("--verify", "b0.json").out


def test_the_command_that_mends_a_file_is_a_line_of_its_own(report: Report, tmp_path: Path) -> None:
    document = with_rows(verification(), layer("stem", relative=0.5), layer("logits"), verdict="different")
    command = "effconvert convert b0.pth --to timm --facts padding=tf-same --out a-long-name-of-a-file-fixed.pth"
    trial = {"cause": "padding", "words": "another padding", "where": "", "change": "padding: symmetric -> tf-same"}
    numbers = {"before": 0.5, "difference": 0.0, "vanishes": True, "effect": True}
    write_verification(tmp_path / "b0.json", {**document, "causes": [{**trial, **numbers, "command": command}]})
    lines = report("--verify", "b0.json").out.splitlines()
    at = lines.index(command)
    assert lines[at - 1].endswith("fix: padding: symmetric -> tf-same; convert again:")


def test_json_is_the_document_that_is_written(report: Report, tmp_path: Path) -> None:
    write_run(tmp_path / "b0.npz", 10, 20)
    ran = report("b0.npz", "--json")
    assert json.loads(ran.out) == json.loads((tmp_path / "effconvert-report" / "report.json").read_text())


def test_quiet_says_nothing(report: Report, tmp_path: Path) -> None:
    write_run(tmp_path / "b0.npz", 10, 20)
    assert report("b0.npz", "--quiet").out == ""


def test_what_was_published_is_reported_without_a_run(report: Report, tmp_path: Path) -> None:
    ran = report("--published", "--out", "published")
    assert ran.exit_code == 0
    assert ran.out.startswith("21 variants of EfficientNet: ")
    assert json.loads((tmp_path / "published" / "report.json").read_text())["kind"] == "published"


@pytest.mark.parametrize("arguments", [(), ("b0.npz", "--published"), ("--verify", "b0.json", "--published"), ("",)])
def test_nothing_or_both_is_a_usage_error(report: Report, arguments: tuple[str, ...]) -> None:
    assert report(*arguments).exit_code == 2


def test_a_report_is_replaced_only_when_it_may_be(report: Report, tmp_path: Path) -> None:
    write_run(tmp_path / "b0.npz", 10, 20)
    assert report("b0.npz").exit_code == 0
    before = (tmp_path / "effconvert-report" / "report.json").read_bytes()
    write_run(tmp_path / "b0.npz", 15, 20)
    ran = report("b0.npz")
    assert (ran.exit_code, (tmp_path / "effconvert-report" / "report.json").read_bytes()) == (8, before)
    assert "give --force to replace it" in ran.err
    assert report("b0.npz", "--force").exit_code == 0
    assert (tmp_path / "effconvert-report" / "report.json").read_bytes() != before


def test_a_damaged_input_leaves_no_report(report: Report, tmp_path: Path) -> None:
    write_run(tmp_path / "b0.npz", 10, 20, record=run_record(model={"variant": 5}))
    ran = report("b0.npz")
    assert (ran.exit_code, ran.out) == (3, "")
    assert not (tmp_path / "effconvert-report").exists()


def test_an_input_that_is_not_there_is_a_usage_error(report: Report) -> None:
    ran = report("nowhere.npz")
    assert (ran.exit_code, ran.err) == (2, "effconvert: nowhere.npz: no such file or directory\n")


def test_of_many_networks_the_first_are_shown(report: Report, tmp_path: Path) -> None:
    paths = [write_run(tmp_path / f"{number}.npz", number, 20) for number in range(12)]
    assert "… and 2 more networks" in report(*paths).out


def test_a_name_from_a_file_does_not_steer_the_terminal(report: Report, tmp_path: Path) -> None:
    write_run(tmp_path / "b0.npz", 10, 20, record=run_record(model={"weights": "\x1b[2J\nns"}))
    assert "\x1b" not in report("b0.npz").out
