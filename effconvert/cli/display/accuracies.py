"""Measured accuracies as text, with the decimals that their number of images supports."""

from typing import TYPE_CHECKING

from effconvert.validate.accuracy.decimals import places

if TYPE_CHECKING:
    from effconvert.validate.accuracy.statistics import Proportion


def percent(found: "Proportion") -> str:
    """Return an accuracy in percent, without the sign: 84.424, or 85 of 20 images."""
    return percent_of(found.percent, found.images)


def percent_of(value: float, images: int) -> str:
    """Return a percentage that was measured on so many images."""
    return f"{value:.{places(images)}f}"


def points(difference: float, images: int) -> str:
    """Return a difference in percentage points, with its sign; without one if it is 0."""
    text = f"{difference:+.{places(images)}f}"
    return text if float(text) else text[1:]
