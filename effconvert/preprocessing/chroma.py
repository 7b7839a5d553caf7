"""Colours of a JPEG with halved chroma, as TensorFlow's cropped decode gives them, from one decode of its components.

TensorFlow decodes only the blocks of 16 columns that the window touches, up to the last column of the window. Chroma
with half the width is interpolated between neighbours; at both ends of these columns a neighbour is missing, and the
sample is mixed with itself. Source: jpeg_crop_scanline, h2v1_fancy_upsample and h2v2_fancy_upsample of libjpeg-turbo.

In C if there is a compiler, else in numpy.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from effconvert.preprocessing.extensions import extension
from effconvert.preprocessing.jpeg_header import header_segments

Array = NDArray[Any]

_BLOCK = 16  # columns
_STRIP = 32  # rows, so that intermediate values stay in the CPU's cache
_APPLICATION_DATA = (0xE0, 0xEE)  # JFIF and Adobe; both define the components
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"

_tensorflow = extension("_tensorflow")


class Weights(NamedTuple):
    """A chroma is (near * sum + far * the sum beside it + rounding) >> shift.

    A sum is down_near * the sample + down_far * the one above or below. Roundings: of even and odd columns.
    """

    down_near: int
    down_far: int
    near: int
    far: int
    even: int
    odd: int
    shift: int


_FANCY = {"420": Weights(3, 1, 3, 1, 8, 7, 4), "422": Weights(1, 0, 3, 1, 1, 2, 2)}
_REPEATED = Weights(1, 0, 1, 0, 0, 0, 0)
HALVED = tuple(_FANCY)  # subsamplings


def colors(components: Array, window: tuple[int, int, int, int], subsampling: str) -> Array:
    """Return RGB of a window (top, left, height, width): uint8 [height, width, 3].

    components: luma and chroma of the whole image, uint8 [h, w, 3], each sample of chroma repeated.
    """
    top, left, height, width = window
    first = left // _BLOCK * _BLOCK
    is_narrow = components.shape[1] <= 4 or left + width - first <= 2  # too narrow for libjpeg to interpolate
    weights = _REPEATED if is_narrow else _FANCY[subsampling]
    out = np.empty((height, width, 3), np.uint8)
    if _tensorflow is not None:
        _tensorflow.colors(components, components.shape[:2], window, first, weights, out)
        return out
    for start in range(0, height, _STRIP):
        rows = np.arange(top + start, top + min(start + _STRIP, height))
        beside = np.clip(rows + np.where(rows % 2, 1, -1), 0, len(components) - 1)
        begin = max(rows[0] - 1, 0)
        strip = components[begin : rows[-1] + 2, first : left + width]
        blue, red = (_mixed(strip[..., channel], rows - begin, beside - begin, weights) for channel in (1, 2))
        luma, skipped = strip[rows - begin, left - first :, 0].astype(np.int32), left - first
        _fill(luma, blue[:, skipped:], red[:, skipped:], out[start : start + _STRIP])
    return out


def _mixed(chroma: Array, rows: Array, beside: Array, weights: Weights) -> Array:
    """Return `rows` of a chroma [height, columns], whose samples are repeated, interpolated: int16 [rows, columns]."""
    samples = chroma[:, ::2].astype(np.int16)
    sums = np.empty((len(rows), samples.shape[1] + 2), np.int16)
    sums[:, 1:-1] = weights.down_near * samples[rows] + weights.down_far * samples[beside]
    sums[:, 0], sums[:, -1] = sums[:, 1], sums[:, -2]
    near, mixed = weights.near * sums[:, 1:-1], np.empty((len(rows), 2 * samples.shape[1]), np.int16)
    for odd, rounding in enumerate((weights.even, weights.odd)):
        far = weights.far * sums[:, 2 * odd : 2 * odd + samples.shape[1]]
        np.right_shift(near + far + rounding, weights.shift, out=mixed[:, odd::2])
    return mixed[:, : chroma.shape[1]]


def _fill(luma: Array, blue: Array, red: Array, out: Array) -> None:
    """Write RGB in libjpeg's fixed point with 16 fraction bits (jdcolor.c)."""
    half = 1 << 15
    blue, red = blue.astype(np.int32) - 128, red.astype(np.int32) - 128
    parts = (91881 * red + half, -22554 * blue - 46802 * red + half, 116130 * blue + half)
    for channel, part in enumerate(parts):
        part >>= 16
        part += luma
        np.clip(part, 0, 255, out=part)
        out[..., channel] = part


def marked_as_rgb(data: bytes) -> bytes:
    """Return the JPEG marked as RGB, so that its components are decoded without conversion.

    Raises ValueError for one whose header is damaged.
    """
    segments = header_segments(data)
    kept = (data[begin:end] for marker, begin, end in segments if marker not in _APPLICATION_DATA)
    return b"".join([data[:2], _ADOBE_RGB, *kept])
