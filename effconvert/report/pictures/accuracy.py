"""Chart of top-1 and top-5 of every variant, as each framework published them and as measured here."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from effconvert.report.pictures.labels import boxes_around, place_labels
from effconvert.report.pictures.panel import MEASURED, Entry, Panel, Scale, Sheet, heading, legend, legend_height
from effconvert.report.pictures.publishers import (
    METRICS,
    Publishers,
    Series,
    is_shared,
    measured_networks,
    of_imagenet,
    published_accuracy,
    usual_rank,
    variant_order,
)
from effconvert.report.pictures.style import SMALL, Drawing, fitted, listed, look, text_width
from effconvert.report.renderings.text import shortened

NAME, TITLE = "accuracy", "Accuracy by variant and framework"
HEADERS = (
    "variant", "metric", "kind", "framework", "source", "weights", "size", "percent", "low", "high", "decides", "drawn",
)  # fmt: skip
_LINKED = re.compile(r"b\d+")  # variants that are one series of sizes
_SHOWN = 4  # measured networks of one variant
_WIDTH, _LEFT, _PANEL, _GAP = 760, 40, 230, 7


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

    def row(self, drawn: bool) -> tuple[Any, ...]:
        """Return its line of the table."""
        kind = "measured" if self.measured else "published"
        where = (self.variant, self.metric, kind, self.series.label, self.source, self.weights, self.size)
        return (*where, self.percent, self.low, self.high, self.decides, drawn)


def draw(document: dict[str, Any]) -> Drawing | None:
    """Draw the published accuracies of each variant's usual training hollow, and the measured ones solid."""
    publishers = Publishers(document)
    published, measured = _published(document, publishers), _measured(document, publishers)
    shown = [*_usual(published), *_first(measured)]
    if not shown:
        return None
    order = variant_order(document, [point.variant for point in shown])
    shown.sort(key=lambda point: (order.index(point.variant), point.measured, point.series))
    drawn = set(shown)
    rows = tuple(point.row(point in drawn) for point in (*published, *measured))
    return Drawing(NAME, TITLE, _text(shown, measured), HEADERS, rows, _figure(shown))


def _published(document: dict[str, Any], publishers: Publishers) -> list[Point]:
    return [
        Point(
            variant=number["variant"],
            metric=number["quantity"],
            series=publishers.of(number),
            source=number["source"],
            weights=number["weights"],
            size=number["size"],
            percent=float(number["value"]),
            decides=bool(number["decides"]),
        )
        for number in published_accuracy(document)
    ]


def _measured(document: dict[str, Any], publishers: Publishers) -> list[Point]:
    return [
        Point(
            variant=network["variant"],
            metric=metric,
            series=publishers.of_network(network),
            source=network["name"],
            weights=network["weights"] or "",
            size=(network["recipe"] or {}).get("size"),
            percent=network["accuracy"][metric]["percent"],
            low=network["accuracy"][metric]["interval"][0],
            high=network["accuracy"][metric]["interval"][1],
            decides=of_imagenet(network),
            id=network["id"],
        )
        for network in measured_networks(document)
        for metric in METRICS
    ]


def _usual(points: Sequence[Point]) -> list[Point]:
    """Return the reliable figures of one training per variant, so that only the publishers differ.

    It is the training that most publishers have. For a publisher with only its own trainings, its first is drawn.
    """
    groups: dict[str, dict[Series, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        groups[point.variant][point.series].append(point)
    shown: list[Point] = []
    for of_variant in groups.values():
        usual = _most_published(of_variant)
        for group in of_variant.values():
            wanted = usual if any(is_shared(point.weights) for point in group) else _best(group)
            chosen = [point for point in group if point.decides and point.weights == wanted]
            shown += {point.metric: point for point in reversed(chosen)}.values()
    return shown


def _most_published(of_variant: Mapping[Series, Sequence[Point]]) -> str:
    """Return the training with figures from most publishers, the most usual of several; "" if none is shared."""
    counts = Counter(
        weights
        for group in of_variant.values()
        for weights in {point.weights for point in group if point.decides and is_shared(point.weights)}
    )
    return min(counts, key=lambda weights: (-counts[weights], usual_rank(weights)), default="")


def _best(group: Sequence[Point]) -> str:
    """Return the first training of a publisher with only its own trainings."""
    return next((point.weights for point in group if point.decides), "")


def _first(points: Iterable[Point]) -> list[Point]:
    """Return the measured networks to show for each variant, the usual training first."""
    groups: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for point in points:
        if point.decides:
            groups[point.variant, point.metric].append(point)
    chosen = (sorted(group, key=lambda point: usual_rank(point.weights))[:_SHOWN] for group in groups.values())
    return [point for group in chosen for point in group]


def _text(shown: Sequence[Point], measured: Sequence[Point]) -> str:
    published = [point for point in shown if not point.measured and point.metric == "top1"]
    solid = [point for point in shown if point.measured and point.metric == "top1"]
    sentences = []
    if published:
        low, high = (choose(published, key=lambda point: point.percent) for choose in (min, max))
        labels = listed([shortened(label, 60) for label in dict.fromkeys(point.series.label for point in published)])
        sentences.append(
            f"ImageNet top-1 of each variant's usual training, as published by {labels}: from {low.percent:g} % "
            f"({shortened(low.variant, 60)}) to {high.percent:g} % ({shortened(high.variant, 60)}); superseded, "
            "quoted and doubtful numbers are only in the table."
        )
    if solid:
        said = listed([f"{shortened(point.source, 60)} {point.percent:.3f} %" for point in solid[:4]])
        more = f", and {len(solid) - 4:,} more" if len(solid) > 4 else ""
        sentences.append(f"Measured here: {said}{more}.")
    few = sum(point.decides for point in measured) // len(METRICS) - len(solid)
    if few:
        sentences.append(f"At most {_SHOWN} networks of a variant are drawn; {few:,} more are only in the table.")
    if other := sum(not point.decides for point in measured) // len(METRICS):
        sentences.append(f"Not drawn, because not on ImageNet's validation images: {other:,} measured here.")
    return " ".join(sentences)


def _figure(shown: Sequence[Point]) -> Figure:
    entries = _entries(shown)
    metrics = [metric for metric in METRICS if any(point.metric == metric for point in shown)]
    top, width = legend_height(entries, _WIDTH) + 34, _WIDTH - _LEFT
    sheet = Sheet(_WIDTH, top + len(metrics) * (_PANEL + 70) - 32)
    legend(sheet, 2, 0, _WIDTH, entries)
    places, ends = _places(shown, width)
    for metric in metrics:
        points = [point for point in shown if point.metric == metric]
        heading(sheet, 0, top - 10, f"{METRICS[metric]} accuracy on ImageNet, %")
        values = [value for point in points for value in (point.percent, point.low, point.high) if value is not None]
        margin = max(0.05 * (max(values) - min(values)), 0.2)
        up = Scale(min(values) - margin, max(values) + margin)
        panel = Panel(sheet, _LEFT, top, width, _PANEL, Scale(0, width), up)
        panel.draw_ticks_up([(tick, f"{tick:g}") for tick in up.ticks()])
        panel.draw_axes()
        _name_variants(panel, ends)
        _draw_points(panel, points, places)
        top += _PANEL + 70
    return sheet.figure


def _entries(shown: Sequence[Point]) -> list[Entry]:
    series = sorted({point.series for point in shown})
    entries = [
        (fitted(one.label, 160), look(one.number).points(solid=False) | look(one.number).line()) for one in series
    ]
    return entries + ([MEASURED] if any(point.measured for point in shown) else [])


def _places(
    shown: Sequence[Point], width: float
) -> tuple[dict[tuple[str, Any], float], dict[str, tuple[float, float]]]:
    """Return the position of each point in pixels, side by side within its variant, and the range of each variant."""
    slots: dict[str, list[Any]] = {}
    for point in shown:
        slots.setdefault(point.variant, []).append(_slot(point))
    slots = {variant: list(dict.fromkeys(keys)) for variant, keys in slots.items()}
    named = {variant: text_width(_split(variant)[1], SMALL) + 4 for variant in slots}

    def widths(step: float) -> list[float]:
        return [max(step * len(keys) + _GAP, named[variant]) for variant, keys in slots.items()]

    step = next((step for step in np.arange(14, 2, -0.1) if sum(widths(step)) <= width), 2)
    stretch = width / sum(widths(step))
    places: dict[tuple[str, Any], float] = {}
    ends, at = {}, 0.0
    for (variant, keys), room in zip(slots.items(), widths(step), strict=True):
        ends[variant] = (at, at + room * stretch)
        first = at + (room * stretch - step * len(keys)) / 2
        places |= {(variant, key): first + step * (number + 0.5) for number, key in enumerate(keys)}
        at += room * stretch
    return places, ends


def _split(variant: str) -> tuple[str, str]:
    """Return the shared and the own part of a variant's name: edgetpu- and s."""
    family = re.match("[a-z]{2,}-?(?=.)", variant)
    shared = family[0] if family else ""
    return shared, fitted(variant[len(shared) :], 60, SMALL)


def _slot(point: Point) -> Any:
    return point.id if point.measured else point.series


def _name_variants(panel: Panel, ends: Mapping[str, tuple[float, float]]) -> None:
    """Shade every other variant, and write the names below, with the shared part of each kind on a separate line."""
    for begin, end in list(ends.values())[1::2]:
        panel.shade(panel.left + begin, panel.top, panel.left + end, panel.bottom)
    names = [((begin + end) / 2, _split(variant)[1]) for variant, (begin, end) in ends.items()]
    panel.draw_ticks_across(names, "", lines=False)
    for shared, group in groupby(ends, key=lambda variant: _split(variant)[0]):
        variants = list(group)
        middle = panel.x((ends[variants[0]][0] + ends[variants[-1]][1]) / 2)
        panel.sheet.text(middle, panel.bottom + 29, shared, ha="center", va="baseline", fontsize=SMALL)


def _draw_points(panel: Panel, points: Sequence[Point], places: Mapping[tuple[str, Any], float]) -> None:
    ends = [
        (places[one.variant, _slot(one)], bound)
        for one in points
        for bound in (one.percent, one.low, one.high)
        if bound is not None
    ]
    obstacles = boxes_around(panel.place(ends), 4)
    for series in sorted({point.series for point in points}):
        style = look(series.number)
        own = [point for point in points if point.series == series]
        at = {point: (places[point.variant, _slot(point)], point.percent) for point in own}
        linked = [point for point in own if not point.measured and _LINKED.fullmatch(point.variant)]
        for _, alike in groupby(linked, key=lambda point: point.weights):
            panel.link([at[point] for point in alike], style)
        for point in own:
            if point.low is not None and point.high is not None:
                panel.draw_interval(at[point][0], point.low, point.high, style)
        for measured in (False, True):
            shows = f"{'measured' if measured else 'published'} {own[0].metric}"
            panel.draw_points([at[one] for one in own if one.measured == measured], style.points(measured), shows)
    _name_trainings(panel, points, places, obstacles)


def _name_trainings(
    panel: Panel,
    points: Sequence[Point],
    places: Mapping[tuple[str, Any], float],
    obstacles: NDArray[np.float64],
) -> None:
    """Write the training beside a measured network if it is not the usual one."""
    named = [point for point in points if point.measured and usual_rank(point.weights) > 1 and point.weights]
    names = [fitted(point.weights, 60, SMALL) for point in named]
    anchors = panel.place((places[point.variant, _slot(point)], point.percent) for point in named)
    frame = (panel.left, panel.top, panel.right, panel.bottom)
    labels = place_labels(anchors, [text_width(name, SMALL) for name in names], obstacles, frame)
    for name, label in zip(names, labels, strict=True):
        panel.sheet.text(label.x, label.y, name, ha="center", va="center_baseline", fontsize=SMALL)
