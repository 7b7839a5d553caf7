"""Chart of the error by depth: the difference of each layer from the source's, with the tolerance as a band."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from matplotlib.ticker import NullLocator

from effconvert.report.pictures.panel import legend, legend_height, panel, sheet, write
from effconvert.report.pictures.style import (
    INK,
    SHOWS,
    SMALL,
    VERMILLION,
    Drawing,
    Look,
    fitted,
    listed,
    look,
    text_width,
)
from effconvert.report.renderings.numbers_text import MODE_WORDS, error
from effconvert.report.renderings.text import shortened

NAME, TITLE = "layers", "Error by depth"
HEADERS = (
    "network", "verification", "framework", "layer", "mode", "largest", "mean", "scale", "largest_relative",
    "mean_relative", "allowed", "passed",
)  # fmt: skip
SHOWN = 6  # networks of a report
_WIDTH, _LEFT, _PANEL, _BETWEEN, _LINE = 760, 52, 170, 36, 13
_MODES = {
    "accumulated": "End to end: after the network's own earlier layers",
    "fed": "Isolated: with the reference's input for each layer",
}
_KINDS = {"largest |Δ| as a share of the layer's largest value": True, "mean |Δ|": False}  # label: whether it is solid
_COMPARISONS = 3  # of one network
_LEAST = 1e-30  # smaller values are drawn as 0
_Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verified:
    """The layers of a converted network beside those of its source. id: of the verification."""

    id: str
    network: str
    comparisons: tuple[dict[str, Any], ...]

    def excess(self) -> float:
        """Return the largest difference as a share of its tolerance."""
        return max(_excess(row) for comparison in self.comparisons for row in comparison["rows"])


def verified(document: dict[str, Any]) -> list[Verified]:
    """Return each verification once, those with the largest difference compared with their tolerance first."""
    found: dict[str, Verified] = {}
    for network in document["networks"]:
        for verification in network["verifications"]:
            comparisons = tuple(one for one in verification["comparisons"] if one["rows"])
            if comparisons:
                found.setdefault(verification["id"], Verified(verification["id"], network["name"], comparisons))
    return sorted(found.values(), key=Verified.excess, reverse=True)


def draw(found: Verified) -> Drawing:
    """Draw the largest and the mean difference of each layer of one verified network."""
    rows = tuple(
        (
            found.network, found.id, one["framework"], row["layer"], row["mode"], row["largest"], row["mean"],
            row["scale"], row["relative"], _share(row["mean"], row), row["allowed"], row["passed"],
        )
        for one in found.comparisons
        for row in one["rows"]
    )  # fmt: skip
    title = f"{TITLE}: {shortened(found.network, 60)}"
    figure = _figure(found.comparisons[:_COMPARISONS])
    return Drawing(f"{NAME}-{found.id}", title, _text(found.comparisons), HEADERS, rows, figure)


def _share(value: float | None, row: _Row) -> float | None:
    """Return a difference as a share of the layer's largest value, None if it is not finite."""
    if value is None or row["scale"] is None:
        return None
    return value / row["scale"] if row["scale"] else (0.0 if value == 0 else None)


def _excess(row: _Row) -> float:
    if row["relative"] is None:
        return math.inf
    return float(row["relative"] / row["allowed"]) if row["allowed"] else float(row["relative"] > 0) * math.inf


def _text(comparisons: Sequence[Mapping[str, Any]]) -> str:
    sentences = []
    for comparison in comparisons:
        worst = max(comparison["rows"], key=_excess)
        value = "not finite" if worst["relative"] is None else f"{error(worst['relative'])} of its largest value"
        layers = len({row["layer"] for row in comparison["rows"]})
        first = f"{shortened(comparison['first'], 60)} diverges first" if comparison["first"] else "none diverges"
        sentences += [
            f"Of {layers} layers compared with those of {shortened(comparison['framework'], 60)}, {first}.",
            f"The largest difference for its tolerance is that of {shortened(worst['layer'], 60)} "
            f"({MODE_WORDS.get(worst['mode'], worst['mode'])}): {value}, allowed {error(worst['allowed'])}.",
        ]
    if len(comparisons) > _COMPARISONS:
        sentences.append(f"The first {_COMPARISONS} of {len(comparisons)} comparisons are drawn.")
    return " ".join(sentences)


def _figure(comparisons: Sequence[Mapping[str, Any]]) -> Figure:
    layers = list(dict.fromkeys(row["layer"] for one in comparisons for row in one["rows"]))
    modes = [mode for mode in _MODES if any(row["mode"] == mode for one in comparisons for row in one["rows"])]
    curves = _curves(comparisons)
    entries = [
        Line2D([], [], label=label, **style.line() | style.points(True, 5) | {"linestyle": style.dashes})
        for label, style, _ in curves
    ]
    entries += [Line2D([], [], label=label, **Look(INK, "o").points(solid, 5)) for label, solid in _KINDS.items()]
    names = _named(layers)
    lines = 1 + max(line for _, line in names)
    top = legend_height(entries, _WIDTH) + 30
    figure = sheet(_WIDTH, top + len(modes) * (_PANEL + _BETWEEN) - _BETWEEN + lines * _LINE + 20)
    legend(figure, entries, _WIDTH)
    for mode in modes:
        axes = panel(figure, _LEFT, top, _WIDTH - _LEFT - 8, _PANEL, _MODES[mode])
        groups = [[row for row in rows if row["mode"] == mode] for _, _, rows in curves]
        axes.set(xlim=(-0.7, len(layers) - 0.3), xticks=[])
        axes.grid(False, axis="x")
        early = any(one["first"] in layers[: len(layers) // 4] for one in comparisons)
        _draw_tolerance(axes, [row for group in groups for row in group], layers, mirrored=early)
        for number, (group, (_, style, _)) in enumerate(zip(groups, curves, strict=True)):
            _draw_curve(axes, group, layers, style, 2 * (len(curves) - number - 1))
        _mark_first(axes, comparisons, layers)
        top += _PANEL + _BETWEEN
    axes.set_xticks(range(len(layers)), [name for name, _ in names])
    for tick, (_, line) in zip(axes.xaxis.get_major_ticks(), names, strict=True):
        tick.set_pad(3.5 + line * _LINE)
    axes.set_xlabel("layer, from the image to the logits; numbers are blocks")
    return figure


_Curve = tuple[str, Look, Sequence[_Row]]  # its label, its look, its rows


def _curves(comparisons: Sequence[Mapping[str, Any]]) -> list[_Curve]:
    """Return the curves to draw: comparisons with the same values are one, and its label says so."""
    alike: dict[tuple[Any, ...], list[str]] = {}
    rows: dict[tuple[Any, ...], Sequence[_Row]] = {}
    for one in comparisons:
        key = tuple((row["layer"], row["mode"], row["relative"], row["mean"], row["scale"]) for row in one["rows"])
        alike.setdefault(key, []).append(one["framework"])
        rows.setdefault(key, one["rows"])
    return [
        (fitted(listed(names) + " (equal)" * (len(names) > 1), _WIDTH - 60), look(number), rows[key])
        for number, (key, names) in enumerate(alike.items())
    ]


def _draw_tolerance(axes: Axes, rows: Sequence[_Row], layers: Sequence[str], mirrored: bool) -> None:
    """Draw the allowed differences as a band, and the numbers of the axis: decades, and 0 a decade below all others.

    mirrored: whether its value is at the right end.
    """
    values = [value for row in rows for value in (row["relative"], _share(row["mean"], row), row["allowed"]) if value]
    low, high = (min(max(end(values, default=1e-6), _LEAST), 1 / _LEAST) for end in (min, max))
    broken = any(row["relative"] is None for row in rows)  # drawn above all others
    first, last = math.floor(math.log10(low)), math.floor(math.log10(high * 25))
    least = 10.0**first
    axes.set_yscale("symlog", linthresh=least, linscale=1)
    axes.set_ylim(-least / 4, high * 25 * (100 if broken else 1))
    powers = range(first, last + 1, math.ceil((last - first + 1) / 5))
    axes.set_yticks([0, *(10.0**power for power in powers)], ["0", *(f"1e{power}" for power in powers)])
    axes.yaxis.set_minor_locator(NullLocator())
    allowed = [max((row["allowed"] for row in rows if row["layer"] == layer), default=0.0) for layer in layers]
    edges = [-0.7, *(number + 0.5 for number in range(len(layers) - 1)), len(layers) - 0.3]
    if any(allowed):
        band = {"baseline": -least / 4, "fill": True, "color": INK, "alpha": 0.07, "gid": f"{SHOWS}tolerance"}
        for style in (band, {"baseline": None, "fill": False, "edgecolor": INK, "linewidth": 0.8}):
            axes.add_artist(StepPatch(allowed, edges, **style))
        at = len(layers) - 0.3 if mirrored else -0.7
        words, place = f"tolerance {error(allowed[-mirrored])}", (at, allowed[-mirrored])
        side, step = ("right", -6) if mirrored else ("left", 6)
        write(axes, words, place, (step, 4), ha=side, va="baseline")


def _draw_curve(axes: Axes, rows: Sequence[_Row], layers: Sequence[str], style: Look, wider: float) -> None:
    """Draw a curve; wider: than usual by this, so that it shows beside those that are drawn over it."""
    place = {layer: number for number, layer in enumerate(layers)}
    high = axes.get_ylim()[1]
    for what, points in (
        ("mean", [(place[row["layer"]], _share(row["mean"], row)) for row in rows]),
        ("largest", [(place[row["layer"]], row["relative"]) for row in rows]),
    ):
        finite = [(x, min(value, high)) for x, value in points if value is not None]
        if what == "largest":
            axes.plot(*np.reshape(finite, (-1, 2)).T, **style.line(1.2 + wider / 2), zorder=1.5)
        marks = style.points(what == "largest", 4.5 + wider)
        axes.plot(*np.reshape(finite, (-1, 2)).T, **marks, gid=f"{SHOWS}{what}")
    broken = [place[row["layer"]] for row in rows if row["relative"] is None]
    if broken:
        cross = Look(style.colour, "x").points(solid=True)
        above, left = axes.get_xaxis_transform(), broken[-1] < len(layers) / 2
        axes.plot(broken, [0.84] * len(broken), **cross, transform=above, gid=f"{SHOWS}not finite")
        side, step = ("left", 7) if left else ("right", -7)
        write(axes, "not finite", (broken[-1], 0.84), (step, 0), xycoords=above, ha=side)


def _named(layers: Sequence[str]) -> list[tuple[str, int]]:
    """Return the name of every layer and its line: a lower one where the one before leaves no room."""
    step = (_WIDTH - _LEFT - 8) / (len(layers) + 0.4)
    ends: list[float] = []
    names = []
    for number, layer in enumerate(layers):
        name = fitted(re.sub(r"^blocks\.(?=\d+$)", "", layer), 90, SMALL)
        half = text_width(name, SMALL) / 2
        line = next((line for line, end in enumerate(ends) if step * number - half >= end), len(ends))
        ends[line:] = [step * number + half + 4, *ends[line + 1 :]]
        names.append((name, line))
    return names


def _mark_first(axes: Axes, comparisons: Iterable[Mapping[str, Any]], layers: Sequence[str]) -> None:
    for first in dict.fromkeys(one["first"] for one in comparisons if one["first"] in layers):
        x = layers.index(first)
        axes.axvline(x, color=VERMILLION, linewidth=1.2, linestyle=(0, (4, 2)))
        words, above = f"first divergence: {fitted(first, 200, SMALL)}", axes.get_xaxis_transform()
        side, step = ("right", -5) if x > len(layers) * 0.7 else ("left", 5)
        write(axes, words, (x, 1), (step, -9), xycoords=above, ha=side, va="baseline", gid=f"{SHOWS}first")
