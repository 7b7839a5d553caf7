"""Panels of accuracies by variant: those of each metric, and their differences from one publisher."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from effconvert.report.pictures.labels import draw_labels
from effconvert.report.pictures.panel import (
    MEASURED,
    SIGNED,
    draw_interval,
    draw_points,
    framed,
    legend,
    legend_height,
    panel,
    sheet,
    write,
)
from effconvert.report.pictures.publishers import METRICS, Series, usual_rank
from effconvert.report.pictures.style import INK, MUTED, PIXELS, SHOWS, SMALL, fitted, look

_WIDTH, _LEFT, _PANEL = 856, 44, 165
_WITHIN, _BELOW = 34, 42  # between panels, and for names


@dataclass(frozen=True)
class Point:
    """One accuracy in percent. low, high: of its interval, None where it was published.

    decides: it is reliable; for a measured one, it is on ImageNet's images. id: of a measured network.
    """

    variant: str
    metric: str
    series: Series
    source: str
    weights: str
    size: int | None
    percent: float
    low: float | None = None
    high: float | None = None
    decides: bool = True
    id: str = ""

    @property
    def measured(self) -> bool:
        """Whether it was measured here."""
        return self.low is not None

    def is_comparable_with(self, other: "Point") -> bool:
        """Whether a difference from `other` says something: one measured here must be of the same training."""
        return self.weights == other.weights if self.measured else self.series != other.series

    @property
    def values(self) -> tuple[float, ...]:
        """The percent, and the ends of its interval if it has one."""
        return tuple(value for value in (self.percent, self.low, self.high) if value is not None)

    def row(self, drawn: bool) -> tuple[Any, ...]:
        """Return its line of the table."""
        kind = "measured" if self.measured else "published"
        where = (self.variant, self.metric, kind, self.series.label, self.source, self.weights, self.size)
        return (*where, self.percent, self.low, self.high, self.decides, drawn)


def draw_panels(shown: Sequence[Point]) -> Figure:
    """Draw published accuracies hollow and measured ones solid, in bands of equal width, one for each variant."""
    series = sorted({point.series for point in shown})
    entries = [
        Line2D([], [], label=fitted(one.label, 300), **look(one.number).points(solid=False)) for one in series
    ] + [MEASURED] * any(point.measured for point in shown)
    panels = list(_panels(shown))
    last = {one.metric: one for one in panels}
    top = legend_height(entries, _WIDTH) + 30
    figure = sheet(_WIDTH, top + len(panels) * (_PANEL + _WITHIN) + len(last) * _BELOW - _WITHIN)
    legend(figure, entries, _WIDTH)
    places = _places(shown)
    variants = list(dict.fromkeys(variant for variant, _ in places))
    for one in panels:
        axes = panel(figure, _LEFT, top, _WIDTH - _LEFT, _PANEL, one.title)
        ends = [value for _, values in one.points for value in values]
        axes.set(xlim=(0, len(variants)), ylim=framed(ends, one.least), xticks=[])
        for band in range(1, len(variants), 2):
            axes.axvspan(band, band + 1, facecolor=INK, alpha=0.07, linewidth=0, gid=f"{SHOWS}band")
        _draw_points(axes, one, places)
        top += _PANEL + _WITHIN
        if one is last[one.metric]:
            _name_variants(axes, variants)
            top += _BELOW
    return figure


_Drawn = tuple[Point, tuple[float, ...]]  # a point, and where it and the ends of its interval are drawn


@dataclass(frozen=True)
class _Panel:
    """A metric, or the differences from one publisher. least: a distance that is never far."""

    metric: str
    title: str
    shows: str
    points: list[_Drawn]
    least: float


def _panels(shown: Sequence[Point]) -> Iterator[_Panel]:
    """Yield a panel for each metric, and below it one of the differences from one publisher."""
    for metric, name in METRICS.items():
        points = [point for point in shown if point.metric == metric]
        if not points:
            continue
        whole = [(point, point.values) for point in points]
        yield _Panel(metric, f"{name} accuracy on ImageNet, %", metric, whole, 4)
        series, others = _reference(points)
        differences = [
            (point, tuple(value - others[point.variant].percent for value in point.values))
            for point in points
            if point.variant in others and point.is_comparable_with(others[point.variant])
        ]
        if differences and series:
            title = f"{name} minus {fitted(series.label, 300)}, points"
            yield _Panel(metric, title, f"difference {metric}", differences, 1)


def _reference(points: Sequence[Point]) -> tuple[Series | None, dict[str, Point]]:
    """Return the series that most variants have, the first of several, and its points by variant."""
    found: dict[Series, dict[str, Point]] = defaultdict(dict)
    for point in points:
        if not point.measured:
            found[point.series][point.variant] = point
    return max(sorted(found.items()), key=lambda one: len(one[1]), default=(None, {}))


def _places(shown: Sequence[Point]) -> dict[tuple[str, Any], float]:
    """Return the position of each point, in bands of length 1, side by side within that of its variant."""
    slots: dict[str, list[Any]] = {}
    for point in shown:
        slots.setdefault(point.variant, []).append(_slot(point))
    slots = {variant: list(dict.fromkeys(keys)) for variant, keys in slots.items()}
    step = min(0.9 / max(map(len, slots.values())), 0.14)
    return {
        (variant, key): band + 0.5 + step * (number - (len(keys) - 1) / 2)
        for band, (variant, keys) in enumerate(slots.items())
        for number, key in enumerate(keys)
    }


def _slot(point: Point) -> Any:
    return point.id if point.measured else point.series


def _split(variant: str) -> tuple[str, str]:
    """Return the shared and the own part of a variant's name: edgetpu- and s."""
    family = re.match("[a-z]{2,}-?(?=.)", variant)
    shared = family[0] if family else ""
    return shared, variant[len(shared) :]


def _name_variants(axes: Axes, variants: Sequence[str]) -> None:
    """Write the names of bands below them, with the shared part of each kind on a separate line."""
    room = (_WIDTH - _LEFT) / len(variants)
    axes.grid(False, axis="x")
    names = [fitted(_split(variant)[1], room - 4, SMALL) for variant in variants]
    axes.set_xticks([band + 0.5 for band in range(len(variants))], names)
    first = 0
    for shared, group in groupby(variants, key=lambda variant: _split(variant)[0]):
        end = first + len(list(group))
        if shared:
            _name_kind(axes, fitted(shared, room * (end - first) + 12, SMALL), first, end)
        first = end


def _name_kind(axes: Axes, name: str, first: int, end: int) -> None:
    """Write the name of a kind of variants below its bands, with a line over it if these are several."""
    below = axes.get_xaxis_transform() + ScaledTranslation(0, -25 / PIXELS, axes.figure.dpi_scale_trans)
    if end - first > 1:
        axes.plot([first + 0.2, end - 0.2], [0, 0], transform=below, color=INK, alpha=MUTED, linewidth=0.8)
    write(axes, name, ((first + end) / 2, 0), (0, -3), xycoords=below, ha="center", va="top")


def _draw_points(axes: Axes, drawn: _Panel, places: Mapping[tuple[str, Any], float]) -> None:
    if axes.get_ylim()[0] < 0 < axes.get_ylim()[1]:
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.yaxis.set_major_formatter(SIGNED)
    of_look: dict[tuple[Series, bool], list[tuple[float, float]]] = defaultdict(list)
    for point, (percent, *interval) in drawn.points:
        at = places[point.variant, _slot(point)]
        of_look[point.series, point.measured].append((at, percent))
        if interval:
            draw_interval(axes, at, interval[0], interval[1], look(point.series.number).colour)
    for (series, measured), group in of_look.items():
        kind = f"{'measured' if measured else 'published'} {drawn.shows}"
        draw_points(axes, group, look(series.number), kind, size=5.5, solid=measured)
    if drawn.shows == drawn.metric:
        _name_trainings(axes, drawn.points, places)


def _name_trainings(axes: Axes, points: Sequence[_Drawn], places: Mapping[tuple[str, Any], float]) -> None:
    """Write the training beside a measured network if it is not the usual one."""
    where = [((places[point.variant, _slot(point)], value), point) for point, values in points for value in values]
    low, high = axes.get_ylim()
    named = {
        point.id: ((at, value), fitted(point.weights, 60, SMALL))
        for (at, value), point in reversed(where)
        if point.measured and usual_rank(point.weights) > 1 and point.weights and low < value < high
    }
    draw_labels(axes, list(named.values()), [place for place, _ in where])
