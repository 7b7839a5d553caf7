"""Statistics of correct predictions: intervals, a paired test, calibration; plain formulas, each with its source."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from effconvert.validate.accuracy.decimals import places

# For 95 % intervals.
Z = NormalDist().inv_cdf(0.975)
BINS = 15
_DIGITS = 256  # binary digits of precision; more than any float keeps


class Interval(NamedTuple):
    """A 95 % confidence interval, in the units of its value."""

    low: float
    high: float


@dataclass(frozen=True, repr=False)
class Proportion:
    """A number of images out of all images."""

    hits: int
    images: int

    @property
    def percent(self) -> float:
        """The share in percent; NaN of no images."""
        return 100 * self.hits / self.images if self.images else math.nan

    def __repr__(self) -> str:
        low, high = self.interval
        digits = places(self.images)
        share = f"{self.percent:.{digits}f} %, {self.hits:,} of {self.images:,}"
        return f"<Proportion {share} (95 %: {low:.{digits}f} to {high:.{digits}f})>"

    @property
    def interval(self) -> Interval:
        """Wilson's interval of the share, in percent."""
        return Interval(*(100 * bound for bound in wilson_interval(self.hits, self.images)))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON; percentages to six digits after the point."""
        percent = round(self.percent, 6) if self.images else None
        interval = [round(bound, 6) for bound in self.interval]
        return {"hits": self.hits, "images": self.images, "percent": percent, "interval": interval}


@dataclass(frozen=True)
class Bin:
    """The images with a confidence in (low, high].

    confidence, accuracy: means, as shares; 0 where there is no image.
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error, as a share, with its bins."""

    error: float
    bins: tuple[Bin, ...]


def wilson_interval(hits: int, images: int) -> Interval:
    """Return the score interval of the share `hits / images`; without images it is 0 to 1.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927) 209-212.
    Raises ValueError unless 0 <= hits <= images.
    """
    if not 0 <= hits <= images:
        raise ValueError(f"{hits} of {images} images")
    if not images:
        return Interval(0.0, 1.0)
    share, square = hits / images, Z * Z / images
    centre = (share + square / 2) / (1 + square)
    half = math.sqrt(share * (1 - share) * square + square * square / 4) / (1 + square)
    # Exact ends: rounding must not change 0 and 1.
    return Interval(centre - half if hits else 0.0, centre + half if hits < images else 1.0)


def mcnemar(only_one: int, only_other: int) -> float:
    """Return the exact two-sided p-value of discordant pairs: images that only one of two networks got right.

    If both are equally good, each pair is a toss of a coin: p is twice the smaller tail of the binomial, 1 at most.
    Computed in integers and rounded once; 0 below the smallest float. The last term of the tail is the largest: the
    others are summed as shares of it, until one is too small to count.

    Source: Q. McNemar, Psychometrika 12 (1947) 153-157; exact as in A. Agresti, Categorical Data Analysis, 10.1.
    Raises ValueError for a negative count.
    """
    if min(only_one, only_other) < 0:
        raise ValueError(f"{only_one} and {only_other} discordant pairs")
    pairs, count = only_one + only_other, min(only_one, only_other)
    last = math.comb(pairs, count)
    term = terms = 1 << _DIGITS
    while term and count:
        term = term * count // (pairs - count + 1)
        terms += term
        count -= 1
    return min(1.0, 2 * last * terms / (1 << (pairs + _DIGITS)))


def paired_interval(only_one: int, only_other: int, images: int) -> Interval:
    """Return the interval of the difference of two accuracies on the same images, one minus the other.

    Half an image is added to each of the four cells, then the usual normal interval is computed, so the interval has a
    width even without discordant pairs. Without images it is -1 to 1.

    Source: A. Agresti and Y. Min, Statistics in Medicine 24 (2005) 729-740.
    """
    if not images:
        return Interval(-1.0, 1.0)
    total = images + 2
    difference = (only_one - only_other) / total
    half = Z * math.sqrt((only_one + only_other + 1) / total - difference**2) / math.sqrt(total)
    return Interval(max(-1.0, difference - half), min(1.0, difference + half))


def calibration(confidence: NDArray[Any], right: NDArray[np.bool_]) -> Calibration:
    """Return the expected calibration error of images [N]: the mean distance between confidence and accuracy.

    The confidences are sorted into 15 bins of equal width, each open below and closed above.

    Source: C. Guo et al., On calibration of modern neural networks, ICML 2017, section 2.
    """
    if not len(confidence):
        raise ValueError("no image")
    ends = np.arange(BINS + 1) / BINS
    values = confidence.astype(np.float64)
    places = np.clip(np.searchsorted(ends, values) - 1, 0, BINS - 1)  # NaN gets a bin too, and makes the error NaN
    images = np.bincount(places, minlength=BINS)
    filled = np.maximum(images, 1)
    confidences = np.bincount(places, values, BINS) / filled
    accuracies = np.bincount(places, right, BINS) / filled
    error = float((images * np.abs(accuracies - confidences)).sum() / len(values))
    columns = (ends[:-1], ends[1:], confidences, accuracies)
    rows = zip(images.tolist(), *(column.tolist() for column in columns), strict=True)
    return Calibration(error, tuple(Bin(low, high, count, mean, share) for count, low, high, mean, share in rows))


def hits_by(keys: NDArray[np.integer[Any]], right: NDArray[np.bool_], count: int) -> list[Proportion]:
    """Return the correct images of each key from 0 to `count` - 1, of images [N]."""
    images = np.bincount(keys, minlength=count).tolist()
    hits = np.bincount(keys[right], minlength=count).tolist()
    return [Proportion(part, whole) for part, whole in zip(hits, images, strict=True)]


def agreement(one: NDArray[np.integer[Any]], other: NDArray[np.integer[Any]]) -> Proportion:
    """Return the images, of [N], that two networks gave the same class."""
    return Proportion(int((one == other).sum()), len(one))
