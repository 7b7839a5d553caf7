"""Every number in the tables of three libraries is in reference/, as they print it."""

import csv
import gzip
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from effconvert.reference_tables.numbers import Number, read_numbers

TABLES = Path(__file__).parents[1] / "golden" / "seed_tables"
NUMBERS = read_numbers()


def rows(name: str) -> list[list[str]]:
    """Return the cells of a Markdown table's rows that name a network."""
    lines = (TABLES / name).read_text().splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [cells for cells in table if "efficientnet" in cells[0]]


def link(cell: str) -> str:
    """Return where a Markdown link goes."""
    match = re.search(r"\]\((.+)\)", cell)
    assert match
    return match[1]


def of(model: str, **asked: object) -> Iterator[Number]:
    return (
        number
        for number in NUMBERS
        if number.model == model and all(getattr(number, name) == value for name, value in asked.items())
    )


def only(model: str, **asked: object) -> Number:
    (number,) = of(model, **asked)
    return number


def printed(number: Number, unit: str, places: str) -> str:
    """Return a number as a table with fewer digits prints it."""
    return str((Decimal(str(number.value)) / Decimal(unit)).quantize(Decimal(places)))


MMPRETRAIN = [(cells[0].strip("`\\*"), *cells[2:6], link(cells[7])) for cells in rows("mmpretrain.md")]
MINDVISION = [(cells[0], *cells[1:4], link(cells[5])) for cells in rows("mindvision.md")]
CONDCONV = {
    model["Name"]: model["Metadata"] for model in yaml.safe_load((TABLES / "timm-condconv.yaml").read_text())["Models"]
}


def test_the_tables_are_whole() -> None:
    assert (len(MMPRETRAIN), len(MINDVISION), len(CONDCONV)) == (33, 8, 3)


@pytest.mark.parametrize("row", MMPRETRAIN, ids=lambda row: row[0])
def test_a_row_of_mmpretrain_is_found(row: Any) -> None:
    model, parameters, operations, top1, top5, url = row
    file = only(model, quantity="url")
    assert file.value == url
    for metric, value in (("top1", top1), ("top5", top5)):
        assert only(model, quantity=metric).value == float(value)
    for quantity, unit, value in (("parameters", "1e6", parameters), ("operations", "1e9", operations)):
        assert printed(cost_of(file, quantity), unit, "0.01") == value


def cost_of(file: Number, quantity: str) -> Number:
    """Return what the source of a file publishes of every training of its network at its size."""
    (number,) = (
        each
        for each in NUMBERS
        if (each.source, each.variant, each.size, each.quantity) == (file.source, file.variant, file.size, quantity)
    )
    return number


@pytest.mark.parametrize(("size", "other"), [(475, 800), (800, 475)])
def test_the_two_rows_of_l2_are_as_published_and_marked_as_swapped(size: int, other: int) -> None:
    number = cost_of(only(f"efficientnet-l2_3rdparty-ra-noisystudent_in1k-{size}px", quantity="url"), "operations")
    assert number.counted_size == other
    assert "swapped" in number.note


@pytest.mark.parametrize("row", MINDVISION, ids=lambda row: row[0])
def test_a_row_of_mindvision_is_found(row: Any) -> None:
    model, top1, top5, tensorflow, url = row
    assert only(model, source="mindspore", weights="mindvision", quantity="top1").value == float(top1)
    assert only(model, source="mindspore", weights="mindvision", quantity="top5").value == float(top5)
    assert only(model, source="mindvision-tensorflow", quantity="top1").value == float(tensorflow)
    assert only(model, weights="mindvision", quantity="url").value == url


def test_mindvisions_log_is_found_to_its_last_digit() -> None:
    text = (TABLES / "mindvision.md").read_text()
    for metric, name in (("top1", "Top_1_Accuracy"), ("top5", "Top_5_Accuracy")):
        match = re.search(rf"'{name}': ([0-9.]+)", text)
        assert match
        number = only("efficientnet_b0", source="mindvision-log", quantity=metric)
        assert number.value == float(Decimal(match[1]) * 100)


@pytest.mark.parametrize("name", CONDCONV)
def test_a_model_of_condconv_is_found(name: str) -> None:
    said = CONDCONV[name]
    assert only(name, source="timm-documents", quantity="operations").value == said["FLOPs"]
    found = {number.quantity: number.value for number in of(name, dataset="")}
    assert found["file bytes"] == said["File Size"]
    assert found["resolution"] == int(said["Image Size"])
    assert found["crop"] == float(said["Crop Pct"])
    assert found["interpolation"] == said["Interpolation"]


def test_timms_results_are_whole() -> None:
    text = gzip.decompress((TABLES / "timm_results.csv.gz").read_bytes()).decode()
    said = {
        (row["model"], row["dataset"].replace("sketch", "imagenet-sketch"), int(row["img_size"]), metric): row[metric]
        for row in csv.DictReader(text.splitlines())
        for metric in ("top1", "top5")
    }
    found = {
        (number.model, number.dataset, number.size, number.quantity): f"{number.value:.3f}"
        for number in NUMBERS
        if number.source == "timm" and number.dataset
    }
    assert found == said
    assert len(found) == 65 * 6 * 2


def test_timms_parameters_are_those_of_its_results() -> None:
    text = gzip.decompress((TABLES / "timm_results.csv.gz").read_bytes()).decode()
    said = {row["model"]: row["param_count"] for row in csv.DictReader(text.splitlines())}
    for number in NUMBERS:
        if (number.source, number.quantity) == ("timm", "parameters"):
            assert printed(number, "1e6", "0.01") == said[number.model]
