"""Sheets with coordinates in pixels from the upper left corner, and panels with axes on them.

matplotlib's own axes and ticks take most of the time of a small picture. Without them, all positions are known during
drawing, so that labels can avoid points.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Affine2D
from numpy.typing import ArrayLike, NDArray

from effconvert.report.pictures.style import INK, PIXELS, SHOWS, SIZE, SMALL, Look, text_width

_MARGIN = 4  # free pixels on every side


class Sheet:
    """A figure of `width` x `height` pixels plus a margin, without background."""

    def __init__(self, width: float, height: float) -> None:
        across, down = (length + 2 * _MARGIN for length in (width, height))
        self.figure = Figure((across / PIXELS, down / PIXELS), dpi=PIXELS)
        self.figure.patch.set_visible(False)
        inches = Affine2D().translate(_MARGIN, _MARGIN - down).scale(1 / PIXELS, -1 / PIXELS)
        self._pixels = inches + self.figure.dpi_scale_trans

    def line(self, x: ArrayLike, y: ArrayLike, **style: Any) -> None:
        """Draw a line or markers at pixels. style: as of Line2D."""
        self._add(Line2D(x, y, **style))

    def text(self, x: float, y: float, text: str, fontsize: float = SIZE, **style: Any) -> None:
        """Write at a pixel; by default (x, y) is the left end of the baseline. style: as of Text."""
        self._add(Text(x, y, text, fontsize=fontsize, **style))

    def box(self, left: float, top: float, width: float, height: float, **style: Any) -> None:
        """Fill a box. style: as of Rectangle."""
        self._add(Rectangle((left, top), width, height, **style))

    def _add(self, artist: Artist) -> None:
        artist.set_transform(self._pixels)
        self.figure.add_artist(artist)


_ROW = 18.0  # a line of a legend
_GAP = 4.5  # from the middle of a marker to its line
_GRID: dict[str, Any] = {"color": INK, "alpha": 0.14, "linewidth": 0.7}
_EDGE: dict[str, Any] = {"color": INK, "linewidth": 0.8}
Entry = tuple[str, dict[str, Any]]  # of a legend: the label, and the arguments of `Sheet.line`

MEASURED: Entry = (
    "solid: measured here, with its 95 % interval",
    Look(INK, "o").points(solid=True),
)


@dataclass(frozen=True)
class Scale:
    """The values at both ends of an axis."""

    low: float
    high: float
    log: bool = False

    def share(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return the positions of values: 0 at the low end, 1 at the high end."""
        low, high, values = np.asarray(self.low), np.asarray(self.high), np.asarray(values, np.float64)
        if self.log:
            low, high, values = np.log10(low), np.log10(high), np.log10(values)
        share: NDArray[np.float64] = (values - low) / (high - low)
        return share

    def ticks(self, most: int = 8) -> list[float]:
        """Return about `most` round values between the ends; on a log scale 1, 2 and 5 times each power of ten."""
        if self.log:
            powers = range(int(np.floor(np.log10(self.low))), int(np.ceil(np.log10(self.high))) + 1)
            found = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
            return [value for value in found if self.low <= value <= self.high]
        rough = (self.high - self.low) / most
        power = 10.0 ** np.floor(np.log10(rough))
        step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough * 0.999)
        first, last = int(np.ceil(self.low / step - 1e-9)), int(np.floor(self.high / step + 1e-9))
        return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True)
class Panel:
    """A rectangle of the sheet, in pixels from its upper left corner, with a scale each way."""

    sheet: Sheet
    left: float
    top: float
    width: float
    height: float
    across: Scale
    up: Scale

    @property
    def bottom(self) -> float:
        """The pixel of the lower edge."""
        return self.top + self.height

    @property
    def right(self) -> float:
        """The pixel of the right edge."""
        return self.left + self.width

    def place(self, points: Iterable[tuple[float, float]]) -> NDArray[np.float64]:
        """Return the positions of points (x, y), in pixels [N, 2]."""
        x, y = np.asarray(list(points), np.float64).reshape(-1, 2).T
        return np.stack([self.x(x), self.y(y)], 1)

    def x(self, value: ArrayLike) -> Any:
        """Return the pixels of values on the horizontal axis."""
        return self.left + self.width * self.across.share(value)

    def y(self, value: ArrayLike) -> Any:
        """Return the pixels of values on the vertical axis."""
        return self.bottom - self.height * self.up.share(value)

    def draw_axes(self) -> None:
        """Draw the left and the lower edge."""
        self.sheet.line([self.left, self.left, self.right], [self.top, self.bottom, self.bottom], **_EDGE)

    def draw_ticks_up(self, ticks: Sequence[tuple[float, str]]) -> None:
        """Write each (value, label) left of the panel, with a faint horizontal line."""
        self._lines([((self.left, self.y(value)), (self.right, self.y(value))) for value, _ in ticks])
        for value, label in ticks:
            self.sheet.text(self.left - 6, self.y(value), label, ha="right", va="center_baseline", fontsize=SMALL)

    def draw_ticks_across(self, ticks: Sequence[tuple[float, str]], title: str, lines: bool = True) -> None:
        """Write each (value, label) below the panel, with a faint vertical line, and the axis title."""
        if lines:
            self._lines([((self.x(value), self.top), (self.x(value), self.bottom)) for value, _ in ticks])
        for value, label in ticks:
            self.sheet.text(self.x(value), self.bottom + 15, label, ha="center", va="baseline", fontsize=SMALL)
        self.sheet.text(self.left + self.width / 2, self.bottom + 33, title, ha="center", va="baseline")

    def draw_points(self, points: Sequence[tuple[float, float]], style: dict[str, Any], shows: str) -> None:
        """Draw markers. shows: their name in the SVG."""
        if points:
            self.sheet.line(*self.place(points).T, **style, gid=SHOWS + shows)

    def draw_interval(self, x: float, low: float, high: float, style: Look) -> None:
        """Draw the vertical interval of a value."""
        ends = np.clip(self.y([low, high]), self.top, self.bottom)
        self.sheet.line([self.x(x)] * 2, ends, color=style.colour, linewidth=1.2)

    def link(self, points: Sequence[tuple[float, float]], style: Look, width: float = 0.9) -> NDArray[np.float64]:
        """Join points by a line with gaps at the markers.

        Returns points [N, 2] on the line, at most 6 pixels apart.
        """
        places = self.place(points)
        ends = [end for one, other in pairwise(places) for end in _between(one, other)]
        if ends:
            self.sheet.line(*np.array(ends).T, **style.line() | {"linewidth": width}, zorder=1.5)
        between = [np.linspace(one, other, 2 + int(np.hypot(*(other - one)) / 6)) for one, other in pairwise(places)]
        return np.vstack([places, *between])

    def shade(self, left: float, top: float, right: float, bottom: float, shows: str = "band") -> None:
        """Shade a part of the panel, in pixels."""
        self.sheet.box(left, top, right - left, bottom - top, facecolor=INK, alpha=0.07, linewidth=0, gid=SHOWS + shows)

    def _lines(self, ends: Iterable[tuple[tuple[float, float], tuple[float, float]]]) -> None:
        places = [place for one, other in ends for place in (one, other, (np.nan, np.nan))]
        if places:
            self.sheet.line(*np.array(places).T, **_GRID, zorder=0.5)


def _between(one: NDArray[np.float64], other: NDArray[np.float64]) -> list[Any]:
    step = other - one
    length = float(np.hypot(*step))
    short = step * (_GAP / length) if length else step
    return [one + short, other - short, [np.nan] * 2] if length > 2 * _GAP else []


def heading(sheet: Sheet, left: float, bottom: float, text: str) -> None:
    """Write the heading above a panel."""
    sheet.text(left, bottom, text, ha="left", va="baseline", fontweight="bold")


def legend(sheet: Sheet, left: float, top: float, width: float, entries: Sequence[Entry]) -> None:
    """Draw a marker, its line if it has one, and a label for each entry, in rows of at most `width`."""
    for (x, y), (label, style) in zip(_flow(entries, width), entries, strict=True):
        x, y = left + x, top + y
        reach = [x + 10] if style["linestyle"] == "none" else [x, x + 10, x + 20]
        sheet.line(reach, [y] * len(reach), **style, markevery=[len(reach) // 2])
        sheet.text(x + 26, y, label, ha="left", va="center_baseline")


def legend_height(entries: Sequence[Entry], width: float) -> float:
    """Return the height of the legend of `entries`."""
    return _flow(entries, width)[-1][1] + _ROW / 2 if entries else 0.0


def _flow(entries: Sequence[Entry], width: float) -> list[tuple[float, float]]:
    """Return the position of each entry, in rows of at most `width`."""
    places, x, y = [], 0.0, _ROW / 2
    for label, _ in entries:
        needed = 26 + text_width(label)
        if x and x + needed > width:
            x, y = 0.0, y + _ROW
        places.append((x, y))
        x += needed + 18
    return places
