"""Every contradiction in the tables is marked."""

import dataclasses
import json

import pytest

from effconvert.reference_tables.disagreements import Disagreement, _disagreement, differ, find_disagreements
from effconvert.reference_tables.numbers import read_numbers

FOUND = find_disagreements()


def the(variant: str, weights: str, quantity: str, size: int) -> Disagreement:
    (found,) = (
        each
        for each in FOUND
        if (each.variant, each.weights, each.quantity, each.size) == (variant, weights, quantity, size)
    )
    return found


def test_every_disagreement_says_why() -> None:
    assert FOUND
    assert [found for found in FOUND if not found.marked] == []
    assert all(found.marked == bool(found.reasons) for found in FOUND)


def test_noisy_students_b0_of_mmpretrain_is_one() -> None:
    found = the("b0", "ns", "top1", 224)
    assert (found.low, found.high) == (77.63, 78.8)
    assert any("raw weights" in reason for reason in found.reasons)


def test_the_swapped_operations_of_l2_are_one_at_either_size() -> None:
    for size in (475, 800):
        found = the("l2", "", "operations", size)
        assert {number.source for number in found.numbers} == {"mmpretrain"}
        assert any("swapped" in reason for reason in found.reasons)


def test_edgetpu_before_and_after_timm_moved_the_stride_is_one() -> None:
    for variant, size in (("edgetpu-s", 224), ("edgetpu-m", 240)):
        found = the(variant, "base", "top1", size)
        assert {"readme", "timm", "timm-documents"} == {number.source for number in found.numbers}
        assert any("stride" in reason for reason in found.reasons)


def test_these_and_no_others_differ() -> None:
    assert {(found.variant, found.weights, found.quantity) for found in FOUND} == {
        *((f"b{number}", "aa", "top1") for number in (0, 3, 5)),
        ("b0", "advprop", "top1"),
        ("b0", "ns", "top1"),
        ("cc-b0-4e", "base", "top1"),
        ("edgetpu-s", "base", "top1"),
        ("edgetpu-m", "base", "top1"),
        ("b2", "", "parameters"),
        ("l2", "", "operations"),
        *((f"lite{number}", "", "operations") for number in range(5)),
    }


def test_counts_by_different_conventions_are_not_compared() -> None:
    counted = {
        number.convention for number in read_numbers() if (number.variant, number.quantity) == ("b0", "parameters")
    }
    assert counted == {"trainable", "with-statistics", "keras"}
    assert not [found for found in FOUND if (found.variant, found.quantity) == ("b0", "parameters")]


@pytest.mark.parametrize(("change", "differs"), [(0.4, False), (0.401, True), (-0.4, False), (-0.401, True)])
def test_an_accuracy_may_differ_by_what_preprocessing_explains(change: float, differs: bool) -> None:
    number = next(each for each in read_numbers() if each.dataset)
    exact = dataclasses.replace(number, value=77.0, step=0.0)
    other = dataclasses.replace(exact, value=77.0 + change)
    assert differ([exact, other]) == differs


@pytest.mark.parametrize(("value", "differs"), [(5_250_000, False), (5_350_000, False), (5_350_001, True)])
def test_a_cost_may_differ_by_its_rounding(value: int, differs: bool) -> None:
    number = next(each for each in read_numbers() if each.quantity == "parameters")
    printed = dataclasses.replace(number, value=5_300_000, step=100_000)
    assert differ([printed, dataclasses.replace(number, value=value, step=0)]) == differs


def test_it_is_plain_for_json() -> None:
    for found in FOUND:
        values = found.to_dict()
        assert json.loads(json.dumps(values, allow_nan=False)) == values


def test_a_note_on_one_number_explains_no_difference_between_two_others() -> None:
    doubted, one = (
        number for number in the("b0", "ns", "top1", 224).numbers if number.source in ("mmpretrain", "timm")
    )
    doubted, one = (doubted, one) if not doubted.decides else (one, doubted)
    other = dataclasses.replace(one, value=float(one.value) + 1, note="")
    key = ("b0", "ns", "top1", "imagenet", "float32", 224, "")
    assert _disagreement(key, [doubted, one]).marked
    assert not _disagreement(key, [doubted, one, other]).marked
