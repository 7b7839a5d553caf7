"""Two layers differ by their largest difference; a missing layer, or values that are not finite, never pass."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effconvert.verification.comparison import (
    END_TO_END,
    ISOLATED,
    TOLERANCES,
    Comparison,
    LayerDifference,
    Tolerance,
    agreement,
    difference,
    relative_difference,
    would_pass,
)

REFERENCE = np.array([[1.0, -4.0], [2.0, 3.0]], np.float32)


def compared(reference: np.ndarray, found: np.ndarray, allowed: float = 1e-5) -> LayerDifference:
    return difference("stem", END_TO_END, reference, found, allowed)


def with_value(value: float, *at: int) -> np.ndarray:
    array = REFERENCE.copy()
    array[at] = value
    return array


def test_the_largest_difference_is_in_shares_of_the_references_largest_value() -> None:
    row = compared(REFERENCE, with_value(2.5, 1, 0))
    assert (row.largest, row.mean, row.scale, row.relative, row.at) == (0.5, 0.125, 4.0, 0.125, (1, 0))


def test_the_scale_is_the_references_and_not_the_others() -> None:
    assert relative_difference(10 * REFERENCE, REFERENCE) == 9.0
    assert relative_difference(REFERENCE, 10 * REFERENCE) == 0.9


def test_the_cosine_is_that_of_both_outputs_as_vectors() -> None:
    assert compared(REFERENCE, REFERENCE).cosine == pytest.approx(1)
    assert compared(REFERENCE, -REFERENCE).cosine == pytest.approx(-1)
    assert compared(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])).cosine == 0


def test_differences_are_taken_in_float64() -> None:
    reference, found = np.array([[1.0, 3e38]], np.float32), np.array([[1.0, -3e38]], np.float32)
    assert compared(reference, found).relative == pytest.approx(2)


def test_a_row_passes_up_to_and_with_its_tolerance() -> None:
    found = with_value(2.5, 1, 0)
    assert compared(REFERENCE, found, allowed=0.125).passed
    assert not compared(REFERENCE, found, allowed=math.nextafter(0.125, 0)).passed


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_counted_placed_and_never_passes(value: float) -> None:
    row = compared(REFERENCE, with_value(value, 0, 1), allowed=math.inf)
    assert (row.not_finite, row.at, row.passed) == ((0, 1), (0, 1), False)
    assert math.isnan(row.relative)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_neither_side_has_finite_at_the_same_place_does_not_pass(value: float) -> None:
    both = with_value(value, 1, 1)
    row = compared(both, both, allowed=math.inf)
    assert (row.not_finite, row.at, row.passed) == ((1, 1), (1, 1), False)


def test_infinities_of_both_signs_at_one_place_give_no_warning_and_no_pass() -> None:
    row = compared(with_value(math.inf, 0, 0), with_value(-math.inf, 0, 0))
    assert (row.not_finite, row.passed) == ((1, 1), False)


def test_a_reference_of_zeros_passes_with_zeros_alone() -> None:
    zeros = np.zeros((2, 2), np.float32)
    equal, other = compared(zeros, zeros), compared(zeros, np.full((2, 2), np.float32(1e-30)))
    assert (equal.relative, equal.cosine, equal.passed) == (0.0, 1.0, True)
    assert (other.relative, other.cosine, other.passed) == (math.inf, 0.0, False)


def test_another_shape_is_a_difference_without_a_size() -> None:
    row = compared(REFERENCE, REFERENCE[:, :1], allowed=math.inf)
    assert (row.shapes, row.passed) == (((2, 2), (2, 1)), False)
    assert math.isnan(row.relative)


def test_a_row_without_numbers_is_null_in_json() -> None:
    row = compared(REFERENCE, with_value(math.nan, 0, 0)).to_dict()
    assert (row["largest"], row["relative"], row["cosine"], row["passed"]) == (None, None, None, False)


def previous(value: float) -> float:
    """The next smaller number of two digits."""
    digits, exponent = f"{value:.1e}".split("e")
    tenths = round(float(digits) * 10) - 1
    return float(f"{tenths}e{int(exponent) - 1}" if tenths > 9 else f"99e{int(exponent) - 2}")


@given(st.floats(1e-300, 1e6))
def test_what_would_have_passed_passes_and_the_next_smaller_does_not(value: float) -> None:
    tolerance = would_pass(value)
    assert previous(tolerance) < value <= tolerance


@pytest.mark.parametrize(("value", "tolerance"), [(2e-5, 2e-5), (9.9e-08, 9.9e-08), (2.01e-5, 2.1e-5), (9.91e-6, 1e-5)])
def test_a_tolerance_of_two_digits_is_its_own(value: float, tolerance: float) -> None:
    assert would_pass(value) == tolerance


def test_nothing_finite_would_have_passed_an_infinite_difference() -> None:
    assert would_pass(math.inf) == math.inf
    assert math.isnan(would_pass(math.nan))
    assert would_pass(0.0) == 0.0


def row(layer: str, mode: str, relative: float, allowed: float = 1e-5) -> LayerDifference:
    return LayerDifference(layer, mode, relative, relative, 1.0, relative, 1.0, (0,), (0, 0), allowed)


def rows(*found: tuple[str, float, float]) -> Comparison:
    """Layers with their accumulated and their fed difference."""
    table = [
        row(name, mode, number)
        for name, *both in found
        for mode, number in zip((END_TO_END, ISOLATED), both, strict=True)
    ]
    return Comparison(tuple(table), {}, None, None)


def test_a_layer_that_diverges_in_isolation_comes_before_an_earlier_one_that_only_propagates() -> None:
    first = rows(("stem", 0, 0), ("blocks.0", 3e-5, 5e-6), ("blocks.1", 9e-3, 8e-3), ("logits", 9e-3, 0)).first
    assert first is not None
    assert (first.layer, first.mode) == ("blocks.1", ISOLATED)


def test_where_no_layer_diverges_in_isolation_the_first_beyond_its_tolerance_is_named() -> None:
    first = rows(("stem", 0, 0), ("blocks.0", 3e-5, 5e-6), ("blocks.1", 9e-5, 5e-6), ("logits", 9e-5, 0)).first
    assert first is not None
    assert (first.layer, first.mode) == ("blocks.0", END_TO_END)


def test_of_several_diverging_layers_the_first_is_named() -> None:
    first = rows(("stem", 0, 0), ("blocks.0", 1, 1), ("blocks.1", 1, 1), ("logits", 1, 1)).first
    assert first is not None
    assert first.layer == "blocks.0"


def test_the_first_that_is_not_finite_comes_before_larger_differences_after_it() -> None:
    first = rows(("stem", 0, 0), ("blocks.0", math.nan, math.nan), ("logits", math.inf, math.inf)).first
    assert first is not None
    assert first.layer == "blocks.0"


def test_where_all_pass_there_is_no_first() -> None:
    found = rows(("stem", 1e-6, 1e-6), ("logits", 1e-6, 1e-6))
    assert (found.first, found.same) == (None, True)


@pytest.mark.parametrize("failing", range(4))
def test_one_row_that_fails_in_either_mode_is_a_difference(failing: int) -> None:
    table = [row(name, mode, 0) for name in ("stem", "logits") for mode in (END_TO_END, ISOLATED)]
    table[failing] = row(table[failing].layer, table[failing].mode, 1.1e-5)
    assert not Comparison(tuple(table), {}, 1.0, 1.0).same


def test_the_worst_row_is_the_nearest_to_its_own_tolerance() -> None:
    table = (
        row("stem", END_TO_END, 1e-5, 2e-5),
        row("stem", ISOLATED, 9e-6, 1e-5),
        row("logits", END_TO_END, 1.5e-5, 2e-5),
    )
    assert Comparison(table, {}, None, None).worst == table[1]


def test_the_worst_row_is_that_without_a_number() -> None:
    table = (row("stem", END_TO_END, 1e3), row("blocks.0", END_TO_END, math.nan), row("logits", END_TO_END, 1e4))
    assert Comparison(table, {}, None, None).worst.layer == "blocks.0"


def test_nothing_compared_is_no_pass() -> None:
    assert not Comparison((), {}, 1.0, 1.0).same


@pytest.mark.parametrize("layer", ["stem", "blocks.3", "head", "pooled", "logits"])
@pytest.mark.parametrize("side", ["reference", "converted"])
def test_only_pooled_features_may_be_had_by_one_side_and_that_is_the_converted(layer: str, side: str) -> None:
    table = (row("blocks.0", END_TO_END, 0), row("blocks.1", END_TO_END, 0))
    assert Comparison(table, {layer: side}, None, None).same is ((layer, side) == ("pooled", "converted"))


def test_backbones_that_end_in_their_last_block_are_compared_to_their_end() -> None:
    assert Comparison((row("stem", END_TO_END, 0), row("blocks.15", END_TO_END, 0)), {}, None, None).same


def test_agreement_is_the_share_of_images_with_the_same_classes() -> None:
    reference = np.array([[3.0, 2, 1, 0], [3, 2, 1, 0]])
    found = np.array([[2.0, 3, 1, 0], [3, 2, 0, 1]])
    assert (agreement(reference, found, 1), agreement(reference, found, 2), agreement(reference, found, 3)) == (
        0.5,
        1.0,
        0.5,
    )


def test_the_tolerance_of_a_mode_is_its_own() -> None:
    tolerance = Tolerance(2e-5, 1e-5)
    assert (tolerance.of(END_TO_END), tolerance.of(ISOLATED)) == (2e-5, 1e-5)


def test_float32_is_held_to_two_in_a_hundred_thousand_and_each_layer_to_five_in_a_million() -> None:
    assert TOLERANCES["float32"] == Tolerance(2e-5, 5e-6)
