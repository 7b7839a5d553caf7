"""Resizes of images as in each library: from [height, width, 3] to a window of the image at another size.

Only the window is computed. TensorFlow's resizes, MindSpore's bicubic and the nearest-pixel ones are implemented here;
the antialiased ones are Pillow's (antialiasing.py); the others call OpenCV.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from effconvert.preprocessing.antialiasing import antialiased
from effconvert.preprocessing.decoding import Pixels, Window, image_package

Array = NDArray[Any]
# resize(image, height, width, window, out): writes the window of the resized image into `out`, contiguous.
Resize = Callable[[Pixels, int, int, Window, Pixels], None]

_TF_STEPS = 1024
_OPENCV_ONE = 2048  # the weight 1 in OpenCV's integers
_SIZES_KEPT = 256
_STRIP = 32  # rows


class Taps(NamedTuple):
    """Source positions [taps, target] and weights of each output; weights have that shape unless stated otherwise."""

    positions: Array
    weights: Array


def _tf_bicubic(image: Pixels, height: int, width: int, window: Window, out: Pixels) -> None:
    """Write float32, not clipped: Keys' cubic with A = -0.75 from a table, rows before columns.

    Source: resize_bicubic_op.cc of TensorFlow with align_corners and half_pixel_centers false.
    """
    rows, columns = _tf_cubic_taps(image.shape[0], height), _tf_cubic_taps(image.shape[1], width)
    across = _of_channels(_part(columns, window.left, window.width))
    for lines, down, target in _strips(image, _part(rows, window.top, window.height), out):
        _across(_down(lines, down), across, target)


@lru_cache(_SIZES_KEPT)
def _tf_cubic_taps(length: int, target: int) -> Taps:
    """Return four taps per output."""
    source = np.arange(target, dtype=np.float32) * (np.float32(length) / np.float32(target))
    first = source.astype(np.int64)
    step = np.rint((source - first.astype(np.float32)) * np.float32(_TF_STEPS)).astype(np.int64)
    near, far = _tf_cubic_table()
    weights = np.stack([far[step], near[step], near[_TF_STEPS - step], far[_TF_STEPS - step]])
    return Taps(_clamped(first, length), weights)


def _tf_cubic_table() -> tuple[Array, Array]:
    """Return the weights of a sample at distance 0 to 1 and at 1 to 2, each float32 [1025]."""
    a = -0.75  # in float64, as in TensorFlow
    x = np.arange(_TF_STEPS + 1) / _TF_STEPS
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    x = x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return near.astype(np.float32), far.astype(np.float32)


def _tf_bilinear(image: Pixels, height: int, width: int, window: Window, out: Pixels) -> None:
    """Write float32.

    Source: resize_bilinear_op.cc of TensorFlow with align_corners and half_pixel_centers false.
    """
    rows, columns = _tf_linear_taps(image.shape[0], height), _tf_linear_taps(image.shape[1], width)
    (left, right), beside = _of_channels(_part(columns, window.left, window.width))
    for lines, ((upper, lower), below), target in _strips(image, _part(rows, window.top, window.height), out):
        resized = _between(lines.take(left, axis=1), lines.take(right, axis=1), beside)
        target[...] = _between(resized[upper], resized[lower], below[:, None])


def _tf_linear_taps(length: int, target: int) -> Taps:
    """Return two taps per output; the weight [target] is the share of the second."""
    source = np.arange(target, dtype=np.float32) * (np.float32(length) / np.float32(target))
    first = source.astype(np.int64)
    return Taps(np.stack([first, np.minimum(first + 1, length - 1)]), source - first.astype(np.float32))


def _between(first: Array, second: Array, share: Array) -> Array:
    """Return first + (second - first) * share, overwriting `second`."""
    second -= first
    second *= share
    second += first
    return second


def _mindspore_bicubic(image: Pixels, height: int, width: int, window: Window, out: Pixels) -> None:
    """Write uint8: OpenCV's INTER_CUBIC as in MindSpore's build, with 128-bit vectors and without fused multiply-add.

    Columns use integers, which float32 holds exactly. Rows use float32, eight values at a time, and integers for the
    rest of a row. OpenCV itself uses longer vectors if the CPU has them, and then some values are rounded differently.
    Source: resize.cpp of OpenCV (VResizeCubicVec_32s8u, FixedPtCast).
    """
    rows, columns = _opencv_cubic_taps(image.shape[0], height), _opencv_cubic_taps(image.shape[1], width)
    positions, weights = _part(columns, window.left, window.width)
    first, end = positions.min(), positions.max() + 1
    image, across = image[:, first:end], _of_channels(Taps(positions - first, weights))
    ends = max(width * 3 // 8 * 8 - window.left * 3, 0)
    for lines, (positions, weights), target in _strips(image, _part(rows, window.top, window.height), out):
        resized = _across(lines, across)
        share = weights * np.float32(1 / _OPENCV_ONE**2)
        sums = _down(resized, Taps(positions[::-1], share[::-1]))
        target[...] = np.clip(np.rint(sums, out=sums), 0, 255, out=sums)
        if ends < target.shape[1]:
            left = _down(resized[:, ends:].astype(np.int32), Taps(positions, weights.astype(np.int32)))
            target[:, ends:] = np.clip((left + (1 << 21)) >> 22, 0, 255)


@lru_cache(_SIZES_KEPT)
def _opencv_cubic_taps(length: int, target: int) -> Taps:
    """Return four taps per output, with integer weights as float32."""
    source = ((np.arange(target) + 0.5) * (1 / (target / length)) - 0.5).astype(np.float32)
    first = np.floor(source)
    x = source - first
    a, one, two, three, four, five, eight = (np.float32(number) for number in (-0.75, 1, 2, 3, 4, 5, 8))
    before = ((a * (x + one) - five * a) * (x + one) + eight * a) * (x + one) - four * a
    here = ((a + two) * x - (a + three)) * x * x + one
    after = ((a + two) * (one - x) - (a + three)) * (one - x) * (one - x) + one
    weights = np.stack([before, here, after, one - before - here - after])
    return Taps(_clamped(first.astype(np.int64), length), np.rint(weights * np.float32(_OPENCV_ONE)))


def _clamped(first: Array, length: int) -> Array:
    clamped: Array = np.clip(np.stack([first - 1, first, first + 1, first + 2]), 0, length - 1)
    return clamped


def _part(taps: Taps, start: int, count: int) -> Taps:
    """Return the taps of `count` outputs from `start`."""
    return Taps(*(numbers[..., start : start + count] for numbers in taps))


def _of_channels(columns: Taps) -> Taps:
    """Return the taps for the values in a line of pixels, three values per column."""
    channels = columns.positions[..., None] * 3 + np.arange(3)
    return Taps(channels.reshape(*columns.positions.shape[:-1], -1), np.repeat(columns.weights, 3, axis=-1))


def _strips(image: Pixels, rows: Taps, out: Pixels) -> Iterator[tuple[Array, Taps, Array]]:
    """Yield a few rows of `out` at a time, so that intermediate values stay in the CPU's cache.

    Each item: the lines of the image that they need, float32 [lines, width * 3]; the taps of the rows, in those lines;
    and the rows themselves, to be filled, [rows, width * 3].
    """
    for start in range(0, len(out), _STRIP):
        target = out[start : start + _STRIP]
        positions, weights = _part(rows, start, len(target))
        first, end = positions.min(), positions.max() + 1
        lines = image[first:end].astype(np.float32).reshape(end - first, -1)
        yield lines, Taps(positions - first, weights), target.reshape(len(target), -1)


def _down(lines: Array, rows: Taps) -> Array:
    """Return [target, values]: each line is the weighted sum of four, in order."""
    return _weighted_sum(lines, rows.positions, rows.weights[:, :, None], 0)


def _across(lines: Array, columns: Taps, out: Array | None = None) -> Array:
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


def _pillow_nearest(length: int, target: int) -> Array:
    """Return source positions [target]. Source: ImagingScaleAffine in Geometry.c of Pillow, which sums the steps."""
    steps = np.full(target, length / target)
    steps[0] *= 0.5
    positions: Array = np.cumsum(steps).astype(np.int64)
    return positions


def _torch_nearest(length: int, target: int) -> Array:
    """Return source positions [target] of torch's nearest-exact, in float32: Pillow's except for some ties."""
    steps = np.arange(target, dtype=np.float32) + np.float32(0.5)
    positions: Array = np.minimum(steps * (np.float32(length) / np.float32(target)), length - 1).astype(np.int64)
    return positions


def _nearest(
    image: Pixels, height: int, width: int, window: Window, out: Pixels, positions: Callable[[int, int], Array]
) -> None:
    rows = positions(image.shape[0], height)[window.top : window.top + window.height]
    columns = positions(image.shape[1], width)[window.left : window.left + window.width]
    np.take(image[rows], columns, axis=1, out=out, mode="clip")


def _opencv(image: Pixels, height: int, width: int, window: Window, out: Pixels, name: str) -> None:
    cv2 = image_package("cv2")
    # Its rounding depends on a value's position in the row, and its users have BGR.
    bgr = image[..., ::-1] if image.strides[2] < 0 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    resized = cv2.resize(bgr, (width, height), interpolation=getattr(cv2, name))
    cv2.cvtColor(window.of(resized), cv2.COLOR_BGR2RGB, dst=out)


RESIZES: dict[str, Resize] = {
    "tf1-bicubic": _tf_bicubic,
    "tf1-bilinear": _tf_bilinear,
    "pil-bicubic": partial(antialiased, filter_name="BICUBIC"),
    "pil-bilinear": partial(antialiased, filter_name="BILINEAR"),
    "pil-nearest": partial(_nearest, positions=_pillow_nearest),
    "torch-nearest": partial(_nearest, positions=_torch_nearest),
    "cv2-bicubic": partial(_opencv, name="INTER_CUBIC"),
    "mindspore-bicubic": _mindspore_bicubic,
    "mindspore-bilinear": partial(_opencv, name="INTER_LINEAR"),
}
UNROUNDED = ("tf1-bicubic", "tf1-bilinear")  # float32; the others are uint8
