"""Chart of the differences between measured and published accuracy, source by source, with intervals and limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from effconvert.report.pictures.panel import SIGNED, draw_interval, framed, legend, legend_height, panel, sheet, write
from effconvert.report.pictures.style import (
    BLUE,
    GREY,
    INK,
    SHOWS,
    VERMILLION,
    Drawing,
    Look,
    fitted,
    listed,
    text_width,
)
from effconvert.report.renderings.numbers_text import decimals, signed
from effconvert.report.renderings.text import shortened, visible
from effconvert.validate.accuracy.decimals import places

NAME, TITLE = "differences", "Measured and published accuracy"
HEADERS = (
    "network", "variant", "weights", "source", "kind", "metric", "own_preprocessing", "published", "measured", "low",
    "high", "difference", "limit", "verdict", "decides", "reason", "drawn",
)  # fmt: skip
_SHOWN, _ROW = 40, 20
_OWN = "s"  # the marker of a run with the source's own preprocessing
_WIDTH, _NAMES, _SOURCES, _NUMBERS = 856, 210, 150, 196
_COLOURS = {"same": BLUE, "near": BLUE, "away": VERMILLION}
_MEANINGS = {BLUE: "measured", VERMILLION: "measured, beyond the limit", GREY: "measured, not judged"}


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
    reason: str
    images: int

    @property
    def percent(self) -> str:
        """The measured accuracy, with the digits that its images give."""
        return decimals(self.measured, places(self.images))

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the interval of the difference."""
        low, high = (bound - self.measured + self.difference for bound in self.interval)
        return low, high

    @property
    def look(self) -> Look:
        """The look of the row: a square if the run has the source's own preprocessing."""
        return Look(_COLOURS.get(self.word, GREY), _OWN if self.own else "o")


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
        reason=source["reason"],
        images=network["accuracy"]["top1"]["images"],
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
    whole = (
        f" {len(drawn)} of {found:,} pairs of network and source are drawn: deciding ones, then the furthest apart."
        if found > len(drawn)
        else ""
    )
    points = signed(furthest.difference, places(furthest.images))
    return (
        f"The largest difference between measured and published top-1 is that of {shortened(furthest.network, 60)} and "
        f"{shortened(furthest.source, 60)}: {furthest.percent} % against {furthest.published:g} %, "
        f"{points} points. {_judged(drawn)}.{whole}"
    )


def _judged(drawn: Sequence[Row]) -> str:
    """Return how many differences are beyond their limits, or why none has a limit."""
    away = sum(row.word == "away" for row in drawn)
    without = sum(row.limit is None for row in drawn)
    if without == len(drawn):
        reasons = listed([visible(reason) for reason in dict.fromkeys(row.reason for row in drawn) if reason])
        return "No difference was judged" + (f": {reasons}" if reasons else "")
    unjudged = f", {without} without a limit" if without else ""
    return f"Of the {len(drawn)} drawn differences, {away} {'is' if away == 1 else 'are'} beyond the limits{unjudged}"


def _entries(rows: Sequence[Row]) -> list[Artist]:
    """Return the legend of what is drawn, as it is drawn."""
    entries: list[Artist] = [Line2D([], [], label="published", **Look(INK, "o").points(solid=False))]
    for one in dict.fromkeys(row.look for row in rows):
        how = ", with the source's own preprocessing" if one.marker == _OWN else ""
        entries.append(Line2D([], [], label=_MEANINGS[one.colour] + how, **one.points(solid=True)))
    entries.append(Line2D([], [], label="95 % interval", color=rows[0].look.colour, linewidth=1.2))
    if any(row.limit is not None for row in rows):
        entries.append(Patch(label="limit of the verdict", facecolor=INK, alpha=0.15))
    return entries


def _figure(rows: Sequence[Row]) -> Figure:
    entries = _entries(rows)
    top = legend_height(entries, _WIDTH) + 34
    names = min(_NAMES, max(text_width(fitted(row.network, _NAMES)) for row in rows)) + 12
    left = names + min(_SOURCES, max(text_width(fitted(row.source, _SOURCES)) for row in rows)) + 14
    figure = sheet(_WIDTH, top + len(rows) * _ROW + 36)
    legend(figure, entries, _WIDTH)
    axes = panel(figure, left, top, _WIDTH - left - _NUMBERS, len(rows) * _ROW)
    limits = [sign * row.limit for row in rows if row.limit is not None for sign in (-1, 1)]
    low, high = framed([0.0, *limits, *(end for row in rows for end in (row.difference, *row.ends))], 1)
    axes.set(xlim=(low, high), ylim=(len(rows), 0), yticks=[], xlabel="measured minus published top-1, points")
    axes.xaxis.set_major_formatter(SIGNED)
    axes.spines[["left", "bottom"]].set_visible(False)
    write_row = partial(_write, axes, (-left, names - left), _WIDTH - left)
    write_row(-0.5, ("network", "source", "measured", "published", "verdict"), fontweight="bold")
    for number, row in enumerate(rows):
        _draw_row(axes, row, number + 0.5)
        words = (fitted(row.network, _NAMES), fitted(row.source, _SOURCES), row.percent)
        write_row(number + 0.5, (*words, f"{row.published:g}", visible(row.word)))
    return figure


def _write(axes: Axes, lefts: tuple[float, float], right: float, at: float, words: Sequence[str], **style: Any) -> None:
    """Write the columns of a row: two begin at `lefts`, three end before `right`, pixels from the axes' left edge."""
    for place, text in zip((*lefts, right - 138, right - 74, right - 2), words, strict=True):
        side = "left" if place < 0 else "right"
        write(axes, text, (0, at), (place, 0), xycoords=axes.get_yaxis_transform(), ha=side, **style)


def _draw_row(axes: Axes, row: Row, at: float) -> None:
    style, (first, last) = row.look, axes.get_xlim()
    if row.limit is not None:
        ends = max(-row.limit, first), min(row.limit, last)
        axes.barh(at, ends[1] - ends[0], 0.8, ends[0], color=INK, alpha=0.15, linewidth=0, gid=f"{SHOWS}limit")
    draw_interval(axes, at, *row.ends, style.colour, upright=False)
    end = min(max(row.difference, first), last)
    axes.plot([0, end], [at, at], color=style.colour, linewidth=2.6, solid_capstyle="butt")
    axes.plot([0], [at], **Look(INK, style.marker).points(solid=False, size=7.5), gid=f"{SHOWS}published")
    beyond = end != row.difference
    marker = Look(style.colour, "<" if row.difference < 0 else ">") if beyond else style
    axes.plot([end], [at], **marker.points(solid=True, size=6 if beyond else 4.5), gid=f"{SHOWS}measured")
    if beyond:
        side, inside = ("left", 10) if row.difference < 0 else ("right", -10)
        write(axes, signed(row.difference), (end, at), (inside, 6), ha=side, gid=f"{SHOWS}beyond")
