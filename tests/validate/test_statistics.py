"""Every formula equals its definition, or a count of all cases."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from effconvert.validate.accuracy.decimals import places
from effconvert.validate.accuracy.statistics import (
    Proportion,
    Z,
    agreement,
    calibration,
    hits_by,
    mcnemar,
    paired_interval,
    wilson_interval,
)


@pytest.mark.parametrize(("hits", "images"), [(1, 3), (5, 10), (999, 1000), (38_271, 50_000)])
def test_the_bounds_of_wilson_are_as_far_from_the_share_as_95_percent_allows(hits: int, images: int) -> None:
    share = hits / images
    low, high = wilson_interval(hits, images)
    assert 0 < low < share < high < 1
    for bound in (low, high):  # the two solutions of the score test's equation
        assert (share - bound) ** 2 == pytest.approx(Z**2 * bound * (1 - bound) / images, rel=1e-9)


def test_wilson_ends_where_a_share_ends() -> None:
    low, high = wilson_interval(0, 20)
    assert low == 0
    assert high == pytest.approx(Z**2 / (20 + Z**2))
    assert wilson_interval(20, 20) == (pytest.approx(1 - high), 1)


def test_rounding_takes_no_end_away() -> None:
    for images in range(1, 500):
        assert wilson_interval(0, images).low == 0
        assert wilson_interval(images, images).high == 1


def test_wilson_knows_nothing_of_no_images() -> None:
    assert wilson_interval(0, 0) == (0, 1)


def test_95_of_100_lie_within_z() -> None:
    assert math.erf(Z / math.sqrt(2)) == pytest.approx(0.95, abs=1e-12)


@pytest.mark.parametrize(("hits", "images"), [(-1, 3), (4, 3)])
def test_hits_that_are_no_part_of_the_images_are_refused(hits: int, images: int) -> None:
    with pytest.raises(ValueError, match=f"{hits} of {images}"):
        wilson_interval(hits, images)


def test_a_proportion_is_in_percent_with_its_hits() -> None:
    found = Proportion(38_271, 50_000).to_dict()
    assert (found["hits"], found["images"], found["percent"]) == (38_271, 50_000, 76.542)
    low, high = wilson_interval(38_271, 50_000)
    assert found["interval"] == [pytest.approx(100 * low, abs=1e-6), pytest.approx(100 * high, abs=1e-6)]
    assert Proportion(0, 0).to_dict()["percent"] is None


def tosses(only_one: int, only_other: int) -> Fraction:
    """The p-value by its meaning: the share of all tosses that are at least as uneven."""
    pairs = only_one + only_other
    uneven = abs(only_one - only_other)
    found = [abs(2 * sum(heads) - pairs) >= uneven for heads in itertools.product((0, 1), repeat=pairs)]
    return Fraction(sum(found), len(found))


@pytest.mark.parametrize("only_one", range(7))
@pytest.mark.parametrize("only_other", range(7))
def test_mcnemar_is_the_share_of_tosses_at_least_as_uneven(only_one: int, only_other: int) -> None:
    assert mcnemar(only_one, only_other) == float(tosses(only_one, only_other))


def test_mcnemar_does_not_ask_which_is_which() -> None:
    assert mcnemar(3, 30) == mcnemar(30, 3)


@pytest.mark.parametrize("uneven", [0, 100, 500, 1000])
def test_mcnemar_holds_for_as_many_pairs_as_imagenet_has_images(uneven: int) -> None:
    pairs = 50_000
    normal = math.erfc((uneven - 1) / math.sqrt(2 * pairs)) if uneven else 1.0  # with correction for continuity
    assert mcnemar((pairs - uneven) // 2, (pairs + uneven) // 2) == pytest.approx(normal, rel=2e-3)


def test_mcnemar_of_what_cannot_be_chance_is_0_and_no_error() -> None:
    assert mcnemar(50_000, 0) == 0
    assert mcnemar(40, 0) == 2 / 2**40


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 and 2"):
        mcnemar(-1, 2)


def test_the_paired_interval_is_that_of_the_images_and_two_more() -> None:
    """The normal interval of the mean of +1, -1 and 0 for each image, with half an image more in each cell."""
    only_one, only_other, images = 30, 12, 500
    weights = np.array([only_one + 0.5, only_other + 0.5, images - only_one - only_other + 1.0])
    values = np.array([1.0, -1.0, 0.0])
    mean = np.average(values, weights=weights)
    half = Z * math.sqrt(np.average((values - mean) ** 2, weights=weights) / weights.sum())
    assert paired_interval(only_one, only_other, images) == (pytest.approx(mean - half), pytest.approx(mean + half))


def test_the_paired_interval_has_a_width_where_nothing_differs() -> None:
    low, high = paired_interval(0, 0, 100)
    assert low == -high < 0


@pytest.mark.parametrize("images", [1, 2, 10, 50_000])
def test_the_paired_interval_holds_the_difference_and_no_more_than_all(images: int) -> None:
    for only_one in {0, 1, images}:
        low, high = paired_interval(only_one, images - only_one, images)
        assert -1 <= low <= (2 * only_one - images) / images <= high <= 1
    assert paired_interval(0, 0, 0) == (-1, 1)


def test_calibration_is_the_mean_distance_of_confidence_and_accuracy() -> None:
    confidence = np.array([0.95, 0.97, 0.5, 0.52])
    right = np.array([True, False, True, True])
    found = calibration(confidence, right)
    assert found.error == pytest.approx((2 * abs(0.96 - 0.5) + 2 * abs(0.51 - 1)) / 4)
    filled = {(round(b.low, 3), round(b.high, 3)): b for b in found.bins if b.images}
    assert {ends: (b.images, b.accuracy) for ends, b in filled.items()} == {
        (0.933, 1): (2, 0.5),
        (0.467, 0.533): (2, 1),
    }
    assert filled[0.933, 1].confidence == pytest.approx(0.96)


def test_calibration_has_15_bins_from_0_to_1() -> None:
    bins = calibration(np.array([0.3]), np.array([False])).bins
    assert len(bins) == 15
    assert (bins[0].low, bins[-1].high) == (0, 1)
    assert all(one.high == other.low for one, other in itertools.pairwise(bins))


@pytest.mark.parametrize(("confidence", "place"), [(0.0, 0), (1e-6, 0), (0.2, 2), (0.2000001, 3), (1.0, 14)])
def test_a_bin_has_its_upper_end(confidence: float, place: int) -> None:
    bins = calibration(np.array([confidence]), np.array([True])).bins
    assert [b.images for b in bins].index(1) == place


def test_surely_right_is_no_error_and_surely_wrong_is_all() -> None:
    sure = np.ones(4, np.float32)
    assert calibration(sure, sure > 0).error == 0
    assert calibration(sure, sure < 0).error == 1


def test_calibration_of_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="no image"):
        calibration(np.array([]), np.array([], bool))


def test_hits_are_counted_for_each_key() -> None:
    keys, right = np.array([2, 0, 2, 2]), np.array([True, False, False, True])
    assert hits_by(keys, right, 4) == [Proportion(0, 1), Proportion(0, 0), Proportion(2, 3), Proportion(0, 0)]


def test_agreement_counts_equal_classes() -> None:
    assert agreement(np.array([1, 2, 3]), np.array([1, 3, 3])) == Proportion(2, 3)


@pytest.mark.parametrize(
    ("images", "decimals"), [(0, 0), (1, 0), (20, 0), (100, 0), (101, 1), (1000, 1), (5000, 2), (50_000, 3), (10**6, 3)]
)
def test_an_accuracy_has_as_many_decimals_as_one_image_changes(images: int, decimals: int) -> None:
    assert places(images) == decimals
    if images:
        text = f"{Proportion(images // 3, images).percent:.{decimals}f} %"
        assert repr(Proportion(images // 3, images)).startswith(f"<Proportion {text}, ")
