"""An image prepared for speed: a recipe's own steps, of a JPEG that is decoded at a smaller size where that is enough.

What shrinks to less than half is decoded at a half, a quarter or an eighth of its size. The edges of TensorFlow's
cropped decode, which cost as much as the image itself, are left as they are.
"""

from effconvert.preprocessing.decoding import MOST_PIXELS, Pixels, Window, image_package
from effconvert.preprocessing.pipeline import geometry, pixels
from effconvert.preprocessing.recipes import Recipe
from effconvert.preprocessing.resizing import RESIZES

_JPEG = b"\xff\xd8"
_SCALES = (8, 4, 2, 1)
_EXIF = b"Exif\0\0"


def fast_pixels(data: bytes, recipe: Recipe, out: Pixels) -> Pixels:
    """Write the image in `data` to `out`, about as `recipe` prepares it, and return that; arguments as in `pixels`.

    What is no JPEG of the usual colours is prepared exactly. Raises what `pixels` does.
    """
    if not is_plain_jpeg(data, recipe):
        return pixels(data, recipe, out)
    simplejpeg = image_package("simplejpeg")
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        place = geometry(recipe, height, width)
        shrinks = min(place.crop.height / place.height, place.crop.width / place.width)
        scale = next(scale for scale in _SCALES if shrinks >= scale or scale == 1)
        least = {"min_height": -(-height // scale), "min_width": -(-width // scale)} if scale > 1 else {}
        image = simplejpeg.decode_jpeg(data, fastdct=recipe.decode == "tf-integer-fast", **least)
    except ValueError:  # damaged: the exact way says what is wrong, or reads it all the same
        return pixels(data, recipe, out)
    crop = _scaled(place.crop, image.shape[0] / height, image.shape[1] / width)
    RESIZES[recipe.resize](crop.of(image), place.height, place.width, place.window, out)
    return out


def is_plain_jpeg(data: bytes, recipe: Recipe) -> bool:
    """Return whether any decoder gives about the same: a JPEG in color or gray that `recipe` does not turn or convert.

    One that is too large is not: the exact way refuses it.
    """
    turned = recipe.decode == "cv2" and _EXIF in data[:65536]  # OpenCV turns what EXIF says is turned
    if data[:2] != _JPEG or recipe.decode == "pil-gray" or turned:
        return False
    try:
        height, width, color_space, _ = image_package("simplejpeg").decode_jpeg_header(data)
    except ValueError:
        return False
    return color_space in ("YCbCr", "Gray") and height * width <= MOST_PIXELS


def _scaled(window: Window, vertically: float, horizontally: float) -> Window:
    top, height = round(window.top * vertically), max(1, round(window.height * vertically))
    left, width = round(window.left * horizontally), max(1, round(window.width * horizontally))
    return Window(top, left, height, width)
