"""What all pictures share: colours, markers, fonts, sizes in pixels, and how names are written.

The colours are those of M. Okabe and K. Ito, "Color Universal Design" (2008), that have a contrast of 3:1 on white and
on #121212, and a grey. They look alike in grey print: each series has a marker and a line of its own as well.
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

INK = "#010203"  # stands for the colour of the page's text until the SVG is written
BLUE, VERMILLION, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#808080"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, GREY)
SHOWS = "shows:"  # begins the `gid` of what shows data: the SVG has the rest of it as `data-shows`
MUTED = 0.68  # opacity of ink that stands back
PIXELS = 72  # an inch: one unit of the SVG is one pixel and one point of text
SIZE, SMALL = 11.0, 10.5

_MARKERS = ("o", "s", "^", "D", "v", "P", ">", "p", "<", "h", "d", "*")
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1.5)))
_DEFAULTS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": SIZE,
    "path.simplify": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "effconvert",
    "text.color": INK,
    "text.parse_math": False,  # a name with $ or _ is no formula
}


@dataclass(frozen=True)
class Drawing:
    """A picture that is drawn and not yet written; the fields are those of `Picture`."""

    name: str
    title: str
    text: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    figure: Figure


@dataclass(frozen=True)
class Look:
    """How a series is drawn."""

    colour: str
    marker: str
    dashes: Any = "-"

    def points(self, solid: bool, size: float = 6) -> dict[str, Any]:
        """Return what `Sheet.line` takes: a solid marker for what was measured, a hollow one for what was published."""
        inside = self.colour if solid else "none"
        return {
            "marker": self.marker,
            "markersize": size,
            "markeredgecolor": self.colour,
            "markerfacecolor": inside,
            "markeredgewidth": 1.1,
            "linestyle": "none",
        }

    def line(self) -> dict[str, Any]:
        """Return what `Sheet.line` takes for a thin line."""
        return {"color": self.colour, "linewidth": 0.9, "linestyle": self.dashes}


def look(number: int) -> Look:
    """Return the look of a series: 60 differ, neighbours in both colour and marker."""
    around, place = divmod(number, len(COLOURS))
    return Look(COLOURS[place], _MARKERS[number % len(_MARKERS)], _DASHES[(place + around) % len(_DASHES)])


@contextmanager
def drawing() -> Iterator[None]:
    """Let the block draw by these rules, whatever matplotlibrc says, and leave matplotlib as it was."""
    with context(["default", _DEFAULTS]), catch_warnings():
        filterwarnings("ignore", message="Glyph .* missing")  # a browser has the letters that our measure lacks
        yield


@lru_cache(8192)
def text_width(text: str, size: float = SIZE) -> float:
    """Return the width of a line of text in pixels, of a font that is as wide as any that browsers take."""
    font = FontProperties(family="DejaVu Sans", size=size)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def fitted(text: object, width: float, size: float = SIZE) -> str:
    """Return `text` as `visible` does, shortened in its middle to `width` pixels."""
    text = visible(text)
    if len(text) > 400:  # measured only as far as it could fit
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
    """Return words as a sentence has them: a, b and c."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
