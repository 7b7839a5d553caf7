"""Resizes of TensorFlow 1, with align_corners and half_pixel_centers false, in its order of operations in float32.

In C if there is a compiler, else in numpy.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from effconvert.preprocessing.decoding import Pixels, Window
from effconvert.preprocessing.extensions import extension
from effconvert.preprocessing.taps import (
    SIZES_KEPT,
    Array,
    Taps,
    clamped,
    of_channels,
    part,
    strips,
    sum_across,
    sum_down,
)

_STEPS = 1024

_tensorflow = extension("_tensorflow")


def bicubic(image: Pixels, height: int, width: int, window: Window, out: Pixels) -> None:
    """Write float32, not clipped: Keys' cubic with A = -0.75 from a table, rows before columns.

    Source: resize_bicubic_op.cc of TensorFlow with align_corners and half_pixel_centers false.
    """
    rows = part(_cubic_taps(image.shape[0], height), window.top, window.height)
    columns = part(_cubic_taps(image.shape[1], width), window.left, window.width)
    if _tensorflow is not None:
        _tensorflow.bicubic(*_arguments(image, rows, columns), out)
        return
    across = of_channels(columns)
    for lines, down, target in strips(image, rows, out):
        sum_across(sum_down(lines, down), across, target)


@lru_cache(SIZES_KEPT)
def _cubic_taps(length: int, target: int) -> Taps:
    """Return four taps per output."""
    source = np.arange(target, dtype=np.float32) * (np.float32(length) / np.float32(target))
    first = source.astype(np.intp)
    step = np.rint((source - first.astype(np.float32)) * np.float32(_STEPS)).astype(np.int64)
    near, far = _cubic_table()
    weights = np.stack([far[step], near[step], near[_STEPS - step], far[_STEPS - step]])
    return Taps(clamped(first, length), weights)


def _cubic_table() -> tuple[Array, Array]:
    """Return the weights of a sample at distance 0 to 1 and at 1 to 2, each float32 [1025]."""
    a = -0.75  # in float64, as in TensorFlow
    x = np.arange(_STEPS + 1) / _STEPS
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    x = x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return near.astype(np.float32), far.astype(np.float32)


def bilinear(image: Pixels, height: int, width: int, window: Window, out: Pixels) -> None:
    """Write float32.

    Source: resize_bilinear_op.cc of TensorFlow with align_corners and half_pixel_centers false.
    """
    rows = part(_linear_taps(image.shape[0], height), window.top, window.height)
    columns = part(_linear_taps(image.shape[1], width), window.left, window.width)
    if _tensorflow is not None:
        _tensorflow.bilinear(*_arguments(image, rows, columns), out)
        return
    (left, right), beside = of_channels(columns)
    for lines, ((upper, lower), below), target in strips(image, rows, out):
        resized = _between(lines.take(left, axis=1), lines.take(right, axis=1), beside)
        target[...] = _between(resized[upper], resized[lower], below[:, None])


def _linear_taps(length: int, target: int) -> Taps:
    """Return two taps per output; the weight [target] is the share of the second."""
    source = np.arange(target, dtype=np.float32) * (np.float32(length) / np.float32(target))
    first = source.astype(np.intp)
    return Taps(np.stack([first, np.minimum(first + 1, length - 1)]), source - first.astype(np.float32))


def _arguments(image: Pixels, *taps: Taps) -> tuple[Any, ...]:
    """Return the image, its height and width and the taps as the extension module takes them."""
    tables = [tuple(np.ascontiguousarray(numbers) for numbers in table) for table in taps]
    return np.ascontiguousarray(image), image.shape[:2], *tables


def _between(first: Array, second: Array, share: Array) -> Array:
    """Return first + (second - first) * share, overwriting `second`."""
    second -= first
    second *= share
    second += first
    return second
