"""Figures measured in pixels, with axes, a legend, and marks for what lies beyond the frame, for several pictures."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETDOWN, CARETLEFT, CARETRIGHT, CARETUP
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from effconvert.report.pictures.style import INK, PIXELS, SHOWS, SIZE, SMALL, Look, text_width
from effconvert.report.renderings.numbers_text import signed

_MARGIN = 4  # free pixels on every side
_ROW = 18.0  # a line of a legend
_HANDLE = 2.8 * SIZE  # a legend's marker and the gap to its label
MEASURED = Line2D([], [], label="solid: measured here, with its 95 % interval", **Look(INK, "o").points(solid=True))
SIGNED = FuncFormatter(lambda value, _: "0" if abs(value) < 1e-9 else signed(value, 3).rstrip("0").rstrip("."))


def sheet(width: float, height: float) -> Figure:
    """Return a figure of `width` x `height` pixels plus a margin, without background."""
    return Figure(((width + 2 * _MARGIN) / PIXELS, (height + 2 * _MARGIN) / PIXELS), dpi=PIXELS)


def panel(figure: Figure, left: float, top: float, width: float, height: float, title: str = "") -> Axes:
    """Add axes at pixels from the upper left corner; the title begins at the left border of the figure."""
    across, down = figure.get_size_inches() * PIXELS
    bounds = ((_MARGIN + left) / across, 1 - (_MARGIN + top + height) / down, width / across, height / down)
    axes = figure.add_axes(bounds)
    axes.patch.set_visible(False)
    axes.margins(0)
    if title:
        axes.set_title(title, x=-left / width)
    return axes


def legend(figure: Figure, entries: Sequence[Artist], width: float) -> None:
    """Draw the legend of artists and their labels in the upper left corner."""
    across, down = figure.get_size_inches() * PIXELS
    corner = (_MARGIN / across, 1 - _MARGIN / down)
    columns = _columns([str(entry.get_label()) for entry in entries], width)
    figure.legend(handles=entries, loc="upper left", bbox_to_anchor=corner, ncols=columns, labelcolor=INK)


def legend_height(entries: Sequence[Artist], width: float) -> float:
    """Return the height of the legend of `entries`."""
    return _ROW * -(-len(entries) // _columns([str(entry.get_label()) for entry in entries], width))


def _columns(labels: Sequence[str], width: float) -> int:
    """Return the largest number of columns that fit; matplotlib fills them from top to bottom."""
    widths = [_HANDLE + text_width(label) for label in labels]

    def needed(columns: int) -> float:
        return sum(float(max(part)) + 1.6 * SIZE for part in np.array_split(widths, columns))

    return next((columns for columns in range(len(labels), 1, -1) if needed(columns) <= width + 1.6 * SIZE), 1)


def framed(values: Iterable[float], least: float) -> tuple[float, float]:
    """Return the ends of an axis that shows all `values` but those far out, with a margin.

    Far out are values that are further from the quartiles than three times the distance between these (J. W. Tukey,
    "Exploratory Data Analysis", 1977), so that one does not flatten all others. least: a distance that is never far.
    """
    found = np.array(list(values), float)
    first, third = np.percentile(found, (25, 75))
    reach = max(3 * (third - first), least)
    kept = found[(found >= first - reach) & (found <= third + reach)]
    margin = max(0.08 * (kept.max() - kept.min()), least / 20)
    return float(kept.min() - margin), float(kept.max() + margin)


def write(axes: Axes, text: str, place: tuple[float, float], step: tuple[float, float] = (0, 0), **style: Any) -> None:
    """Write a text `step` pixels, to the right and up, from a place. style: as of Text; xycoords: of the place."""
    usual: dict[str, Any] = {"va": "center_baseline", "fontsize": SMALL, "annotation_clip": False}
    axes.annotate(text, place, step, textcoords="offset points", **usual | style)


def draw_points(
    axes: Axes, points: Sequence[tuple[float, float]], style: Look, shows: str, *, size: float = 6, solid: bool
) -> None:
    """Draw markers; one beyond the vertical axis is an arrow at the frame, with its value."""
    low, high = axes.get_ylim()
    inside = [(x, value) for x, value in points if low <= value <= high]
    if inside:
        axes.plot(*zip(*inside, strict=True), **style.points(solid, size), gid=SHOWS + shows)
    for x, value in (point for point in points if point not in inside):
        down = value < low
        edge, arrow = (low, "v") if down else (high, "^")
        words = f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
        axes.plot([x], [edge], **Look(style.colour, arrow).points(solid), gid=SHOWS + shows)
        write(axes, words, (x, edge), (6, 7 if down else -7), gid=f"{SHOWS}beyond")


def draw_interval(axes: Axes, at: float, low: float, high: float, colour: str, *, upright: bool = True) -> None:
    """Draw the interval of a value, with an arrowhead where the frame cuts it."""
    first, last = sorted(axes.get_ylim() if upright else axes.get_xlim())

    def draw(along: Sequence[float], **style: Any) -> None:
        across = [at] * len(along)
        axes.plot(*((across, along) if upright else (along, across)), color=colour, **style)

    if low <= last and high >= first:
        draw([max(low, first), min(high, last)], linewidth=1.2)
    for end, is_cut, marker in (
        (first, low < first, CARETDOWN if upright else CARETLEFT),
        (last, high > last, CARETUP if upright else CARETRIGHT),
    ):
        if is_cut:
            draw([end], marker=marker, markersize=6, markeredgewidth=0, linestyle="none", gid=f"{SHOWS}cut")


def pixels(axes: Axes, points: Iterable[tuple[float, float]]) -> NDArray[np.float64]:
    """Return the positions of points (x, y) in pixels [N, 2], downwards from the upper edge of the figure."""
    found = axes.transData.transform(np.array(list(points), float).reshape(-1, 2))
    return np.column_stack([found[:, 0], axes.figure.bbox.height - found[:, 1]])
