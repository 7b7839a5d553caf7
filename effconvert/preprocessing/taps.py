"""Resizes in numpy: each output is the weighted sum of a few source positions, its taps."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from effconvert.preprocessing.decoding import Pixels

Array = NDArray[Any]

SIZES_KEPT = 256
_STRIP = 32  # rows


class Taps(NamedTuple):
    """Source positions [taps, target] and weights of each output; weights have that shape unless stated otherwise."""

    positions: Array
    weights: Array


def clamped(first: Array, length: int) -> Array:
    """Return four positions [4, target] around `first` and the next one, inside of the length."""
    positions: Array = np.clip(np.stack([first - 1, first, first + 1, first + 2]), 0, length - 1)
    return positions


def part(taps: Taps, start: int, count: int) -> Taps:
    """Return the taps of `count` outputs from `start`."""
    return Taps(*(numbers[..., start : start + count] for numbers in taps))


def of_channels(columns: Taps) -> Taps:
    """Return the taps for the values in a line of pixels, three values per column."""
    channels = columns.positions[..., None] * 3 + np.arange(3)
    return Taps(channels.reshape(*columns.positions.shape[:-1], -1), np.repeat(columns.weights, 3, axis=-1))


def strips(image: Pixels, rows: Taps, out: Pixels) -> Iterator[tuple[Array, Taps, Array]]:
    """Yield a few rows of `out` at a time, so that intermediate values stay in the CPU's cache.

    Each item: the lines of the image that they need, float32 [lines, width * 3]; the taps of the rows, in those lines;
    and the rows themselves, to be filled, [rows, width * 3].
    """
    for start in range(0, len(out), _STRIP):
        target = out[start : start + _STRIP]
        positions, weights = part(rows, start, len(target))
        first, end = positions.min(), positions.max() + 1
        lines = image[first:end].astype(np.float32).reshape(end - first, -1)
        yield lines, Taps(positions - first, weights), target.reshape(len(target), -1)


def sum_down(lines: Array, rows: Taps) -> Array:
    """Return [target, values]: each line is the weighted sum of four, in order."""
    return _weighted_sum(lines, rows.positions, rows.weights[:, :, None], 0)


def sum_across(lines: Array, columns: Taps, out: Array | None = None) -> Array:
    """Return [lines, target], or fill `out`: each value is the weighted sum of four of its line, in order."""
    return _weighted_sum(lines, *columns, 1, out)


def _weighted_sum(lines: Array, positions: Array, weights: Array, axis: int, out: Array | None = None) -> Array:
    sums: Array = np.take(lines, positions[0], axis, out=out, mode="clip")  # another mode would copy `out`
    sums *= weights[0]
    added = np.empty_like(sums)
    for position, weight in zip(positions[1:], weights[1:], strict=True):
        np.take(lines, position, axis, out=added, mode="clip")
        added *= weight
        sums += added
    return sums
