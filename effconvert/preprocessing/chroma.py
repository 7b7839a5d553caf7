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

Array = NDArray[Any]

_BLOCK = 16  # columns
_STRIP = 32  # rows, so that intermediate values stay in the CPU's cache
_START_OF_SCAN = 0xDA
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
        chroma = _mixed(components[:, first : left + width, 1:], rows, weights)[:, left - first :]
        luma = components[rows, left : left + width, 0]
        out[start : start + _STRIP] = _rgb(luma, chroma[..., 0], chroma[..., 1])
    return out


def _mixed(chroma: Array, rows: Array, weights: Weights) -> Array:
    """Return the chroma of `rows`, interpolated: int16 [rows, columns, 2]."""
    beside = np.clip(rows + np.where(rows % 2, 1, -1), 0, len(chroma) - 1)
    samples = chroma[:, ::2].astype(np.int16)
    sums = weights.down_near * samples[rows] + weights.down_far * samples[beside]
    before, after = (
        np.concatenate(parts, axis=1) for parts in ((sums[:, :1], sums[:, :-1]), (sums[:, 1:], sums[:, -1:]))
    )
    near = weights.near * sums
    even = (near + weights.far * before + weights.even) >> weights.shift
    odd = (near + weights.far * after + weights.odd) >> weights.shift
    mixed: Array = np.stack([even, odd], axis=2).reshape(len(rows), -1, 2)[:, : chroma.shape[1]]
    return mixed


def _rgb(luma: Array, blue: Array, red: Array) -> Array:
    """Return RGB in libjpeg's fixed point with 16 fraction bits (jdcolor.c): uint8 [rows, columns, 3]."""
    of_red, of_blue, green_of_red, green_of_blue = _tables()
    colors = np.empty((*luma.shape, 3), np.int16)
    np.add(luma, of_red[red], out=colors[..., 0])
    np.add(luma, (green_of_blue[blue] + green_of_red[red]) >> 16, out=colors[..., 1], casting="same_kind")
    np.add(luma, of_blue[blue], out=colors[..., 2])
    clipped: Array = np.clip(colors, 0, 255, out=colors).astype(np.uint8)
    return clipped


def _tables() -> tuple[Array, Array, Array, Array]:
    """Return what red and blue add to red and blue, int16 [256], and their parts of green, int32 [256]."""
    chroma, half = np.arange(256, dtype=np.int32) - 128, 1 << 15
    of_red, of_blue = ((factor * chroma + half) >> 16 for factor in (91881, 116130))
    return of_red.astype(np.int16), of_blue.astype(np.int16), -46802 * chroma + half, -22554 * chroma


def marked_as_rgb(data: bytes) -> bytes:
    """Return the JPEG marked as RGB, so that its components are decoded without conversion.

    Raises ValueError for one whose header is damaged.
    """
    kept, position = [data[:2], _ADOBE_RGB], 2
    while True:
        position = data.index(b"\xff", position)
        marker = data[position + 1]
        if marker == _START_OF_SCAN:
            return b"".join([*kept, data[position:]])
        if marker in (0x00, 0xFF):  # padding
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker not in _APPLICATION_DATA:
            kept.append(data[position:end])
        position = end
