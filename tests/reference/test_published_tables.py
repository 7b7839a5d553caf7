"""The tables of reference/ cover all publications, and every row names its source."""

import csv
import tomllib
from importlib.resources import files

import pytest

from effconvert.architecture.variants import VARIANTS
from effconvert.hub.catalogue import catalogue_rows, published_accuracy
from effconvert.reference_tables.accuracy import accuracy_table
from effconvert.reference_tables.cost import cost_table
from effconvert.reference_tables.published_weights import choose
from effconvert.reference_tables.weights import weights_table

BUCKET = "https://storage.googleapis.com/cloud-tpu-checkpoints/efficientnet/"
TABLES = ["weights.csv", "accuracy.csv", "cost.csv"]
ARCHIVES = [row for row in weights_table() if row.framework == "tensorflow"]


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(files("effconvert.reference").joinpath(name).read_text().splitlines()))


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_its_source_and_no_cell_too_many(name: str) -> None:
    for row in rows(name):
        assert row["source"].strip()
        assert None not in row
        assert None not in row.values()


def test_every_recipe_has_its_source() -> None:
    tables = tomllib.loads(files("effconvert.reference").joinpath("recipes.toml").read_text())
    assert all(table["source"] for name, table in tables.items() if name != "schema")


@pytest.mark.parametrize("name", TABLES)
def test_every_variant_has_rows_and_no_other_has(name: str) -> None:
    assert {row["variant"] for row in rows(name)} == set(VARIANTS)


def test_all_47_archives_are_listed_once() -> None:
    table = ARCHIVES
    assert len(table) == len({(row.variant, row.weights) for row in table}) == len({row.url for row in table}) == 47
    counts = {weights: sum(row.weights == weights for row in table) for weights in {row.weights for row in table}}
    assert counts == {"base": 6 + 3 + 3 + 5, "aa": 8, "ra": 3, "advprop": 9, "ns": 9, "ns-475": 1}


@pytest.mark.parametrize(
    ("variant", "weights", "path"),
    [
        ("b0", "base", "ckpts/efficientnet-b0.tar.gz"),
        ("b7", "aa", "ckptsaug/efficientnet-b7.tar.gz"),
        ("b5", "ra", "randaug/efficientnet-b5-randaug.tar.gz"),
        ("b8", "advprop", "advprop/efficientnet-b8.tar.gz"),
        ("b1", "ns", "noisystudent/noisy_student_efficientnet-b1.tar.gz"),
        ("l2", "ns-475", "noisystudent/noisy_student_efficientnet-l2_475.tar.gz"),
        ("cc-b1-8e", "base", "condconv/efficientnet-condconv-b0-8e-depth.tar.gz"),
        ("edgetpu-m", "base", "efficientnet-edgetpu-M.tar.gz"),
        ("lite4", "base", "lite/efficientnet-lite4.tar.gz"),
    ],
)
def test_urls_are_those_of_the_readmes(variant: str, weights: str, path: str) -> None:
    (row,) = (row for row in ARCHIVES if (row.variant, row.weights) == (variant, weights))
    assert row.url == BUCKET + path


def test_weights_are_for_the_variants_own_resolution_but_l2_475() -> None:
    others = {(row.variant, row.size) for row in ARCHIVES if row.size != VARIANTS[row.variant].resolution}
    assert others == {("l2", 475)}


def test_releases_rise_with_their_dates() -> None:
    for framework in ("tensorflow", "mmpretrain"):
        dates = {row.release: row.released for row in weights_table() if row.framework == framework}
        assert all(dates.values())
        assert [dates[release] for release in sorted(dates)] == sorted(dates.values())


def test_the_readme_has_a_top1_for_every_archive_it_lists() -> None:
    listed = {(row.variant, row.weights) for row in accuracy_table() if row.kind == "readme"}
    assert {(row.variant, row.weights) for row in ARCHIVES} - listed == {("b8", "ra")}


@pytest.mark.parametrize(
    ("variant", "weights", "top1"),
    [("b0", "aa", 77.1), ("b7", "ra", 84.7), ("b8", "ra", 85.4), ("l2", "ns", 88.4), ("edgetpu-s", "base", 77.23)],
)
def test_the_accuracy_of_the_readme_is_the_published_one(variant: str, weights: str, top1: float) -> None:
    accuracy = published_accuracy(choose(variant, weights))
    assert accuracy is not None
    assert accuracy.top1 == top1


def test_accuracies_are_percentages() -> None:
    for row in accuracy_table():
        assert 70 < row.top1 < (row.top5 or 100) <= 100


def test_a_measured_accuracy_lies_near_the_published_one() -> None:
    readme = {(row.variant, row.weights): row.top1 for row in accuracy_table() if row.kind == "readme"}
    measured = [row for row in accuracy_table() if row.kind == "timm" and (row.variant, row.weights) in readme]
    assert len(measured) == 46
    assert all(abs(row.top1 - readme[row.variant, row.weights]) < 0.7 for row in measured)


def test_parameters_agree_with_every_readme() -> None:
    counted = {row.variant: row.parameters or 0 for row in cost_table() if row.kind == "graph"}
    published = [row for row in cost_table() if row.kind == "readme"]
    assert len(published) == 10
    assert all(abs((row.parameters or 0) - counted[row.variant]) <= row.parameters_step / 2 for row in published)


def test_the_catalogue_has_every_archive_with_its_cost_and_accuracy() -> None:
    table = {(row.variant, row.weights): row for row in catalogue_rows(["tensorflow"])}
    assert len(table) == len(ARCHIVES)
    assert all(row.top1 and row.accuracy_source for row in table.values())
    assert table["b0", "aa"].parameters == 5_288_548
    assert table["l2", "ns-475"].macs < table["l2", "ns"].macs / 2
    assert list(table)[:3] == [("b0", "base"), ("b0", "aa"), ("b0", "advprop")]
