"""Style of all pictures: colours, markers, fonts, sizes in pixels, and widths of text.

The colours are a grey and those of M. Okabe and K. Ito, "Color Universal Design" (2008), that have a contrast of 3:1 on
white and on #121212, the blue a little lighter, so that its thin lines show in the dark. In grey print they look alike,
so each series also has its own marker and line.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from warnings import catch_warnings, filterwarnings

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.style import context
from matplotlib.textpath import text_to_path

from effconvert.report.renderings.text import visible

INK = "#010203"  # placeholder for the page's text colour until the SVG is written
BLUE, VERMILLION, GREEN, PURPLE, GREY = "#2080c8", "#d55e00", "#009e73", "#cc79a7", "#808080"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, GREY)
SHOWS = "shows:"  # prefix of the `gid` of artists that show data; the SVG has the rest as `data-shows`
MUTED = 0.68  # opacity of secondary ink
PIXELS = 72  # per inch: one unit of the SVG is one pixel and one point of text
SIZE, SMALL = 11.0, 10.5

_MARKERS = ("o", "s", "^", "D", "v", "P", ">", "p", "<", "h", "d", "*")
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1.5)))
_LINE, _NO_MARKS = 0.8, {"major.size": 0, "minor.size": 0, "labelsize": SMALL, "color": INK}
_DEFAULTS: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": SIZE,
    "axes.linewidth": _LINE,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": SIZE,
    "axes.titleweight": "bold",
    "axes.titley": 1.0,
    "axes.titlepad": 9,
    "figure.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": SIZE,
    "grid.alpha": 0.14,
    "grid.color": INK,
    "grid.linewidth": 0.7,
    "legend.borderaxespad": 0,
    "legend.borderpad": 0,
    "legend.columnspacing": 1.6,
    "legend.fontsize": SIZE,
    "legend.frameon": False,
    "legend.labelspacing": 0.5,
    "path.simplify": False,
    "pdf.fonttype": 42,  # fonts that can be searched and edited
    "svg.fonttype": "none",
    "svg.hashsalt": "effconvert",
    "text.color": INK,
    "text.parse_math": False,  # a name with $ or _ is not a formula
    **{f"{axis}tick.{key}": value for axis in "xy" for key, value in _NO_MARKS.items()},
    "xtick.bottom": False,
    "ytick.left": False,
}


@dataclass(frozen=True)
class Drawing:
    """A picture that is drawn but not yet written; the fields are those of `Picture`."""

    name: str
    title: str
    text: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    figure: Figure


@dataclass(frozen=True)
class Look:
    """The look of a series."""

    colour: str
    marker: str
    dashes: Any = "-"

    def points(self, solid: bool, size: float = 6) -> dict[str, Any]:
        """Return arguments of `Line2D` for markers: solid for measured values, hollow for published ones."""
        return {
            "marker": self.marker,
            "markersize": size,
            "markeredgecolor": self.colour,
            "markerfacecolor": self.colour if solid else "none",
            "markeredgewidth": 1.2,
            "linestyle": "none",
        }

    def line(self, width: float = 1.2) -> dict[str, Any]:
        """Return arguments of `Line2D` for a thin line."""
        return {"color": self.colour, "linewidth": width, "linestyle": self.dashes}


def look(number: int) -> Look:
    """Return the look of a series: 60 looks are different, neighbours in both colour and marker."""
    around, place = divmod(number, len(COLOURS))
    return Look(COLOURS[place], _MARKERS[number % len(_MARKERS)], _DASHES[(place + around) % len(_DASHES)])


@contextmanager
def drawing() -> Iterator[None]:
    """Use this style within the block, independent of matplotlibrc, and restore matplotlib afterwards."""
    with context(["default", _DEFAULTS]), catch_warnings():
        filterwarnings("ignore", message="Glyph .* missing")  # browsers have glyphs that this font lacks
        yield


@lru_cache(8192)
def text_width(text: str, size: float = SIZE) -> float:
    """Return the width of a line of text in pixels, in a font at least as wide as those of browsers."""
    font = FontProperties(family="DejaVu Sans", size=size)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def fitted(text: object, width: float, size: float = SIZE) -> str:
    """Return `text` made visible, shortened in its middle to `width` pixels."""
    text = visible(text)
    if len(text) > 400:  # more cannot fit, so it need not be measured
        text = f"{text[:200]}…{text[-200:]}"
    if text_width(text, size) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        kept = (low + high + 1) // 2
        low, high = (kept, high) if text_width(_shortened(text, kept), size) <= width else (low, kept - 1)
    return _shortened(text, low)


def _shortened(text: str, kept: int) -> str:
    return f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"


def listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: a, b and c."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
