"""An image prepared for speed: nearly what a recipe gives, by the cheapest steps that keep its window and size.

A JPEG is decoded at a half, a quarter or an eighth of its size where that is enough, with libjpeg's fast transform, and
the window of the recipe is resized by OpenCV, averaging where it shrinks.
"""

from typing import Any

import numpy as np
from effconvert.validate.decoding import Pixels, image_package
from effconvert.validate.pipeline import pixels
from effconvert.validate.recipes import Recipe
from effconvert.validate.windows import Extent, extent_of

_JPEG = b"\xff\xd8"
_SCALES = (8, 4, 2, 1)
_EXIF = b"Exif\0\0"


def fast_pixels(data: bytes, recipe: Recipe) -> Pixels:
    """Return the image in `data` about as `recipe` prepares it: uint8 [size, size, 3], RGB.

    What is no JPEG of the usual colours is prepared exactly, and rounded. Raises what `pixels` does.
    """
    decoded = _decoded(data, recipe)
    if decoded is None:
        return np.clip(np.rint(pixels(data, recipe)), 0, 255).astype(np.uint8)
    image, extent = decoded
    top, left = round(extent.top), round(extent.left)
    window = image[top : top + max(1, round(extent.height)), left : left + max(1, round(extent.width))]
    cv2 = image_package("cv2")
    shrinks = min(window.shape[:2]) > recipe.size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(window, (recipe.size, recipe.size), interpolation=interpolation))


def _decoded(data: bytes, recipe: Recipe) -> tuple[Pixels, Extent] | None:
    """Return the image at the smallest scale that is enough, and the recipe's window in it."""
    if data[:2] != _JPEG or (recipe.decode == "cv2" and _EXIF in data[:65536]):  # OpenCV turns what EXIF says is turned
        return None
    simplejpeg = image_package("simplejpeg")
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        if colors not in ("YCbCr", "Gray"):
            return None
        extent = extent_of(recipe, height, width)
        scale = next(s for s in _SCALES if s == 1 or min(extent.height, extent.width) / s >= recipe.size)
        least: dict[str, Any] = {"min_height": -(-height // scale), "min_width": -(-width // scale)}
        image = simplejpeg.decode_jpeg(data, fastdct=True, fastupsample=True, **least)
    except ValueError:
        return None
    return image, extent.scaled(image.shape[0] / height, image.shape[1] / width)
