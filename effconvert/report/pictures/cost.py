"""Chart of accuracy against cost: multiply-adds and parameters of every variant and training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from effconvert.report.pictures.labels import boxes_around, place_labels
from effconvert.report.pictures.panel import MEASURED, Entry, Panel, Scale, Sheet, heading, legend, legend_height
from effconvert.report.pictures.publishers import (
    Publishers,
    measured_networks,
    of_imagenet,
    published_accuracy,
    variant_order,
)
from effconvert.report.pictures.style import INK, MUTED, SHOWS, SMALL, Drawing, Look, fitted, look, text_width
from effconvert.report.renderings.text import shortened

NAME, TITLE = "cost", "Accuracy against cost"
HEADERS = (
    "variant", "weights", "series", "kind", "source", "size", "top1_percent", "low", "high", "multiply_adds",
    "multiply_adds_scaled", "parameters", "drawn",
)  # fmt: skip
_SHOWN = 60  # measured networks
_WIDTH, _LEFT, _PANEL = 760, 40, 270
_AXES = {
    "multiply_adds": ("multiply-adds of one image, G (log scale)", 1e9),
    "parameters": ("parameters, M (log scale)", 1e6),
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
_LEADER: dict[str, Any] = {"color": INK, "alpha": MUTED, "linewidth": 0.6}
_ORDER = (*dict.fromkeys(_TRAININGS.values()), *_KINDS.values())


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
    """Draw published accuracies hollow and measured ones solid, a series for each training."""
    published, measured = _published(document), _measured(document)
    of_same = [point for point in measured if point.decides]
    shown = [*published, *of_same[:_SHOWN]]
    if not shown:
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
    publishers = Publishers(document)
    found: dict[tuple[str, str], Point] = {}
    for number in published_accuracy(document):
        key, variant = (number["variant"], number["weights"]), variants.get(number["variant"])
        if number["quantity"] != "top1" or not number["decides"] or variant is None or key in found:
            continue
        size = number["size"] or variant["size"]
        found[key] = Point(
            variant=number["variant"],
            weights=number["weights"],
            series=_series(*key, publishers.of(number).label),
            source=number["source"],
            size=size,
            percent=float(number["value"]),
            multiply_adds=variant["multiply_adds"] * (size / variant["size"]) ** 2,
            parameters=variant["parameters"],
            scaled=size != variant["size"],
        )
    return list(found.values())


def _measured(document: dict[str, Any]) -> list[Point]:
    publishers = Publishers(document)
    return [
        Point(
            variant=network["variant"],
            weights=network["weights"] or "",
            series=_series(network["variant"], network["weights"] or "", publishers.of_network(network).label),
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


def _series(variant: str, weights: str, publisher: str) -> str:
    kind = variant.rstrip("0123456789").partition("-")[0]
    if weights in _TRAININGS:
        return _KINDS.get(kind, _TRAININGS[weights])
    return f"{publisher} (own training)"


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
    present = dict.fromkeys(point.series for point in shown)
    names = sorted(present, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    looks = {name: look(number) for number, name in enumerate(names)}
    entries = _entries(looks, any(point.measured for point in shown))
    top = legend_height(entries, _WIDTH) + 34
    sheet = Sheet(_WIDTH, top + 2 * (_PANEL + 78) - 36)
    legend(sheet, 2, 0, _WIDTH, entries)
    values = [value for point in shown for value in (point.percent, point.low, point.high) if value is not None]
    margin = 0.07 * (max(values) - min(values)) + 0.3
    up = Scale(min(values) - margin, max(values) + margin)
    for quantity, (words, unit) in _AXES.items():
        across = {point: getattr(point, quantity) / unit for point in shown}
        scale = Scale(min(across.values()) / 1.25, max(across.values()) * 1.25, log=True)
        panel = Panel(sheet, _LEFT, top, _WIDTH - _LEFT - 4, _PANEL, scale, up)
        heading(sheet, 0, top - 10, "Top-1 accuracy on ImageNet, %")
        panel.draw_ticks_up([(tick, f"{tick:g}") for tick in up.ticks()])
        panel.draw_ticks_across([(tick, f"{tick:g}") for tick in scale.ticks()], words)
        panel.draw_axes()
        lines = _draw_points(panel, across, looks, quantity)
        _name_variants(panel, across, order, lines)
        top += _PANEL + 78
    return sheet.figure


def _entries(looks: Mapping[str, Look], measured: bool) -> list[Entry]:
    lines = {name: style.line() if name in _ORDER else {} for name, style in looks.items()}
    entries = [(fitted(name, 200), style.points(solid=False) | lines[name]) for name, style in looks.items()]
    return entries + ([MEASURED] if measured else [])


def _draw_points(
    panel: Panel, across: Mapping[Point, float], looks: Mapping[str, Look], quantity: str
) -> NDArray[np.float64]:
    """Draw every series, and return points [N, 2] on its lines."""
    lines = np.zeros((0, 2))
    for series, style in looks.items():
        own = [point for point in across if point.series == series]
        published = sorted((across[one], one.percent) for one in own if not (one.measured or one.scaled))
        if series in _ORDER:
            lines = np.vstack([lines, panel.link(published, style)])
        for point in own:
            if point.low is not None and point.high is not None:
                panel.draw_interval(across[point], point.low, point.high, style)
        for measured in (False, True):
            places = [(across[point], point.percent) for point in own if point.measured == measured]
            shows = f"{'measured' if measured else 'published'} {quantity}"
            panel.draw_points(places, style.points(measured), shows)
    return lines


def _name_variants(
    panel: Panel, across: Mapping[Point, float], order: Sequence[str], lines: NDArray[np.float64]
) -> None:
    """Write each variant's name once, at its highest point; a known training at another size has its own label."""
    tops: dict[tuple[int, float], Point] = {}
    for point in sorted(across, key=lambda point: -point.percent):
        if point.weights in _TRAININGS or not point.scaled:
            tops.setdefault((order.index(point.variant), across[point]), point)
    own = {point.variant: across[point] for point in across if not point.scaled}
    labels = []
    for _, point in sorted(tops.items(), reverse=True):  # in an order that places crowded labels first
        size = f" {point.size} px" if point.scaled and across[point] != own.get(point.variant) else ""
        labels.append((fitted(point.variant, 80, SMALL) + size, point))
    anchors = panel.place((across[point], point.percent) for _, point in labels)
    points = boxes_around(panel.place((x, point.percent) for point, x in across.items()), 5)
    obstacles = np.vstack([points, boxes_around(lines, 1)])
    frame = (panel.left, panel.top, panel.right, panel.bottom)
    found = place_labels(anchors, [text_width(name, SMALL) + 5 for name, _ in labels], obstacles, frame)
    for (name, _), (x, y), label in zip(labels, anchors, found, strict=True):
        if label.far:
            half = text_width(name, SMALL) / 2
            end = np.clip((x, y), (label.x - half, label.y - 5), (label.x + half, label.y + 5))
            panel.sheet.line([x, end[0]], [y, end[1]], **_LEADER)
        panel.sheet.text(label.x, label.y, name, ha="center", va="center_baseline", fontsize=SMALL, gid=f"{SHOWS}label")
