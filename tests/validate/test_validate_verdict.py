"""`effconvert validate` exits with 6 only if an accuracy differs too much from the published one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from effconvert.validate.accuracy import results
from effconvert.validate.cost_report import CostReport, report_cost
from helpers.image_sets import samples, write_class_folders
from helpers.running import Ran
from helpers.validate.asked_files import seeing, written
from helpers.validate.evaluated import SIZE, without_contrast

ANSWERED, OTHERS = 281, (65, 151)
# Of so many images of the class that the network always answers, and of so many others, 7 of 9 are right: 77.8 %.
RIGHT, WRONG = 7, 1

Verdict = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine images of ImageNet's validation set, by name and class; do not change it."""
    images = [*samples([ANSWERED], RIGHT), *samples(OTHERS, WRONG)]
    return write_class_folders(tmp_path_factory.mktemp("imagenet") / "val", images)


def file(folder: Path, answer: int) -> Path:
    """Write a Lite0 of ImageNet's classes that always gives that answer."""
    return written(without_contrast(seeing("lite0"), answer), folder / f"answers-{answer}.safetensors")


@pytest.fixture
def verdict(run: Callable[..., Ran], data: Path, tmp_path: Path) -> Verdict:
    """Return the exit code and the verdict on a network that always gives the same answer."""

    def verdict(answer: int, *arguments: Any, size: int | None = None) -> tuple[int, dict[str, Any]]:
        sized = ["--size", size] if size else []
        common = ["--data", data, "--partial", "--workers", 0, "--runs", tmp_path / "runs", "--json", *sized]
        ran = run("validate", file(tmp_path, answer), *common, *arguments)
        return ran.exit_code, dict(json.loads(ran.out)["results"][0]["verdict"])

    return verdict


def test_an_accuracy_that_was_published_is_0(verdict: Verdict) -> None:
    code, found = verdict(ANSWERED, "--weights", "base")
    assert (code, found["verdict"]) == (0, "same")
    (deciding,) = [source for source in found["sources"] if source["decides"]]
    assert deciding["own_preprocessing"]
    assert deciding["top1"]["measured"] == pytest.approx(100 * RIGHT / (RIGHT + 2 * WRONG))


def test_an_accuracy_that_is_away_is_6(verdict: Verdict) -> None:
    code, found = verdict(OTHERS[0], "--weights", "base")
    assert (code, found["verdict"], found["colour"]) == (6, "away", "red")


def test_an_accuracy_that_is_away_is_said_in_words(run: Callable[..., Ran], data: Path, tmp_path: Path) -> None:
    away = file(tmp_path, OTHERS[0])
    ran = run(
        "validate", away, "--data", data, "--partial", "--weights", "base", "--workers", 0, "--runs", tmp_path / "runs"
    )  # fmt: skip
    assert ran.exit_code == 6
    assert ran.out.splitlines()[-1].startswith("away: top-1 is 11 %, ")
    assert "9 of 50,000 images: the limits are wider" in ran.out


def test_the_network_that_is_away_decides_among_several(run: Callable[..., Ran], data: Path, tmp_path: Path) -> None:
    files = [file(tmp_path, answer) for answer in (ANSWERED, OTHERS[0])]
    ran = run(
        "validate", *files, "--data", data, "--partial", "--weights", "base", "--workers", 0,
        "--runs", tmp_path / "runs", "--quiet",
    )  # fmt: skip
    assert (ran.exit_code, ran.out, ran.err) == (6, "", "")


def test_weights_of_an_unknown_training_are_not_judged(verdict: Verdict) -> None:
    code, found = verdict(OTHERS[0], size=SIZE)
    assert (code, found["verdict"]) == (0, "not judged")
    assert "which training its weights are" in found["sentence"]


def test_another_size_than_the_published_is_not_judged(verdict: Verdict) -> None:
    code, found = verdict(OTHERS[0], "--weights", "base", size=SIZE)
    assert (code, found["verdict"]) == (0, "not judged")
    assert f"published at 224 pixels; this run is at {SIZE}" in found["sentence"]


def test_a_training_of_which_nothing_is_published_is_not_judged(
    run: Callable[..., Ran], data: Path, tmp_path: Path
) -> None:
    b0 = written(without_contrast(seeing("b0"), OTHERS[0]), tmp_path / "b0.safetensors")
    ran = run(
        "validate", b0, "--data", data, "--partial", "--weights", "ns-475", "--workers", 0, "--size", SIZE,
        "--runs", tmp_path / "runs",
    )  # fmt: skip
    assert ran.exit_code == 0
    assert ran.out.splitlines()[-1] == "not judged: no accuracy is published for b0 ns-475"


def test_sources_that_are_known_to_be_wrong_do_not_decide(run: Callable[..., Ran], data: Path, tmp_path: Path) -> None:
    """mmpretrain's B0 of NoisyStudent is listed far below what tensorflow/tpu publishes of it."""
    answers = written(without_contrast(seeing("b0"), ANSWERED), tmp_path / "b0.safetensors")
    ran = run(
        "validate", answers, "--data", data, "--partial", "--weights", "ns", "--workers", 0,
        "--runs", tmp_path / "runs", "--json",
    )  # fmt: skip
    sources = {source["kind"]: source for source in json.loads(ran.out)["results"][0]["verdict"]["sources"]}
    assert ran.exit_code == 0
    assert sources["readme"]["decides"]
    assert not sources["mmpretrain"]["decides"]
    assert "the source does not decide" in sources["mmpretrain"]["reason"]


def test_labels_of_other_people_are_not_judged(verdict: Verdict, data: Path, tmp_path: Path) -> None:
    lines = [f"{path.name} 0" for path in data.rglob("*.JPEG")]
    (tmp_path / "labels.txt").write_text("\n".join(lines))
    code, found = verdict(ANSWERED, "--weights", "base", "--labels", tmp_path / "labels.txt", size=SIZE)
    assert (code, found["verdict"]) == (0, "not judged")


def test_a_cost_that_is_not_the_published_one_is_6(verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CostReport, "failures", property(lambda report: report.comparisons[:1]))
    assert vars(results)["report_cost"] is report_cost
    code, found = verdict(ANSWERED, size=SIZE)
    assert (code, found["verdict"]) == (6, "not judged")


def test_what_is_not_judged_shows_what_was_published_and_no_difference(
    run: Callable[..., Ran], tmp_path: Path, data: Path
) -> None:
    files = [file(tmp_path, answer) for answer in (ANSWERED, OTHERS[0])]
    other = write_class_folders(tmp_path / "own", samples([ANSWERED], 1))
    for image in other.rglob("*.*"):
        image.rename(image.with_name(f"mine{image.suffix}"))
    ran = run(
        "validate", *files, "--data", other, "--weights", "base", "--workers", 0, "--runs", tmp_path / "runs"
    )  # fmt: skip
    assert ran.exit_code == 0, ran.err
    rows = [line.split() for line in ran.out.splitlines() if line.startswith("answers-") and "not judged" in line]
    assert [row[-2:] for row in rows[:2]] == [["not", "judged"]] * 2
    assert [(row[1], float(row[-4]) > 70, row[-3]) for row in rows[:2]] == [("1", True, "-")] * 2
    assert "Δ" not in ran.out
    reasons = [line for line in ran.out.splitlines() if ": not judged: " in line]
    assert len(reasons) == 1
    assert reasons[0].startswith(f"{files[0]}, {files[1]}: ")
