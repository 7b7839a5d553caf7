"""Every published accuracy names its preprocessing, and says whether it can be used for judging."""

from typing import Any

import pytest

from effconvert.preprocessing.recipes import recipe_for
from effconvert.reference_tables.accuracy import accuracy_table
from effconvert.reference_tables.published_weights import choose

ROWS = accuracy_table()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.variant}-{row.weights}-{row.kind}")
def test_its_preprocessing_is_known_at_its_size(row: Any) -> None:
    assert recipe_for(row.layout, row.variant, row.weights).size == row.size


def test_the_preprocessing_is_that_of_who_measured() -> None:
    layouts = {row.kind.partition("-")[0]: {each.layout for each in ROWS if each.kind == row.kind} for row in ROWS}
    assert layouts == {
        "readme": {"tf-official"},
        "paper": {"tf-official"},
        "timm": {"timm"},
        "mmpretrain": {"mmpretrain"},
        "mindspore": {"mindvision", "mindcv"},
        "torchvision": {"torchvision"},
        "mindvision": {"mindvision"},
        "keras": {"keras"},
        "lukemelas": {"lukemelas"},
    }


def test_a_row_of_timm_is_found_by_its_networks_tag() -> None:
    for row in ROWS:
        if row.kind == "timm":
            tag = row.source.split()[-1]
            assert choose(row.variant, tag, "timm") == choose(row.variant, row.weights, "timm")
            assert recipe_for("timm", row.variant, tag) == recipe_for("timm", row.variant, row.weights)


def test_what_does_not_decide_says_why() -> None:
    assert {row.decides for row in ROWS} == {"yes", "no", "top1"}
    assert all(row.note for row in ROWS if row.decides != "yes")


# Superseded, quoted from elsewhere, or not of all images.
UNTRUSTED = ("readme", "readme-text", "readme-condconv", "timm-documents", "mindvision-log", "keras", "lukemelas")


def test_only_what_is_known_to_be_wrong_or_superseded_does_not_decide() -> None:
    no = {(row.kind.partition("-before")[0], row.variant, row.weights) for row in ROWS if row.decides == "no"}
    assert {key for key in no if key[0] not in UNTRUSTED} == {
        ("mmpretrain", "b0", "ns"),
        ("timm", "edgetpu-s", "base"),
        ("timm", "edgetpu-m", "base"),
        ("timm", "edgetpu-l", "base"),
    }
    assert all(row.decides == "yes" for row in ROWS if row.kind in ("readme", "mindspore", "torchvision"))


def test_the_papers_top5_does_not_decide_and_its_top1_does() -> None:
    assert {row.decides for row in ROWS if row.kind == "paper"} == {"top1"}
    assert {row.kind for row in ROWS if row.decides == "top1"} == {"paper"}
