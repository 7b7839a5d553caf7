"""Agreement matrix: the share of images with the same first class in two networks."""

from collections.abc import Sequence
from math import floor
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from effconvert.report.pictures.panel import Sheet
from effconvert.report.pictures.style import SHOWS, SMALL, Drawing, fitted, text_width
from effconvert.report.renderings.text import shortened, visible

NAME, TITLE = "agreement", "Agreement of top-1"
HEADERS = (
    "network", "other", "images", "same_top1", "percent", "only_network_right", "only_other_right", "p", "drawn",
)  # fmt: skip
_SHOWN = 20
_NAMES, _CELL, _TOP, _BAR = 190, 31, 26, 12


def draw(document: dict[str, Any]) -> Drawing | None:
    """Draw the share of equal top-1 for every two networks; of more than 20, those that agree least with the others."""
    found = document["agreement"]
    if found is None or len(found["ids"]) < 2:
        return None
    images = np.asarray(found["images"], float)
    same = np.asarray(found["same"], float)
    share = np.divide(100 * same, images, out=np.full(images.shape, np.nan), where=images > 0)
    if np.isnan(share[np.triu_indices(len(share), 1)]).all():
        return None
    names = {network["id"]: network["name"] for network in document["networks"]}
    shown = _least_agreeing(share)
    rows = _rows(found, [names[one] for one in found["ids"]], share, set(shown))
    chosen = [names[found["ids"][number]] for number in shown]
    small = share[np.ix_(shown, shown)]
    return Drawing(
        NAME,
        TITLE,
        _text(chosen, small, len(share) + found["left_out"]) + _refused(len(found["refused"])),
        HEADERS,
        rows,
        _figure(chosen, small),
    )


def _least_agreeing(share: NDArray[np.float64]) -> list[int]:
    """Return the networks to draw, in their own order."""
    if len(share) <= _SHOWN:
        return list(range(len(share)))
    others = np.where(np.eye(len(share), dtype=bool), np.nan, share)
    means = [np.nanmean(row) if np.isfinite(row).any() else np.inf for row in others]
    return sorted(np.argsort(means, kind="stable")[:_SHOWN].tolist())


def _rows(
    found: dict[str, Any], names: Sequence[str], share: NDArray[np.float64], shown: set[int]
) -> tuple[tuple[Any, ...], ...]:
    return tuple(
        (
            names[one], names[other], found["images"][one][other], found["same"][one][other],
            _number(share[one, other]), found["only_first"][one][other], found["only_second"][one][other],
            found["p"][one][other], one in shown and other in shown,
        )
        for one in range(len(names))
        for other in range(one + 1, len(names))
    )  # fmt: skip


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _text(names: Sequence[str], share: NDArray[np.float64], networks: int) -> str:
    pairs = np.where(np.triu(np.ones(share.shape, dtype=bool), 1), share, np.nan)
    low, high = (divmod(int(choose(pairs)), len(names)) for choose in (np.nanargmin, np.nanargmax))
    whole = "" if networks == len(names) else f" The {len(names)} of {networks:,} networks that agree least are drawn."

    def said(pair: tuple[int, int]) -> str:
        one, other = (shortened(names[number], 60) for number in pair)
        return f"{one} and {other} ({_percent(pairs[pair])} %)"

    if low == high:
        return f"{said(low).partition(' (')[0]} have the same top-1 for {_percent(pairs[low])} % of the images.{whole}"
    return f"Top-1 agrees least for {said(low)}, most for {said(high)}.{whole}"


def _refused(pairs: int) -> str:
    if not pairs:
        return ""
    return f" Not compared: {pairs:,} pair{'s' * (pairs != 1)} of networks with different pictures or classes."


def _percent(share: float) -> str:
    """Return a share in percent with one digit, rounded down, so that 100 means all images."""
    return "100" if share >= 100 else f"{floor(share * 10 + 1e-6) / 10:.1f}"


def _figure(names: Sequence[str], share: NDArray[np.float64]) -> Figure:
    """Draw the lower triangle, since the matrix is symmetric."""
    count = len(names)
    shown = [fitted(f"{number + 1}  {visible(name)}", _NAMES) for number, name in enumerate(names)]
    left = max(map(text_width, shown[1:])) + 10
    scale = left + max((count - 1) * _CELL, text_width(shown[0]) + 140)
    sheet = Sheet(scale + 4, max(_TOP + (count - 1) * _CELL + 2, 130))
    low = floor(min(np.nanmin(share[np.tril_indices(count, -1)]), 99))
    for row in range(1, count):
        y = _TOP + (row - 1) * _CELL
        sheet.text(left - 8, y + _CELL / 2, shown[row], ha="right", va="center_baseline")
        for column in range(row):
            _draw_cell(sheet, left + column * _CELL, y, share[row, column], low)
    sheet.text(left + 4, _TOP - 8, shown[0], ha="left", va="baseline")
    for column in range(1, count - 1):
        x, y = left + (column + 0.5) * _CELL, _TOP + column * _CELL - 7
        sheet.text(x, y, str(column + 1), ha="center", va="baseline")
    _draw_scale(sheet, scale, low)
    return sheet.figure


def _draw_cell(sheet: Sheet, x: float, y: float, share: float, low: float) -> None:
    middle = (x + _CELL / 2, y + _CELL / 2)
    centred: dict[str, Any] = {"ha": "center", "va": "center_baseline", "gid": f"{SHOWS}cell"}
    if np.isnan(share):  # no common image
        sheet.text(*middle, "-", **centred)
        return
    colour = _colour((share - low) / (100 - low))
    sheet.box(x + 0.5, y + 0.5, _CELL - 1, _CELL - 1, facecolor=colour, linewidth=0)
    sheet.text(*middle, _percent(share), color=_readable(colour), fontsize=SMALL, **centred)


def _colour(share: float) -> tuple[float, ...]:
    """Return a colour of cividis, whose lightness is the same in grey print and for colour-blind readers."""
    return tuple(colormaps["cividis"](share)[:3])


def _readable(colour: Sequence[float]) -> str:
    """Return black or white, whichever has more contrast with a background (WCAG 2.1, relative luminance)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return "#ffffff" if np.dot((0.2126, 0.7152, 0.0722), linear) < 0.179 else "#010101"


def _draw_scale(sheet: Sheet, right: float, low: float) -> None:
    """Draw the legend of the colours in the empty half of the matrix."""
    sheet.text(right, 11, "share of equal top-1", ha="right", va="baseline", fontsize=SMALL)
    height, steps = 84 / 28, 28
    for step in range(steps):
        colour = _colour(1 - (step + 0.5) / steps)
        sheet.box(right - _BAR, 22 + step * height, _BAR, height + 0.3, facecolor=colour, linewidth=0)
    for value, y in ((100, 22), (low, 22 + 84)):
        sheet.text(right - _BAR - 6, y, f"{value:g} %", ha="right", va="center_baseline", fontsize=SMALL)
