"""Images resized as each library does: from [height, width, 3] to another height and width.

TensorFlow's and MindSpore's bicubic are written out here; the others are Pillow's and OpenCV's own.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from effconvert.validate.decoding import Pixels, image_package
from numpy.typing import NDArray

Array = NDArray[Any]
Resize = Callable[[Pixels, int, int], Pixels]

_TF_STEPS = 1024
_OPENCV_ONE = 2048  # the weight 1 in OpenCV's integers


def _tf_bicubic(image: Pixels, height: int, width: int) -> Pixels:
    """Return float32, not clipped: Keys' cubic with A = -0.75 from a table, rows before columns.

    Source: resize_bicubic_op.cc of TensorFlow with align_corners and half_pixel_centers false.
    """
    image = image.astype(np.float32)
    rows, columns = (_tf_cubic_taps(*sizes) for sizes in zip(image.shape, (height, width), strict=False))
    return _across(_down(image, *rows), *columns)


def _tf_cubic_taps(length: int, target: int) -> tuple[Array, Array]:
    """Return source positions and weights, each [4, target]."""
    source = np.arange(target, dtype=np.float32) * (np.float32(length) / np.float32(target))
    first = source.astype(np.int64)
    step = np.rint((source - first.astype(np.float32)) * np.float32(_TF_STEPS)).astype(np.int64)
    near, far = _tf_cubic_table()
    weights = np.stack([far[step], near[step], near[_TF_STEPS - step], far[_TF_STEPS - step]])
    return _clamped(first, length), weights


def _tf_cubic_table() -> tuple[Array, Array]:
    """Return the weights of a sample at distance 0 to 1 and at 1 to 2, each float32 [1025]."""
    a = -0.75  # and so in float64, as there
    x = np.arange(_TF_STEPS + 1) / _TF_STEPS
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    x = x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return near.astype(np.float32), far.astype(np.float32)


def _tf_bilinear(image: Pixels, height: int, width: int) -> Pixels:
    """Return float32.

    Source: resize_bilinear_op.cc of TensorFlow with align_corners and half_pixel_centers false.
    """
    image = image.astype(np.float32)
    upper, lower, below = _tf_linear_taps(image.shape[0], height)
    left, right, beside = _tf_linear_taps(image.shape[1], width)
    top, bottom = (
        rows[:, left] + (rows[:, right] - rows[:, left]) * beside[:, None] for rows in (image[upper], image[lower])
    )
    resized: Pixels = top + (bottom - top) * below[:, None, None]
    return resized


def _tf_linear_taps(length: int, target: int) -> tuple[Array, Array, Array]:
    """Return the two source positions and the share of the second, each [target]."""
    source = np.arange(target, dtype=np.float32) * (np.float32(length) / np.float32(target))
    first = source.astype(np.int64)
    return first, np.minimum(first + 1, length - 1), source - first.astype(np.float32)


def _mindspore_bicubic(image: Pixels, height: int, width: int) -> Pixels:
    """Return uint8: OpenCV's INTER_CUBIC as MindSpore has it, compiled for vectors of 128 bits without fused products.

    Columns are integers. Rows are float32, eight values at a time, and integers for what is left at a row's end; OpenCV
    itself takes longer vectors where the processor has them, and then rounds here and there to the other side.
    Source: resize.cpp of OpenCV (VResizeCubicVec_32s8u, FixedPtCast).
    """
    rows, columns = (_opencv_cubic_taps(*sizes) for sizes in zip(image.shape, (height, width), strict=False))
    lines = _across(image.astype(np.int32), *columns).reshape(len(image), -1)[:, :, None]
    ends = lines.shape[1] // 8 * 8
    positions, weights = rows
    share = weights.astype(np.float32) * np.float32(1 / _OPENCV_ONE**2)
    rounded = np.rint(_down(lines[:, :ends].astype(np.float32), positions[::-1], share[::-1])).astype(np.int32)
    left = (_down(lines[:, ends:], positions, weights) + (1 << 21)) >> 22
    resized: Pixels = np.clip(np.concatenate([rounded, left], axis=1), 0, 255).astype(np.uint8)
    return resized.reshape(height, width, 3)


def _opencv_cubic_taps(length: int, target: int) -> tuple[Array, Array]:
    """Return source positions and integer weights, each [4, target]."""
    source = ((np.arange(target) + 0.5) * (1 / (target / length)) - 0.5).astype(np.float32)
    first = np.floor(source)
    x = source - first
    a, one, two, three, four, five, eight = (np.float32(number) for number in (-0.75, 1, 2, 3, 4, 5, 8))
    before = ((a * (x + one) - five * a) * (x + one) + eight * a) * (x + one) - four * a
    here = ((a + two) * x - (a + three)) * x * x + one
    after = ((a + two) * (one - x) - (a + three)) * (one - x) * (one - x) + one
    weights = np.stack([before, here, after, one - before - here - after])
    return _clamped(first.astype(np.int64), length), np.rint(weights * np.float32(_OPENCV_ONE)).astype(np.int32)


def _clamped(first: Array, length: int) -> Array:
    clamped: Array = np.clip(np.stack([first - 1, first, first + 1, first + 2]), 0, length - 1)
    return clamped


def _down(image: Array, positions: Array, weights: Array) -> Array:
    """Return [target, width, 3]: each row the weighted sum of four, added in their order."""
    sums: Array = weights[0][:, None, None] * image[positions[0]]
    for position, weight in zip(positions[1:], weights[1:], strict=True):
        sums = sums + weight[:, None, None] * image[position]
    return sums


def _across(image: Array, positions: Array, weights: Array) -> Array:
    """Return [height, target, 3]: each column the weighted sum of four, added in their order."""
    sums: Array = weights[0][:, None] * image[:, positions[0]]
    for position, weight in zip(positions[1:], weights[1:], strict=True):
        sums = sums + weight[:, None] * image[:, position]
    return sums


def _torch_nearest(image: Pixels, height: int, width: int) -> Pixels:
    """Return the nearest pixels as torch's nearest-exact finds them, in float32: Pillow's, but for some ties."""
    rows, columns = (
        np.floor((np.arange(target, dtype=np.float32) + np.float32(0.5)) * (np.float32(length) / np.float32(target)))
        for length, target in zip(image.shape, (height, width), strict=False)
    )
    rows, columns = np.minimum(rows, len(image) - 1), np.minimum(columns, image.shape[1] - 1)
    nearest: Pixels = image[rows.astype(np.int64)][:, columns.astype(np.int64)]
    return nearest


def _pillow(name: str) -> Resize:
    def resize(image: Pixels, height: int, width: int) -> Pixels:
        module = image_package("PIL.Image")
        return np.asarray(module.fromarray(image).resize((width, height), getattr(module.Resampling, name)))

    return resize


def _opencv(name: str) -> Resize:
    def resize(image: Pixels, height: int, width: int) -> Pixels:
        cv2 = image_package("cv2")
        # Its rounding depends on where a value stands in the row, and its users hold BGR.
        resized = cv2.resize(np.ascontiguousarray(image[..., ::-1]), (width, height), interpolation=getattr(cv2, name))
        return np.asarray(resized)[..., ::-1]

    return resize


RESIZES: dict[str, Resize] = {
    "tf1-bicubic": _tf_bicubic,
    "tf1-bilinear": _tf_bilinear,
    "pil-bicubic": _pillow("BICUBIC"),
    "pil-bilinear": _pillow("BILINEAR"),
    "pil-nearest": _pillow("NEAREST"),
    "torch-nearest": _torch_nearest,
    "cv2-bicubic": _opencv("INTER_CUBIC"),
    "mindspore-bicubic": _mindspore_bicubic,
    "mindspore-bilinear": _opencv("INTER_LINEAR"),
}
