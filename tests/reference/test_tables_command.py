"""`effconvert tables`: every published number with its source, as printed, and the disagreements of sources."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from effconvert.reference_tables.disagreements import find_disagreements
from effconvert.reference_tables.numbers import read_numbers
from effconvert.reference_tables.sources import read_sources
from helpers.running import Ran


def cells(ran: Ran, begin: str) -> list[list[str]]:
    """Return the cells of the lines that begin so."""
    return [line.split() for line in ran.out.splitlines() if line.startswith(begin)]


def test_without_an_option_every_source_is_counted(run: Callable[..., Ran]) -> None:
    ran = run("tables")
    counted = {name: sum(map(int, line[1:4])) for name in read_sources() for line in cells(ran, f"{name} ")}
    assert counted.keys() == read_sources().keys()
    assert sum(counted.values()) == len(read_numbers())


def test_a_variant_is_shown_with_its_accuracies_as_they_were_printed(run: Callable[..., Ran]) -> None:
    lines = cells(run("tables", "--variant", "lite0", "--source", "readme"), "lite0")
    assert ["lite0", "base", "imagenet", "224", "75.1", "-", "readme", "tf-official-lite", "yes", "1"] in lines
    assert ["lite0", "base", "imagenet,", "int8", "224", "74.4", "-", "readme", "no", "2"] in lines


def test_the_notes_and_addresses_of_what_is_shown_stand_below(run: Callable[..., Ran]) -> None:
    ran = run("tables", "--variant", "b0", "--weights", "ns", "--quantity", "accuracy")
    assert "raw weights it seems: 1.2 below tensorflow/tpu" in ran.out
    assert read_sources()["mmpretrain"].url in ran.out
    assert read_sources()["keras"].url not in ran.out


def test_swapped_operations_are_shown_with_the_size_that_they_are_of(run: Callable[..., Ran]) -> None:
    ran = run("tables", "--variant", "l2", "--quantity", "cost", "--source", "mmpretrain")
    assert "800 (is of 475)" in ran.out
    assert "the table has its two rows of L2 swapped" in ran.out


def test_a_file_is_shown_with_address_size_and_hash(run: Callable[..., Ran]) -> None:
    ran = run("tables", "--variant", "cc-b0-4e", "--source", "timm", "--quantity", "files")
    assert "tf_efficientnet_cc_b0_4e-4362b6b2.pth" in ran.out
    assert "crop 0.875, interpolation bicubic" in ran.out
    assert "53,490,940 bytes, SHA-256 4362b6b2" in ran.out


def test_all_disagreements_are_shown(run: Callable[..., Ran]) -> None:
    ran = run("tables", "--disagreements")
    shown = [
        line
        for line in ran.out.splitlines()
        if "; " in line and line.split()[0] in {d.variant for d in find_disagreements()}
    ]
    assert len(shown) == len(find_disagreements())
    assert "not explained" not in "".join(shown)


def test_the_csv_has_every_number_in_a_line_of_its_own(run: Callable[..., Ran], tmp_path: Path) -> None:
    assert run("tables", "--csv", tmp_path / "all.csv").exit_code == 0
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert len(rows) == len(read_numbers())
    assert [row["source"] for row in rows] == [number.source for number in read_numbers()]
    assert run("tables", "--csv", tmp_path / "all.csv").exit_code == 8


def test_the_json_has_numbers_disagreements_and_sources(run: Callable[..., Ran]) -> None:
    found = json.loads(
        run("tables", "--variant", "b0", "--dataset", "imagenet-real", "--quantity", "accuracy", "--json").out
    )
    assert found["schema"] == "effconvert/tables/1"
    assert {number["dataset"] for number in found["numbers"]} == {"imagenet-real"}
    assert [source["id"] for source in found["sources"]] == ["timm"]


@pytest.mark.parametrize(("option", "known"), [("--source", "mindvision-log"), ("--weights", "advprop"), ("--dataset", "imagenet-a")])  # fmt: skip
def test_what_no_number_has_is_a_usage_error_with_what_there_is(
    run: Callable[..., Ran], option: str, known: str
) -> None:
    ran = run("tables", option, "no-such")
    assert ran.exit_code == 2
    assert known in ran.err


def test_the_csv_of_disagreements_has_them_and_no_other_number(run: Callable[..., Ran], tmp_path: Path) -> None:
    ran = run("tables", "--disagreements", "--csv", tmp_path / "apart.csv")
    rows = list(csv.DictReader((tmp_path / "apart.csv").read_text().splitlines()))
    assert [(row["variant"], row["quantity"]) for row in rows] == [
        (d.variant, d.quantity) for d in find_disagreements()
    ]
    assert "mmpretrain 77.63" in next(row["numbers"] for row in rows if row["weights"] == "ns")
    assert "16 disagreements" in ran.out


def test_a_variant_whose_sources_agree_says_so(run: Callable[..., Ran]) -> None:
    assert run("tables", "--disagreements", "--variant", "b1").out == "no sources disagree\n"
