"""`effconvert cost` on the command line."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from effconvert.architecture.canonical import default_facts, tensor_shapes
from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import VARIANTS
from effconvert.reference_tables.cost import cost_table
from effconvert.validate import cost_report
from helpers.running import Ran

Run = Callable[..., Ran]
B0 = VARIANTS["b0"]


def lines_with(ran: Ran, word: str) -> list[list[str]]:
    return [line.split() for line in ran.out.splitlines() if word in line.split()]


def canonical_file(path: Path, facts: Facts) -> Path:
    """Write a B0 of this project's own layout, all ones, without a description."""
    save_file({name: np.ones(shape, np.float32) for name, shape in tensor_shapes(B0, facts).items()}, path)
    return path


def test_all_variants_have_a_line_each_and_what_differs_stands_below(run: Run) -> None:
    ran = run("cost")
    assert (ran.exit_code, ran.err) == (0, "")
    table, _, differing = ran.out.partition("\n\n")
    assert [line.split()[0] for line in table.splitlines()[2:]] == list(VARIANTS)
    assert "swapped" in differing
    assert "not explained" in differing
    assert "b0" not in differing


def test_one_variant_shows_every_convention_and_every_published_figure(run: Run) -> None:
    ran = run("cost", "--variant", "efficientnet-b0")
    assert ran.exit_code == 0
    assert "5,288,548 trainable, 5,330,564 with BatchNorm's statistics" in ran.out
    for name, figure in {"multiply-adds": "385,814,752", "mmpretrain-table": "420,592,480"}.items():
        assert [name, figure] in [line[:2] for line in lines_with(ran, name)]
    published = [row for row in cost_table() if row.variant == "b0"]
    expected = sum((row.parameters is not None) + (row.operations is not None) for row in published)
    assert len([line for line in ran.out.splitlines() if line.startswith("b0 ")]) == expected


def test_parameters_that_are_counted_otherwise_are_said_to_be(run: Run) -> None:
    lines = {
        line.split()[1]: line for line in run("cost", "--variant", "b0").out.splitlines() if "tatistics" in line[80:]
    }
    assert lines.keys() == {"keras-earlier", "keras", "mindspore"}
    assert "as Keras counts" in lines["keras-earlier"]
    assert "equal to the last digit, with BatchNorm's statistics and the 7 values that Keras" in lines["keras-earlier"]
    assert "with statistics" in lines["mindspore"]


def test_the_rows_of_l2_that_mmpretrain_has_swapped_are_said_to_be(run: Run) -> None:
    ran = run("cost", "--variant", "l2")
    assert ran.exit_code == 0
    assert ran.out.count("the table has its two rows of L2 swapped") == 2


def test_a_size_changes_the_conventions_and_not_what_was_published(run: Run) -> None:
    native, larger = (
        json.loads(run("cost", "--variant", "b0", "--json", *more).out)["networks"] for more in ((), ("--size", 225))
    )
    assert larger[0]["operations"]["fvcore-timm"] == 464_148_640
    assert native[0]["operations"] != larger[0]["operations"]
    assert native[0]["comparisons"] == larger[0]["comparisons"]


def test_the_json_has_what_a_program_needs(run: Run) -> None:
    found = json.loads(run("cost", "--variant", "lite0", "--json").out)
    assert found["schema"] == "effconvert/costs/1"
    (report,) = found["networks"]
    assert (report["variant"], report["size"], report["parameters"]) == ("lite0", 224, 4_652_008)
    (readme,) = [
        each for each in report["comparisons"] if each["row"]["kind"] == "readme" and each["quantity"] == "operations"
    ]
    assert readme["difference"] == readme["published"] - readme["ours"] == 407_000_000 - 385_187_552
    assert (readme["equal"], readme["failed"]) == (False, False)


def test_the_values_of_a_file_are_counted(run: Run, lite0: Path) -> None:
    (report,) = json.loads(run("cost", lite0, "--json").out)["networks"]
    assert (report["variant"], report["parameters"], report["size"]) == ("lite0", 4_652_008, 224)
    assert report["path"] == str(lite0)


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_other_classes_costs_its_own_and_is_not_held_against_published_parameters(
    run: Run, tmp_path: Path
) -> None:
    path = canonical_file(tmp_path / "own.safetensors", dataclasses.replace(default_facts(B0), classes=10))
    ran = run("cost", path)
    assert ran.exit_code == 0
    assert "b0, 10 classes" in ran.out
    assert f"{5_288_548 - 990 * 1281:,} trainable" in ran.out
    assert "Published figures are of the published classes" in ran.out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("channels", [1, 4])
def test_a_file_of_other_channels_costs_its_own_and_is_not_held_against_published_parameters(
    run: Run, tmp_path: Path, channels: int
) -> None:
    facts = dataclasses.replace(default_facts(B0), in_channels=channels)
    path = canonical_file(tmp_path / "own.safetensors", facts)
    ran = run("cost", path)
    assert ran.exit_code == 0, ran.err
    assert f"b0, 1,000 classes, {channels} input channel" in ran.out
    assert f"{5_288_548 + (channels - 3) * 32 * 9:,} trainable" in ran.out
    assert "and of three input channels" in ran.out
    (report,) = json.loads(run("cost", path, "--json").out)["networks"]
    multiply_adds = cost_report.report_cost(B0).operations["multiply-adds"]
    more = (channels - 3) * 32 * 9 * 112 * 112
    assert report["operations"]["multiply-adds"] == multiply_adds + more


def test_a_published_figure_that_is_not_ours_ends_with_exit_code_6(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [
        dataclasses.replace(row, operations=420_592_481) if (row.variant, row.kind) == ("b0", "mmpretrain") else row
        for row in cost_table()
    ]
    monkeypatch.setattr(cost_report, "cost_table", lambda: wrong)
    ran = run("cost", "--variant", "b0", "--quiet")
    assert (ran.exit_code, ran.out) == (6, "")
    assert "operations are 420,592,480" in ran.err
    assert "has 420,592,481" in ran.err
    assert "metafile.yml" in ran.err


def test_quiet_prints_nothing(run: Run) -> None:
    assert run("cost", "--variant", "b0", "--quiet") == Ran(0, "", "")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("--variant", "b9"), 2, "variant 'b9' is unknown"),
        (("missing.pth",), 2, "no such file"),
        (("missing.pth", "--variant", "b0"), 2, "FILE tells its variant"),
        (("--variant", "b0", "--size", "0"), 2, "--size"),
    ],
    ids=str,
)
def test_what_cannot_be_counted_is_said(run: Run, arguments: tuple[str, ...], exit_code: int, words: str) -> None:
    ran = run("cost", *arguments)
    assert ran.exit_code == exit_code
    assert words in ran.err


def test_help_imports_no_torch() -> None:
    code = (
        "import sys; from effconvert.cli import main\ntry: main(['cost', '--help'])\n"
        "finally: print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Example: effconvert cost --variant b0" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "[]"
