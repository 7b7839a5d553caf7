"""Resizes of images as in each library: from [height, width, 3] to a window of the image at another size.

Only the window is computed. MindSpore's bicubic and the nearest-pixel resizes are implemented here, TensorFlow's in
tensorflow_resizing.py; the antialiased ones are Pillow's (antialiasing.py); the others call OpenCV.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.preprocessing.antialiasing import antialiased
from effconvert.preprocessing.decoding import Pixels, Window, image_package
from effconvert.preprocessing.taps import SIZES_KEPT, Taps, clamped, of_channels, part, strips, sum_across, sum_down
from effconvert.preprocessing.tensorflow_resizing import bicubic, bilinear

Array = NDArray[Any]
# resize(image, height, width, window, out): writes the window of the resized image into `out`, contiguous.
Resize = Callable[[Pixels, int, int, Window, Pixels], None]

_OPENCV_ONE = 2048  # the weight 1 in OpenCV's integers


def _mindspore_bicubic(image: Pixels, height: int, width: int, window: Window, out: Pixels) -> None:
    """Write uint8: OpenCV's INTER_CUBIC as in MindSpore's build, with 128-bit vectors and without fused multiply-add.

    Columns use integers, which float32 holds exactly. Rows use float32, eight values at a time, and integers for the
    rest of a row. OpenCV itself uses longer vectors if the CPU has them, and then some values are rounded differently.
    Source: resize.cpp of OpenCV (VResizeCubicVec_32s8u, FixedPtCast).
    """
    rows, columns = _opencv_cubic_taps(image.shape[0], height), _opencv_cubic_taps(image.shape[1], width)
    positions, weights = part(columns, window.left, window.width)
    first, end = positions.min(), positions.max() + 1
    image, across = image[:, first:end], of_channels(Taps(positions - first, weights))
    ends = max(width * 3 // 8 * 8 - window.left * 3, 0)
    for lines, (positions, weights), target in strips(image, part(rows, window.top, window.height), out):
        resized = sum_across(lines, across)
        share = weights * np.float32(1 / _OPENCV_ONE**2)
        sums = sum_down(resized, Taps(positions[::-1], share[::-1]))
        target[...] = np.clip(np.rint(sums, out=sums), 0, 255, out=sums)
        if ends < target.shape[1]:
            left = sum_down(resized[:, ends:].astype(np.int32), Taps(positions, weights.astype(np.int32)))
            target[:, ends:] = np.clip((left + (1 << 21)) >> 22, 0, 255)


@lru_cache(SIZES_KEPT)
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
    return Taps(clamped(first.astype(np.int64), length), np.rint(weights * np.float32(_OPENCV_ONE)))


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
    "tf1-bicubic": bicubic,
    "tf1-bilinear": bilinear,
    "pil-bicubic": partial(antialiased, filter_name="BICUBIC"),
    "pil-bilinear": partial(antialiased, filter_name="BILINEAR"),
    "pil-nearest": partial(_nearest, positions=_pillow_nearest),
    "torch-nearest": partial(_nearest, positions=_torch_nearest),
    "cv2-bicubic": partial(_opencv, name="INTER_CUBIC"),
    "mindspore-bicubic": _mindspore_bicubic,
    "mindspore-bilinear": partial(_opencv, name="INTER_LINEAR"),
}
UNROUNDED = ("tf1-bicubic", "tf1-bilinear")  # float32; the others are uint8
