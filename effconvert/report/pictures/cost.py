"""Chart of accuracy against cost: multiply-adds and parameters of every variant and training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from effconvert.report.pictures.labels import draw_labels
from effconvert.report.pictures.panel import (
    MEASURED,
    draw_interval,
    draw_points,
    framed,
    legend,
    legend_height,
    panel,
    sheet,
)
from effconvert.report.pictures.publishers import (
    measured_networks,
    of_imagenet,
    published_accuracy,
    variant_order,
)
from effconvert.report.pictures.style import GREY, SMALL, Drawing, Look, fitted, look
from effconvert.report.renderings.text import shortened

NAME, TITLE = "cost", "Accuracy against cost"
HEADERS = (
    "variant", "weights", "series", "kind", "source", "size", "top1_percent", "low", "high", "multiply_adds",
    "multiply_adds_scaled", "parameters", "drawn",
)  # fmt: skip
_SHOWN = 60  # measured networks
_WIDTH, _LEFT, _PANEL, _BETWEEN = 856, 44, 300, 76
_LEFT_ROOM = 2.5  # of the room at the right: the smallest variants are many, and their names stand left of them
_AXES = {
    "multiply_adds": ("Top-1 on ImageNet, %, by multiply-adds", "multiply-adds of one image, G (log scale)", 1e9),
    "parameters": ("Top-1 on ImageNet, %, by parameters", "parameters, M (log scale)", 1e6),
}
# A series for each training; other kinds of variants have one training each, and a series for each kind.
_TRAININGS = {
    "ns": "NoisyStudent",
    "ns-475": "NoisyStudent",
    "advprop": "AdvProp",
    "ra": "RandAugment",
    "aa": "AutoAugment",
    "base": "base",
}
_KINDS = {"cc": "CondConv", "edgetpu": "EdgeTPU", "lite": "Lite"}
_OWN = "a library's own training"
_ORDER = (*dict.fromkeys(_TRAININGS.values()), *_KINDS.values(), _OWN)


@dataclass(frozen=True)
class Point:
    """A network: accuracy in percent (with an interval if measured), operations and parameters.

    scaled: the multiply-adds are those at the variant's own size, scaled by the number of pixels. id: of a measured
    network. decides: for a measured network, whether it was measured on ImageNet's images.
    """

    variant: str
    weights: str
    series: str
    source: str
    size: int
    percent: float
    multiply_adds: float
    parameters: int
    scaled: bool = False
    low: float | None = None
    high: float | None = None
    id: str = ""
    decides: bool = True

    @property
    def measured(self) -> bool:
        """Whether it was measured here."""
        return self.low is not None

    def row(self, drawn: bool) -> tuple[Any, ...]:
        """Return its line of the table."""
        kind = "measured" if self.measured else "published"
        accuracy = (self.percent, self.low, self.high)
        name = (self.variant, self.weights, self.series, kind, self.source, self.size)
        return (*name, *accuracy, round(self.multiply_adds), self.scaled, self.parameters, drawn)


def draw(document: dict[str, Any]) -> Drawing | None:
    """Draw published accuracies hollow and measured ones solid, a series for each training.

    A report of runs of which none is on ImageNet's images has no such picture: that of published numbers has it.
    """
    published, measured = _published(document), _measured(document)
    of_same = [point for point in measured if point.decides]
    shown = [*published, *of_same[:_SHOWN]]
    if not shown or (document["networks"] and not of_same):
        return None
    drawn = set(shown)
    rows = tuple(point.row(point in drawn) for point in (*published, *measured))
    order = variant_order(document, [point.variant for point in shown])
    return Drawing(
        NAME, TITLE, _text(shown, len(of_same), len(measured) - len(of_same)), HEADERS, rows, _figure(shown, order)
    )


def _published(document: dict[str, Any]) -> list[Point]:
    """Return the first reliable figure of each variant and training, which is its publisher's own."""
    variants = {one["name"]: one for one in document["published"]["variants"] if all(one.values())}
    found: dict[tuple[str, str], Point] = {}
    for number in published_accuracy(document):
        key, variant = (number["variant"], number["weights"]), variants.get(number["variant"])
        if number["quantity"] != "top1" or not number["decides"] or variant is None or key in found:
            continue
        size = number["size"] or variant["size"]
        found[key] = Point(
            variant=number["variant"],
            weights=number["weights"],
            series=_series(*key),
            source=number["source"],
            size=size,
            percent=float(number["value"]),
            multiply_adds=variant["multiply_adds"] * (size / variant["size"]) ** 2,
            parameters=variant["parameters"],
            scaled=size != variant["size"],
        )
    return list(found.values())


def _measured(document: dict[str, Any]) -> list[Point]:
    return [
        Point(
            variant=network["variant"],
            weights=network["weights"] or "",
            series=_series(network["variant"], network["weights"] or ""),
            source=network["name"],
            size=network["cost"]["size"],
            percent=network["accuracy"]["top1"]["percent"],
            multiply_adds=network["cost"]["operations"]["multiply-adds"],
            parameters=network["cost"]["parameters"],
            low=network["accuracy"]["top1"]["interval"][0],
            high=network["accuracy"]["top1"]["interval"][1],
            id=network["id"],
            decides=of_imagenet(network),
        )
        for network in measured_networks(document)
        if network["cost"] and network["cost"]["operations"].get("multiply-adds") and network["cost"]["parameters"]
    ]


def _series(variant: str, weights: str) -> str:
    kind = variant.rstrip("0123456789").partition("-")[0]
    if weights in _TRAININGS:
        return _KINDS.get(kind, _TRAININGS[weights])
    return _OWN


def _text(shown: Sequence[Point], measured: int, other: int) -> str:
    best = max(shown, key=lambda point: point.percent)
    least = min(shown, key=lambda point: point.multiply_adds)
    sentences = [
        f"ImageNet top-1 against multiply-adds and parameters: from {_said(least)} to {_said(best)}.",
    ]
    if measured:
        which = f"the first {_SHOWN} of {measured:,}" if measured > _SHOWN else f"{measured}"
        sentences.append(f"Solid: {which} measured here; hollow: {len(shown) - min(measured, _SHOWN)} published.")
    if other:
        sentences.append(f"Not drawn, because not on ImageNet's validation images: {other:,} measured here.")
    if any(point.scaled for point in shown):
        sentences.append(
            "For accuracies at another size than the variant's own, multiply-adds are scaled by the number of pixels."
        )
    return " ".join(sentences)


def _said(point: Point) -> str:
    cost = f"{point.multiply_adds / 1e9:.3g} G multiply-adds, {point.parameters / 1e6:.1f} M parameters"
    return f"{shortened(point.variant, 60)} {shortened(point.weights, 60)} with {point.percent:g} % ({cost})"


def _figure(shown: Sequence[Point], order: Sequence[str]) -> Figure:
    names = sorted({point.series for point in shown}, key=_ORDER.index)
    looks = {name: look(number) if name != _OWN else Look(GREY, "_") for number, name in enumerate(names)}
    entries = [Line2D([], [], label=name, **_style(name, style)) for name, style in looks.items()]
    entries += [MEASURED] * any(point.measured for point in shown)
    top = legend_height(entries, _WIDTH) + 30
    figure = sheet(_WIDTH, top + len(_AXES) * (_PANEL + _BETWEEN) - 30)
    legend(figure, entries, _WIDTH)
    for quantity, (title, words, unit) in _AXES.items():
        axes = panel(figure, _LEFT, top, _WIDTH - _LEFT - 4, _PANEL, title)
        across = {point: getattr(point, quantity) / unit for point in shown}
        ends = [value for point in shown for value in (point.percent, point.low, point.high) if value is not None]
        low, high = min(across.values()), max(across.values())
        room = max((high / low) ** 0.04, (4 / (high / low)) ** 0.5)  # so that numbers stand there
        axes.set(xscale="log", xlim=(low / room**_LEFT_ROOM, high * room), ylim=framed(ends, 4), xlabel=words)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        _draw_points(axes, across, looks, quantity)
        _name_variants(axes, across, order)
        top += _PANEL + _BETWEEN
    return figure


def _style(name: str, style: Look) -> dict[str, Any]:
    line = style.points(solid=False, size=10 if name == _OWN else 6.5)
    return line if name == _OWN else line | style.line()


def _line(across: Mapping[Point, float], series: str) -> list[tuple[float, float]]:
    """Return the published points of a series that are joined: those at their variants' own sizes."""
    own = [one for one in across if one.series == series and not (one.measured or one.scaled)]
    return sorted((across[point], point.percent) for point in own) if series != _OWN else []


def _draw_points(axes: Axes, across: Mapping[Point, float], looks: Mapping[str, Look], quantity: str) -> None:
    """Draw measured points small and over the published ones, which show around them."""
    for series, style in looks.items():
        axes.plot(*np.reshape(_line(across, series), (-1, 2)).T, **style.line(1), zorder=1.5)
        own = [(point, (x, point.percent)) for point, x in across.items() if point.series == series]
        hollow = [place for point, place in own if not point.measured]
        size = 10 if series == _OWN else 6.5
        draw_points(axes, hollow, style, f"published {quantity}", size=size, solid=False)
        for point, (x, _) in own:
            if point.low is not None and point.high is not None:
                draw_interval(axes, x, point.low, point.high, style.colour)
        filled = [place for point, place in own if point.measured]
        draw_points(axes, filled, Look(style.colour, "o"), f"measured {quantity}", size=4, solid=True)


def _name_variants(axes: Axes, across: Mapping[Point, float], order: Sequence[str]) -> None:
    """Write each variant's name once, at its highest point; a known training at another size has its own label."""
    low, high = axes.get_ylim()
    tops: dict[tuple[str, str], Point] = {}
    for point in sorted(across, key=lambda point: (point.scaled, -point.percent)):
        if low <= point.percent <= high and not (point.scaled and point.weights not in _TRAININGS):
            size = f" {point.size} px" if point.scaled else ""
            tops.setdefault((point.variant, size), point)
    for point in across:  # one that has only other sizes, or lies beyond the frame
        if not any(variant == point.variant for variant, _ in tops):
            tops[point.variant, ""] = point
    ordered = sorted(tops.items(), key=lambda one: -order.index(one[1].variant))  # which places crowded labels first
    labels = [
        ((across[point], min(max(point.percent, low), high)), fitted(variant, 80, SMALL) + size)
        for (variant, size), point in ordered
    ]
    points = [(x, value) for point, x in across.items() for value in (point.percent, point.low, point.high) if value]
    lines = [line for series in {point.series for point in across} if (line := _line(across, series))]
    lines += [
        [(x, max(point.low, low)), (x, min(point.high, high))]
        for point, x in across.items()
        if point.low and point.high
    ]
    draw_labels(axes, labels, points, lines)
