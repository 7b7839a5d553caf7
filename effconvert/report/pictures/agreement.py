"""Agreement matrix: the share of images with the same first class in two networks."""

from collections.abc import Sequence
from math import floor
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from effconvert.report.pictures.panel import panel, sheet, write
from effconvert.report.pictures.style import SHOWS, SIZE, SMALL, Drawing, fitted, text_width
from effconvert.report.renderings.text import shortened, visible

NAME, TITLE = "agreement", "Agreement of top-1"
HEADERS = (
    "network", "other", "images", "same_top1", "percent", "only_network_right", "only_other_right", "p", "drawn",
)  # fmt: skip
_SHOWN = 20
_NAMES, _CELL, _TOP, _BAR = 230, 31, 26, 12
_COLOURS = "cividis"  # whose lightness is the same in grey print and for colour-blind readers


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
    left, side = max(map(text_width, shown[1:])) + 10, (count - 1) * _CELL
    right = left + max(side, text_width(shown[0]) + 140)
    figure = sheet(right + 4, max(_TOP + side + 2, 130))
    axes = panel(figure, left, _TOP, side, side)
    axes.set(xlim=(0, count - 1), ylim=(count, 1), xticks=[])
    axes.set_yticks([row + 0.5 for row in range(1, count)], shown[1:], fontsize=SIZE)
    axes.spines[:].set_visible(False)
    axes.grid(False)
    low = floor(min(np.nanmin(share[np.tril_indices(count, -1)]), 99))
    for row in range(1, count):
        for column in range(row):
            _draw_cell(axes, row, column, share[row, column], low)
    write(axes, shown[0], (0, 1), (4, 8), va="baseline", fontsize=SIZE)
    for column in range(1, count - 1):
        write(axes, str(column + 1), (column + 0.5, column + 1), (0, 7), ha="center", va="baseline", fontsize=SIZE)
    _draw_scale(figure, right, low)
    return figure


def _draw_cell(axes: Axes, row: int, column: int, share: float, low: float) -> None:
    centred: dict[str, Any] = {"ha": "center", "va": "center_baseline", "gid": f"{SHOWS}cell"}
    if np.isnan(share):  # no common image
        axes.text(column + 0.5, row + 0.5, "-", **centred)
        return
    colour = colormaps[_COLOURS]((share - low) / (100 - low))
    axes.add_artist(Rectangle((column + 0.02, row + 0.02), 0.96, 0.96, facecolor=colour, linewidth=0))
    axes.text(column + 0.5, row + 0.5, _percent(share), color=_readable(colour[:3]), fontsize=SMALL, **centred)


def _readable(colour: Sequence[float]) -> str:
    """Return black or white, whichever has more contrast with a background (WCAG 2.1, relative luminance)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return "#ffffff" if np.dot((0.2126, 0.7152, 0.0722), linear) < 0.179 else "#010101"


def _draw_scale(figure: Figure, right: float, low: float) -> None:
    """Draw the legend of the colours in the empty half of the matrix."""
    axes = panel(figure, right - _BAR, 26, _BAR, 84)
    scale = Colorbar(axes, ScalarMappable(Normalize(low, 100), colormaps[_COLOURS].resampled(28)))
    scale.outline.set_visible(False)
    axes.collections[0].set_edgecolor("face")  # browsers show gaps between colours without an edge
    scale.set_ticks([low, 100], labels=[f"{low:g} %", "100 %"])
    axes.yaxis.set_ticks_position("left")
    axes.set_title("share of equal top-1", x=1, loc="right", fontsize=SMALL, fontweight="normal", pad=10)
