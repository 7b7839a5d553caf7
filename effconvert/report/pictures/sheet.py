"""What a picture is drawn on: a figure of matplotlib whose coordinates are pixels from the upper left corner.

Its own axes and ticks take most of the time of a small picture; without them what stands where is also known while it
is drawn, so that labels can keep clear of points.
"""

from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Affine2D
from numpy.typing import ArrayLike

from effconvert.report.pictures.style import PIXELS, SIZE

_MARGIN = 4  # pixels that stay free on every side


class Sheet:
    """A figure of `width` and `height` pixels besides its margin, without background."""

    def __init__(self, width: float, height: float) -> None:
        across, down = (length + 2 * _MARGIN for length in (width, height))
        self.figure = Figure((across / PIXELS, down / PIXELS), dpi=PIXELS)
        self.figure.patch.set_visible(False)
        inches = Affine2D().translate(_MARGIN, _MARGIN - down).scale(1 / PIXELS, -1 / PIXELS)
        self._pixels = inches + self.figure.dpi_scale_trans

    def line(self, x: ArrayLike, y: ArrayLike, **style: Any) -> None:
        """Draw a line or markers at pixels. style: as of Line2D."""
        self._add(Line2D(x, y, **style))

    def text(self, x: float, y: float, text: str, fontsize: float = SIZE, **style: Any) -> None:
        """Write at a pixel. style: as of Text; the left end of the baseline is at (x, y) without any."""
        self._add(Text(x, y, text, fontsize=fontsize, **style))

    def box(self, left: float, top: float, width: float, height: float, **style: Any) -> None:
        """Fill a box. style: as of Rectangle."""
        self._add(Rectangle((left, top), width, height, **style))

    def _add(self, artist: Artist) -> None:
        artist.set_transform(self._pixels)
        self.figure.add_artist(artist)
