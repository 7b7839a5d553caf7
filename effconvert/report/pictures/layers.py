"""Chart of the error by depth: the difference of each layer from the source's, with the tolerance as a band."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from effconvert.report.pictures.panel import Entry, Panel, Scale, Sheet, heading, legend, legend_height
from effconvert.report.pictures.style import (
    INK,
    SHOWS,
    SMALL,
    VERMILLION,
    Drawing,
    Look,
    fitted,
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
_WIDTH, _LEFT, _PANEL = 760, 52, 180
_MODES = {
    "accumulated": "End to end: after the network's own earlier layers",
    "fed": "Isolated: with the reference's input for each layer",
}
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
    return " ".join(sentences)


def _figure(comparisons: Sequence[Mapping[str, Any]]) -> Figure:
    layers = list(dict.fromkeys(row["layer"] for one in comparisons for row in one["rows"]))
    modes = [mode for mode in _MODES if any(row["mode"] == mode for one in comparisons for row in one["rows"])]
    entries = _entries(comparisons)
    top = legend_height(entries, _WIDTH) + 34
    sheet = Sheet(_WIDTH, top + len(modes) * (_PANEL + 76) - 34)
    legend(sheet, 2, 0, _WIDTH, entries)
    for mode in modes:
        heading(sheet, 0, top - 10, _MODES[mode])
        groups = [[row for row in one["rows"] if row["mode"] == mode] for one in comparisons]
        panel, floor = _panel(sheet, top, groups, len(layers))
        panel.draw_ticks_across(_some(layers), "layer, from the image to the logits; numbers are blocks", lines=False)
        _mark_first(panel, comparisons, layers)
        for number, group in enumerate(groups):
            _draw_series(panel, group, layers, look(number), floor)
        top += _PANEL + 76
    return sheet.figure


def _entries(comparisons: Sequence[Mapping[str, Any]]) -> list[Entry]:
    entries: list[Entry] = []
    for number, comparison in enumerate(comparisons):
        style = look(number)
        whose = f", {fitted(comparison['framework'], 120)}" if len(comparisons) > 1 else ""
        entries.append(
            (
                f"largest |Δ|{whose}, as a share of the layer's largest value",
                style.points(solid=True, size=5) | style.line(),
            )
        )
        entries.append((f"mean |Δ|{whose}", style.points(solid=False, size=5)))
    return entries


def _panel(sheet: Sheet, top: float, groups: Sequence[Sequence[_Row]], layers: int) -> tuple[Panel, float]:
    """Return a panel with tolerance and ticks, and its position of 0: a decade below everything else."""
    rows = [row for group in groups for row in group]
    values = [value for row in rows for value in (row["relative"], _share(row["mean"], row), row["allowed"]) if value]
    low, high = (min(max(end(values, default=1e-6), _LEAST), 1 / _LEAST) for end in (min, max))
    floor = 10.0 ** (math.floor(math.log10(low)) - 1)
    up = Scale(floor / 2, high * 25, log=True)
    panel = Panel(sheet, _LEFT, top, _WIDTH - _LEFT - 8, _PANEL, Scale(-0.7, layers - 0.3), up)
    allowed = max(row["allowed"] for row in rows)
    if allowed > 0:
        panel.shade(panel.left, panel.y(allowed), panel.right, panel.bottom, "tolerance")
        sheet.line([panel.left, panel.right], [panel.y(allowed)] * 2, color=INK, linewidth=0.8)
        sheet.text(panel.left + 6, panel.y(allowed) - 4, f"tolerance {error(allowed)}", va="baseline", fontsize=SMALL)
    decades = [10.0**power for power in range(round(math.log10(floor)) + 1, math.floor(math.log10(up.high)) + 1)]
    step = math.ceil(len(decades) / 5)
    panel.draw_ticks_up([(floor, "0"), *((value, f"1e{round(math.log10(value))}") for value in decades[::step])])
    panel.draw_axes()
    return panel, floor


def _draw_series(panel: Panel, rows: Sequence[_Row], layers: Sequence[str], style: Look, floor: float) -> None:
    place = {layer: number for number, layer in enumerate(layers)}
    largest = [(place[row["layer"]], row["relative"]) for row in rows]
    mean = [(place[row["layer"]], _share(row["mean"], row)) for row in rows]
    for what, points in (("mean", mean), ("largest", largest)):
        finite = [(x, min(max(value, floor), panel.up.high)) for x, value in points if value is not None]
        if what == "largest":
            panel.link(finite, style)
        panel.draw_points(finite, style.points(what == "largest", size=4.5), what)
    broken = [x for x, value in largest if value is None]
    if broken:
        top = panel.up.high / 3
        crosses = {"marker": "x", "markersize": 6, "color": style.colour, "linestyle": "none"}
        panel.draw_points([(x, top) for x in broken], crosses, "not finite")
        panel.sheet.text(panel.x(broken[0]) + 7, panel.y(top), "not finite", va="center_baseline", fontsize=SMALL)


def _some(layers: Sequence[str]) -> list[tuple[float, str]]:
    """Return the layers to name on the axis, with their numbers: first, last, and others that have room."""
    names = [fitted(re.sub(r"^blocks\.(?=\d+$)", "", layer), 90, SMALL) for layer in layers]
    middles = [(_WIDTH - _LEFT - 8) / len(layers) * number for number in range(len(layers))]
    halves = [text_width(name, SMALL) / 2 + 4 for name in names]
    chosen: list[int] = []
    for number in sorted(range(len(layers)), key=lambda at: (names[at].isdigit(), names[at][-1:] not in "05")):
        if all(abs(middles[number] - middles[one]) > halves[number] + halves[one] for one in chosen):
            chosen.append(number)
    return [(number, names[number]) for number in sorted(chosen)]


def _mark_first(panel: Panel, comparisons: Iterable[Mapping[str, Any]], layers: Sequence[str]) -> None:
    for first in dict.fromkeys(one["first"] for one in comparisons if one["first"] in layers):
        x = panel.x(layers.index(first))
        panel.sheet.line([x, x], [panel.top, panel.bottom], color=VERMILLION, linewidth=1.2, linestyle=(0, (4, 2)))
        left = x > panel.left + panel.width * 0.7
        words = f"first divergence: {fitted(first, 200, SMALL)}"
        panel.sheet.text(
            x + (-5 if left else 5), panel.top + 9, words, ha="right" if left else "left", va="baseline",
            fontsize=SMALL, gid=f"{SHOWS}first",
        )  # fmt: skip
