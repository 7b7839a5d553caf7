"""Placement of labels beside their points, so that none hides another label or a point."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

_HEIGHT = 12.0
# (x, y) steps from a point to its label's middle, the nearest and most usual first: above, below, right, left, aslant.
_SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))
_DISTANCES = (5.0, 12.0, 20.0, 30.0, 42.0, 56.0)


@dataclass(frozen=True)
class Label:
    """A label's middle in pixels. far: it is so far from its point that it needs a line."""

    x: float
    y: float
    far: bool


def place_labels(
    anchors: NDArray[np.float64], widths: Sequence[float], obstacles: NDArray[np.float64], frame: Sequence[float]
) -> list[Label]:
    """Return a place for the label of each anchor [N, 2], in pixels; earlier anchors choose first.

    obstacles: [N, 4], boxes (left, top, right, bottom) to keep free. frame: the box that contains all labels.
    """
    taken, placed = obstacles.reshape(-1, 4), []
    for (x, y), width in zip(anchors, widths, strict=True):
        steps = [_step(side, distance, width) for distance, side in product(_DISTANCES, _SIDES)]
        boxes = np.array([_box(x + dx, y + dy, width) for dx, dy in steps])
        outside = (np.subtract(frame, boxes) * (1, 1, -1, -1)).clip(0).sum(1)
        cost = _overlaps(boxes, taken) + 1000 * outside
        best = int(np.argmin(cost))  # the first of equal costs is the nearest
        dx, dy = steps[best]
        placed.append(Label(x + dx, y + dy, best >= 2 * len(_SIDES)))
        taken = np.vstack([taken, boxes[best]])
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
