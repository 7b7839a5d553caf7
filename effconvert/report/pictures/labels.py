"""Labels beside their points, placed so that none hides another label or a point."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from effconvert.report.pictures.panel import pixels, write
from effconvert.report.pictures.style import INK, MUTED, SHOWS, SMALL, text_width

_HEIGHT = 14.0
# (x, y) steps from a point to its label's middle, the nearest and most usual first: above, below, right, left, aslant.
_SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))
_DISTANCES = (5.0, 12.0, 20.0, 30.0, 42.0, 56.0)
_NEAR = 2 * len(_SIDES)  # places without a line to the point
_ALONG = 12  # points of such a line that are looked at


@dataclass(frozen=True)
class Label:
    """A label's middle in pixels. far: it is so far from its point that it needs a line."""

    x: float
    y: float
    far: bool


def draw_labels(
    axes: Axes,
    labels: Sequence[tuple[tuple[float, float], str]],
    points: Iterable[tuple[float, float]],
    lines: Iterable[Sequence[tuple[float, float]]] = (),
) -> None:
    """Write labels, pairs of ((x, y), text), beside their points; all points and lines stay free."""
    along = [_along(pixels(axes, line)) for line in lines]
    obstacles = np.vstack([boxes_around(pixels(axes, points), 5), *(boxes_around(line, 1) for line in along)])
    box, height = axes.bbox, axes.figure.bbox.height
    frame = (box.x0, height - box.y1, box.x1, height - box.y0)
    anchors = pixels(axes, (place for place, _ in labels))
    found = place_labels(anchors, [text_width(text, SMALL) + 5 for _, text in labels], obstacles, frame)
    for (place, text), (x, y), label in zip(labels, anchors, found, strict=True):
        leader = {"arrowstyle": "-", "color": INK, "alpha": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
        arrow = leader if label.far else None
        write(axes, text, place, (label.x - x, y - label.y), ha="center", gid=f"{SHOWS}label", arrowprops=arrow)


def _along(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points [N, 2] on a line, at most 6 pixels apart."""
    lengths = np.hypot(*np.diff(line, axis=0).T)
    parts = [
        np.linspace(one, other, 2 + int(length / 6))
        for one, other, length in zip(line, line[1:], lengths, strict=False)
    ]
    return np.vstack([line, *parts])


def place_labels(
    anchors: NDArray[np.float64], widths: Sequence[float], obstacles: NDArray[np.float64], frame: Sequence[float]
) -> list[Label]:
    """Return a place for the label of each anchor [N, 2], in pixels; earlier anchors choose first.

    obstacles: [N, 4], boxes (left, top, right, bottom) to keep free. frame: the box that contains all labels.
    """
    taken, words, placed = obstacles.reshape(-1, 4), np.zeros((0, 4)), []
    for (x, y), width in zip(anchors, widths, strict=True):
        steps = np.array([_step(side, distance, width) for distance, side in product(_DISTANCES, _SIDES)])
        boxes = np.array([_box(x + dx, y + dy, width) for dx, dy in steps])
        outside = (np.subtract(frame, boxes) * (1, 1, -1, -1)).clip(0).sum(1)
        leaders = (x, y) + steps[:, None] * np.linspace(0, 1, _ALONG)[:, None]
        through = _overlaps(boxes_around(leaders.reshape(-1, 2), 1), words).reshape(-1, _ALONG).sum(1)
        through[:_NEAR] = 0  # these have no line
        cost = _overlaps(boxes, taken) + 20 * through + 1000 * outside
        best = int(np.argmin(cost))  # the first of equal costs is the nearest
        placed.append(Label(x + steps[best, 0], y + steps[best, 1], best >= _NEAR))
        words = np.vstack([words, boxes[best]])
        taken = np.vstack([taken, boxes[best], *([boxes_around(leaders[best], 1)] if best >= _NEAR else [])])
    return placed


def boxes_around(points: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """Return boxes [N, 4] that extend `reach` pixels around points [N, 2]."""
    return np.hstack([points - reach, points + reach])


def _step(side: tuple[int, int], distance: float, width: float) -> tuple[float, float]:
    across, up = side
    return across * (width / 2 + distance), -up * (_HEIGHT / 2 + distance)


def _box(x: float, y: float, width: float) -> tuple[float, float, float, float]:
    return x - width / 2, y - _HEIGHT / 2, x + width / 2, y + _HEIGHT / 2


def _overlaps(boxes: NDArray[np.float64], taken: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area that each of `boxes` shares with the `taken` boxes."""
    low = np.maximum(boxes[:, None, :2], taken[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], taken[None, :, 2:])
    area: NDArray[np.float64] = (high - low).clip(0).prod(2).sum(1)
    return area
