"""Public results in Python: one line in a shell, a small table in a notebook, rows for a data frame."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import effconvert
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from effconvert.preprocessing.recipes import recipe_for
from effconvert.shown import Shown
from effconvert.validate import EvaluationRun, judge, summarise
from effconvert.validate.accuracy.statistics import Proportion
from helpers.validate.made_predictions import predictions, scored

HOSTILE = "<script>alert(1)&\x1b[2J"
IMAGES = effconvert.Images(size=64)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shown]:
    """A result of every public kind; those of files are of files with a hostile name."""
    folder = tmp_path_factory.mktemp("results")
    source, written, other = (folder / f"{HOSTILE}{suffix}" for suffix in (".pth", ".safetensors", " other.pth"))
    network = calibrate(random_weights(effconvert.create_model("b0", classes=10)), synthetic_images(8, 64, 64))
    state = network.state_dict()
    torch.save(state, source)
    torch.save(state | {"head.fc.bias": state["head.fc.bias"] + 1}, other)
    report = effconvert.convert(source, written)
    with effconvert.open_checkpoint(source) as checkpoint:
        pass
    run = scored(3, 5)
    return {
        "conversion": report,
        "checkpoint": checkpoint,
        "inspection": effconvert.inspect(source),
        "equal": effconvert.diff(source, written),
        "different": effconvert.diff(source, other),
        "verification": effconvert.verify(written, source, images=IMAGES, float64=False),
        "cost of a file": effconvert.cost(written),
        "cost": effconvert.cost(variant="b1"),
        "recipe": recipe_for("timm", "b0"),
        "run": EvaluationRun(folder / f"{HOSTILE}.npz", 0, run),
        "predictions": run,
        "summary": summarise(run),
        "judgement": judge(run),
    }


@pytest.mark.xdist_group("shown")
def test_each_is_one_printable_line_of_its_own(shown: dict[str, Shown]) -> None:
    for name, result in shown.items():
        line = repr(result)
        assert re.fullmatch(r"<\w+ .+>", line), name
        assert line.isprintable(), name
        assert len(re.sub(r"/\S*/", "", line)) < 300, name


@pytest.mark.xdist_group("shown")
def test_each_is_a_small_table_in_which_a_file_s_name_is_only_text(shown: dict[str, Shown]) -> None:
    for name, result in shown.items():
        html = result._repr_html_()
        assert "<script" not in html, name
        assert "\x1b" not in html, name
        tags = re.findall(r"</?([a-z]+)>", html)
        assert set(tags) <= {"p", "strong", "table", "thead", "tbody", "tr", "th", "td", "code"}, name
        assert all(html.count(f"<{tag}>") == html.count(f"</{tag}>") for tag in set(tags)), name
        assert html.count("<tr>") <= 21, name


def test_rows_are_plain_values_under_the_same_names(shown: dict[str, Shown]) -> None:
    for name, result in shown.items():
        rows = result.to_rows()
        assert len({tuple(row) for row in rows}) == min(1, len(rows)), name
        json.dumps(rows)
        assert not any(isinstance(value, dict | list | np.generic) for row in rows for value in row.values()), name
    assert [name for name, result in shown.items() if not result.to_rows()] == ["equal"]


def test_what_is_in_the_rows(shown: dict[str, Shown]) -> None:
    (bias,) = shown["different"].to_rows()
    assert (bias["tensor"], bias["largest"], bias["only_in"]) == ("head.fc.bias", pytest.approx(1), None)
    layers = shown["verification"].to_rows()
    assert {row["framework"].partition(" ")[0] for row in layers} == {"canonical"}
    assert all(row["relative"] <= row["allowed"] and row["passed"] for row in layers)
    (run,) = shown["run"].to_rows()
    assert (run["images"], run["top1"]) == (5, 60)
    assert run["top1_low"] < 60 < run["top1_high"]
    assert sum(row["top1"] for row in shown["predictions"].to_rows()) == 3
    figures = shown["cost"].to_rows()
    assert {"parameters", "operations"} == {row["quantity"] for row in figures}


def test_a_run_without_labels_is_shown_too(tmp_path: Path) -> None:
    run = EvaluationRun(tmp_path / "x.npz", 0, predictions([1, 2], [[], []]))
    assert "2 images without labels" in repr(run)
    assert run.to_rows()[0]["top1"] is None


def test_proportions_say_their_interval() -> None:
    assert repr(Proportion(17, 20)) == "<Proportion 85 %, 17 of 20 (95 %: 64 to 95)>"
    assert "0 of 0" in repr(Proportion(0, 0))


def test_the_file_of_a_verification_can_be_reported(shown: dict[str, Shown], tmp_path: Path) -> None:
    from effconvert.report.document import build_report

    verification = shown["verification"]
    assert isinstance(verification, effconvert.Verification)
    file = tmp_path / "verification.json"
    file.write_text(json.dumps(verification.to_dict()))
    assert build_report([], [file])
