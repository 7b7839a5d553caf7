"""Antialiased resize of only a window, with the same pixels as Pillow's resize and a crop, in less time.

Pillow computes the whole image, and half of it is cropped away. The extension module `_antialiasing` computes only the
window, in Pillow's integers. If it could not be built, Pillow itself is used.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.preprocessing.decoding import Pixels, Window, image_package
from effconvert.preprocessing.extensions import extension

_FRACTION_BITS = 22
_SIZES_KEPT = 256  # tables of 224 outputs take 8 kB each


_antialiasing = extension("_antialiasing")


def _triangle(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1 - distance, 0)


def _keys_cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


_FILTERS: dict[str, tuple[Callable[..., Any], int]] = {"BILINEAR": (_triangle, 1), "BICUBIC": (_keys_cubic, 2)}


def antialiased(image: Pixels, height: int, width: int, window: Window, out: Pixels, filter_name: str) -> None:
    """Resize uint8 [h, w, 3] to `height` x `width`, and write the window of the result into `out`, contiguous.

    filter_name: BILINEAR or BICUBIC, as Pillow calls them.

    Raises Unavailable where Pillow is missing.
    """
    if _antialiasing is None:
        module = image_package("PIL.Image")
        resized = module.fromarray(image).resize((width, height), module.Resampling[filter_name])
        out[...] = window.of(np.asarray(resized))
        return
    top, bottom, rows = _taps(image.shape[0], height, window.top, window.height, filter_name)
    left, right, columns = _taps(image.shape[1], width, window.left, window.width, filter_name)
    source = image[top:bottom, left:right]
    if source.strides[2] != 1:  # decoded with reversed channels
        source = np.ascontiguousarray(source)
    if _columns_first(image.shape[0] - height, image.shape[1] - width):
        turned = np.empty((window.width, window.height, 3), np.uint8)
        _antialiasing.resample(source.transpose(1, 0, 2), rows, columns, turned)
        out[...] = turned.transpose(1, 0, 2)
    else:
        _antialiasing.resample(source, columns, rows, out)


def _columns_first(rows_fewer: int, columns_fewer: int) -> bool:
    """Return whether Pillow sums along columns first: since version 13, if the height shrinks much more."""
    return rows_fewer > max(0, 2 * columns_fewer) and _pillow_version() >= 13


@functools.cache
def _pillow_version() -> int:
    return int(image_package("PIL").__version__.split(".")[0])


@functools.lru_cache(_SIZES_KEPT)
def _taps(length: int, target: int, start: int, count: int, filter_name: str) -> tuple[int, int, NDArray[np.int32]]:
    """Return begin and end of the source of `count` outputs from `start`, and their taps, int32 [count, 2 + most].

    A line of the taps: the first source position, counted from that begin; the number of weights; the weights, in units
    of 2**-22. Source: precompute_coeffs and normalize_coeffs_8bpc in Pillow's Resample.c, in float64 as there.
    """
    weigh, reach = _FILTERS[filter_name]
    scale = length / target
    spread = max(scale, 1)
    center = (np.arange(start, start + count) + 0.5) * scale
    first, end = (np.trunc(center + side * reach * spread + 0.5) for side in (-1, 1))
    first, end = np.maximum(first, 0), np.minimum(end, length)
    number = (end - first)[:, None]
    k = np.arange(int(number.max()))
    weights = np.where(k < number, weigh(np.abs((k + first[:, None] - center[:, None] + 0.5) * (1 / spread))), 0)
    weights /= np.cumsum(weights, axis=1)[:, -1:]  # in this order of addition; sum() may use another
    weights = np.trunc(weights * (1 << _FRACTION_BITS) + np.where(weights < 0, -0.5, 0.5))
    begin, stop = int(first.min()), int(end.max())
    return begin, stop, np.column_stack([first - begin, number, weights]).astype(np.int32)
