"""Chart of the differences between measured and published accuracy, source by source, with intervals and limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from effconvert.report.pictures.panel import Panel, Scale, Sheet, heading, legend, legend_height
from effconvert.report.pictures.style import (
    BLUE,
    GREY,
    INK,
    SHOWS,
    SMALL,
    VERMILLION,
    Drawing,
    Look,
    fitted,
    text_width,
)
from effconvert.report.renderings.numbers_text import signed
from effconvert.report.renderings.text import shortened, visible

NAME, TITLE = "differences", "Measured and published accuracy"
HEADERS = (
    "network", "variant", "weights", "source", "kind", "metric", "own_preprocessing", "published", "measured", "low",
    "high", "difference", "limit", "verdict", "decides", "reason", "drawn",
)  # fmt: skip
_SHOWN, _ROW = 40, 20
_WIDTH, _NAMES, _SOURCES = 860, 210, 150
_COLOURS = {"same": BLUE, "near": BLUE, "away": VERMILLION}


@dataclass(frozen=True)
class Row:
    """One network beside one source, in percent and points. interval: of the measured accuracy."""

    network: str
    source: str
    own: bool
    measured: float
    interval: tuple[float, float]
    published: float
    difference: float
    limit: float | None
    word: str

    @property
    def look(self) -> Look:
        """The look of the row: a square if the run has the source's own preprocessing."""
        return Look(_COLOURS.get(self.word, GREY), "s" if self.own else "o")


def draw(document: dict[str, Any]) -> Drawing | None:
    """Draw the top-1 of every network and source, sorted by difference.

    Of more than 40, the deciding sources are drawn first, then the largest differences.
    """
    found = [
        (network, source)
        for network in document["networks"]
        if network["accuracy"]
        for source in network["accuracy"]["sources"]
    ]
    if not found:
        return None
    far = set(sorted(range(len(found)), key=lambda number: _rank(found[number][1]))[:_SHOWN])
    drawn = sorted((_row(*found[number]) for number in sorted(far)), key=lambda row: -row.difference)
    rows = tuple(line for number, pair in enumerate(found) for line in _lines(*pair, drawn=number in far))
    return Drawing(NAME, TITLE, _text(drawn, len(found)), HEADERS, rows, _figure(drawn))


def _rank(source: Mapping[str, Any]) -> tuple[bool, float]:
    """Return the sort key of sources: deciding ones first, then by difference."""
    return not source["decides"], -abs(source["top1"]["difference"])


def _row(network: Mapping[str, Any], source: Mapping[str, Any]) -> Row:
    top1 = source["top1"]
    low, high = network["accuracy"]["top1"]["interval"]
    return Row(
        network=network["name"],
        source=source["kind"],
        own=source["own_preprocessing"],
        measured=top1["measured"],
        interval=(low, high),
        published=top1["published"],
        difference=top1["difference"],
        limit=top1["limit"],
        word=top1["word"],
    )


def _lines(network: Mapping[str, Any], source: Mapping[str, Any], drawn: bool) -> list[tuple[Any, ...]]:
    """Return the lines of the table: top-1, and top-5 if it was published."""
    return [
        (
            network["name"], network["variant"], network["weights"], source["source"], source["kind"], metric,
            source["own_preprocessing"], judged["published"], judged["measured"],
            *network["accuracy"][metric]["interval"], judged["difference"], judged["limit"], judged["word"],
            source["decides"], source["reason"], drawn and metric == "top1",
        )
        for metric in ("top1", "top5")
        if (judged := source[metric])
    ]  # fmt: skip


def _text(drawn: Sequence[Row], found: int) -> str:
    furthest = max(drawn, key=lambda row: abs(row.difference))
    away = sum(row.word == "away" for row in drawn)
    whole = (
        f" {len(drawn)} of {found:,} pairs of network and source are drawn: deciding ones, then the furthest apart."
        if found > len(drawn)
        else ""
    )
    return (
        f"The largest difference between measured and published top-1 is that of {shortened(furthest.network, 60)} and "
        f"{shortened(furthest.source, 60)}: {furthest.measured:.3f} % against {furthest.published:g} %, "
        f"{signed(furthest.difference)} points. Of the {len(drawn)} drawn differences, {away} "
        f"{'is' if away == 1 else 'are'} beyond the limits.{whole}"
    )


def _figure(rows: Sequence[Row]) -> Figure:
    entries = [
        ("published", Look(INK, "o").points(solid=False)),
        ("measured, with its 95 % interval", Look(INK, "o").points(solid=True)),
        ("the same with the source's own preprocessing", Look(INK, "s").points(solid=True)),
        ("limit of the verdict", {**Look(INK, "s").points(solid=True, size=11), "alpha": 0.15, "markeredgewidth": 0}),
    ]
    top = legend_height(entries, _WIDTH) + 34
    names = min(_NAMES, max(text_width(fitted(row.network, _NAMES)) for row in rows)) + 12
    sources = min(_SOURCES, max(text_width(fitted(row.source, _SOURCES)) for row in rows)) + 14
    left = names + sources
    sheet = Sheet(_WIDTH, top + len(rows) * _ROW + 44)
    legend(sheet, 2, 0, _WIDTH, entries)
    reach = _reach(rows)
    panel = Panel(sheet, left, top, _WIDTH - left - 196, len(rows) * _ROW, Scale(-reach, reach), Scale(len(rows), 0))
    ticks = [(tick, signed(tick, 2).rstrip("0").rstrip(".") if tick else "0") for tick in panel.across.ticks()]
    panel.draw_ticks_across(ticks, "measured minus published top-1, points")
    for x, text in ((0, "network"), (names, "source")):
        heading(sheet, x, top - 8, text)
    for x, text in ((panel.right + 58, "measured"), (panel.right + 122, "published"), (_WIDTH - 2, "verdict")):
        sheet.text(x, top - 8, text, ha="right", va="baseline", fontweight="bold", fontsize=SMALL)
    for number, row in enumerate(rows):
        _draw_row(panel, row, number + 0.5, (0, names))
    return sheet.figure


def _reach(rows: Sequence[Row]) -> float:
    """Return the half-length of the axis; values far beyond most others are cut off at its ends."""
    halves = [min((row.interval[1] - row.interval[0]) / 2, 1.0) for row in rows]
    sizes = sorted(max(abs(row.difference) + half, row.limit or 0.0) for row, half in zip(rows, halves, strict=True))
    usual = sizes[(len(sizes) - 1) * 3 // 4]
    return max(min(sizes[-1], 3 * usual) * 1.1, 0.1)


def _draw_row(panel: Panel, row: Row, at: float, columns: tuple[float, float]) -> None:
    sheet, y = panel.sheet, float(panel.y(at))
    style, reach = row.look, panel.across.high
    ink = style.colour

    def pixel(value: float) -> float:
        return float(panel.x(min(max(value, -reach), reach)))

    if row.limit is not None:
        panel.shade(pixel(-row.limit), y - _ROW / 2 + 2, pixel(row.limit), y + _ROW / 2 - 2, "limit")
    low, high = (bound - row.measured + row.difference for bound in row.interval)
    sheet.line([pixel(low), pixel(high)], [y, y], color=ink, linewidth=1)
    panel.link([(0, at), (min(max(row.difference, -reach), reach), at)], style, width=2.6)
    sheet.line([pixel(0)], [y], **Look(INK, style.marker).points(solid=False), gid=f"{SHOWS}published")
    beyond = abs(row.difference) > reach
    marker = Look(ink, "<" if row.difference < 0 else ">") if beyond else style
    sheet.line([pixel(row.difference)], [y], **marker.points(solid=True), gid=f"{SHOWS}measured")
    texts = (
        (columns[0], fitted(row.network, _NAMES), "left"),
        (columns[1], fitted(row.source, _SOURCES), "left"),
        (panel.right + 58, f"{row.measured:.3f}", "right"),
        (panel.right + 122, f"{row.published:g}", "right"),
        (_WIDTH - 2, visible(row.word), "right"),
    )
    for x, text, side in texts:
        sheet.text(x, y, text, ha=side, va="center_baseline", fontsize=SMALL)
