"""Fast pipeline: a recipe's own steps on a JPEG that is decoded at a smaller size where that is enough.

An image that shrinks to less than half is decoded at a half, a quarter or an eighth of its size. The edges of
TensorFlow's cropped decode are not corrected.
"""

from effconvert.preprocessing.decoding import Pixels, Window, image_package
from effconvert.preprocessing.jpeg_header import may_be_turned
from effconvert.preprocessing.limits import check_scans, most_pixels
from effconvert.preprocessing.pipeline import geometry, pixels
from effconvert.preprocessing.recipes import Recipe
from effconvert.preprocessing.resizing import RESIZES

_JPEG = b"\xff\xd8"
_SCALES = (8, 4, 2, 1)


def fast_pixels(data: bytes, recipe: Recipe, out: Pixels) -> Pixels:
    """Write the image in `data` to `out`, approximately as `recipe` prepares it, and return `out`.

    The arguments are those of `pixels`. Anything but a JPEG in the usual colours is prepared exactly. Raises the errors
    of `pixels`.
    """
    if not is_plain_jpeg(data, recipe):
        return pixels(data, recipe, out)
    simplejpeg = image_package("simplejpeg")
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        check_scans(data)
        place = geometry(recipe, height, width)
        shrinks = min(place.crop.height / place.height, place.crop.width / place.width)
        scale = next(scale for scale in _SCALES if shrinks >= scale or scale == 1)
        least = {"min_height": -(-height // scale), "min_width": -(-width // scale)} if scale > 1 else {}
        image = simplejpeg.decode_jpeg(data, fastdct=recipe.decode == "tf-integer-fast", **least)
    except ValueError:  # damaged: the exact way reports the problem, or can still read it
        return pixels(data, recipe, out)
    crop = _scaled(place.crop, image.shape[0] / height, image.shape[1] / width)
    RESIZES[recipe.resize](crop.of(image), place.height, place.width, place.window, out)
    return out


def is_plain_jpeg(data: bytes, recipe: Recipe) -> bool:
    """Return whether all decoders give about the same: a colour or gray JPEG that `recipe` does not rotate or convert.

    A JPEG that is too large is not plain, so the exact way refuses it.
    """
    if data[:2] != _JPEG or recipe.decode == "pil-gray":
        return False
    if recipe.decode == "cv2" and may_be_turned(data):  # OpenCV rotates by EXIF
        return False
    try:
        height, width, color_space, _ = image_package("simplejpeg").decode_jpeg_header(data)
    except ValueError:
        return False
    return color_space in ("YCbCr", "Gray") and height * width <= most_pixels()


def _scaled(window: Window, vertically: float, horizontally: float) -> Window:
    top, height = round(window.top * vertically), max(1, round(window.height * vertically))
    left, width = round(window.left * horizontally), max(1, round(window.width * horizontally))
    return Window(top, left, height, width)
