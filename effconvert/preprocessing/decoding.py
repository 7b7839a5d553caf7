"""Decoders of images as in each library: from the bytes of a file to the pixels of a window, RGB, uint8.

The JPEG standard leaves decoders some freedom, and libraries use it differently. These decoders were compared with the
real libraries: TensorFlow 1.15 and 2.21, Pillow 13, OpenCV 4.11 and 5.0, MindSpore 2.10.
"""

import importlib
import io
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, Unavailable
from effconvert.preprocessing.chroma import HALVED, colors, marked_as_rgb
from effconvert.preprocessing.jpeg_header import may_be_turned
from effconvert.preprocessing.limits import check_pixels, check_scans, most_pixels

Pixels = NDArray[Any]  # [height, width, 3]

_JPEG = b"\xff\xd8"
_PNG = b"\x89PNG\r\n\x1a\n"
# Pillow reads more formats, and starts other programs for some: Ghostscript for EPS.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "WEBP", "TIFF", "JPEG2000")
_ADOBE = b"\xff\xee\x00\x0eAdobe"
_PACKAGES = {"PIL": "pillow", "PIL.Image": "pillow", "simplejpeg": "simplejpeg", "cv2": "opencv-python-headless"}


class Window(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: Pixels) -> Pixels:
        """Return the part of `image` in the window."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


WindowOf = Callable[[int, int], Window]  # from an image's height and width


def decode(data: bytes, decoder: str, window_of: WindowOf) -> Pixels:
    """Decode the image in `data` and return the window that `window_of` gives for its size: uint8 [height, width, 3].

    decoder: one of DECODERS, as reference/recipes.toml describes them.

    Raises DatasetProblem for an image that cannot be decoded; Unavailable when a package is missing.
    """
    if not data:
        raise DatasetProblem("cannot be read as an image: it is empty")
    check_scans(data)
    try:
        return DECODERS[decoder](data, window_of)
    except (DatasetProblem, Unavailable):
        raise
    except Exception as error:  # decoders raise many kinds for damaged bytes
        words = "it does not fit into memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__
        if words.startswith("cannot identify image file"):  # Pillow adds an address in memory
            words = f"not a supported format ({', '.join(_FORMATS)})"
        raise DatasetProblem(f"cannot be read as an image: {words}") from error


def image_package(module: str) -> Any:
    """Return the imported module.

    Raises Unavailable when its package is not installed.
    """
    try:
        package = importlib.import_module(module)
        if module == "cv2":
            _silence(package)
        return package
    except ImportError as error:
        words = f"images need the package {_PACKAGES[module]}"
        raise Unavailable(f'{words}: pip install "effconvert[images]"') from error


def _silence(opencv: Any) -> None:
    """Keep OpenCV from printing lines of its own about damaged images; version 4 has another place for it than 5."""
    if hasattr(opencv, "setLogLevel"):
        opencv.setLogLevel(0)
    else:
        opencv.utils.logging.setLogLevel(opencv.utils.logging.LOG_LEVEL_SILENT)


def _pillow(data: bytes, window_of: WindowOf) -> Pixels:
    """Decode as Pillow does: libjpeg's accurate transform, EXIF orientation ignored.

    simplejpeg gives the same pixels for an undamaged JPEG in less time; Pillow reads everything else.
    """
    image = _flawless_jpeg(data)
    if image is None:
        with _opened(data) as opened:
            image = np.asarray(opened.convert("RGB"))
    return window_of(*image.shape[:2]).of(image)


def _pillow_gray(data: bytes, window_of: WindowOf) -> Pixels:
    """Decode as Pillow's convert("L") does, to ITU-R 601-2 luma, in three equal channels.

    The later steps treat all channels alike.
    """
    with _opened(data) as opened:
        luma = np.asarray(opened.convert("L"))
    return window_of(*luma.shape).of(np.repeat(luma[..., None], 3, axis=-1))


@contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    """Give Pillow's image in `data`, not yet decoded. Raises DatasetProblem if it has too many pixels."""
    module = image_package("PIL.Image")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many pixels, for the limit here is a lower one, and of odd or cut metadata
        with module.open(io.BytesIO(data), formats=_FORMATS) as opened:
            check_pixels(opened.height, opened.width)
            yield opened


def _flawless_jpeg(data: bytes, order: str = "RGB") -> Pixels | None:
    """Return the pixels of an undamaged JPEG in usual colours, equal in all libraries with the accurate transform."""
    if data[:2] != _JPEG:
        return None
    simplejpeg = image_package("simplejpeg")
    try:
        height, width, color_space, _ = simplejpeg.decode_jpeg_header(data)
        if color_space not in ("YCbCr", "Gray") or height * width > most_pixels():
            return None
        decoded: Pixels = simplejpeg.decode_jpeg(data, colorspace=order)
    except ValueError:
        return None
    return decoded


def _opencv(data: bytes, window_of: WindowOf) -> Pixels:
    """Decode as OpenCV does: libjpeg's accurate transform, rotated by the EXIF orientation."""
    cv2 = image_package("cv2")
    image = None if may_be_turned(data) else _flawless_jpeg(data, "BGR")  # the order in which OpenCV resizes
    if image is not None:
        return window_of(*image.shape[:2]).of(image)[..., ::-1]
    return _opencv_window(data, window_of, cv2.IMREAD_COLOR)


def _mindspore(data: bytes, window_of: WindowOf) -> Pixels:
    """Decode as MindSpore does: a JPEG as Pillow, other formats as OpenCV, EXIF orientation ignored."""
    if data[:2] == _JPEG:
        return _pillow(data, window_of)
    cv2 = image_package("cv2")
    return _opencv_window(data, window_of, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


def _opencv_window(data: bytes, window_of: WindowOf, flags: int) -> Pixels:
    check_pixels(*_size(data))
    image = image_package("cv2").imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise DatasetProblem("cannot be read as an image: OpenCV cannot decode it")
    return window_of(*image.shape[:2]).of(image)[..., ::-1]


def _size(data: bytes) -> tuple[int, int]:
    """Return height and width from the file's header. Raises Pillow's errors if it cannot read them."""
    if data[:2] == _JPEG:
        try:
            height, width, _, _ = image_package("simplejpeg").decode_jpeg_header(data)
            return height, width
        except ValueError:  # Pillow may still read it
            pass
    if data[:8] == _PNG and len(data) >= 24:  # Pillow refuses a PNG with a damaged comment, OpenCV does not
        width, height = struct.unpack_from(">II", data, 16)
        return height, width
    with _opened(data) as opened:
        return opened.height, opened.width


def _tensorflow(data: bytes, window_of: WindowOf) -> Pixels:
    """Decode as TensorFlow's decode_and_crop_jpeg: libjpeg's fast transform, smooth chroma, EXIF orientation ignored.

    Other formats are first encoded as a JPEG of quality 100, as the scripts for the official TFRecords do.
    """
    simplejpeg = image_package("simplejpeg")
    if data[:2] != _JPEG:
        whole = _pillow(data, lambda height, width: Window(0, 0, height, width))
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(whole), 100, colorspace="RGB", colorsubsampling="420")
    height, width, color_space, subsampling = simplejpeg.decode_jpeg_header(data)
    check_pixels(height, width)
    window = window_of(height, width)
    if color_space in ("CMYK", "YCCK"):
        return window.of(_rgb_of_inks(_fast_jpeg(data, colorspace="CMYK"), inverted=_ADOBE in data))
    if color_space == "YCbCr" and subsampling in HALVED:
        return colors(_fast_jpeg(marked_as_rgb(data), fastupsample=True), window, subsampling)
    return window.of(_fast_jpeg(data))


def _fast_jpeg(data: bytes, **options: Any) -> Pixels:
    """Decode as TensorFlow, which accepts damage inside the data but not a premature end."""
    simplejpeg = image_package("simplejpeg")
    try:
        decoded: Pixels = simplejpeg.decode_jpeg(data, fastdct=True, **options)
    except ValueError as error:
        words = str(error)
        if not words.startswith("Corrupt JPEG data") or "premature" in words:
            raise
        decoded = simplejpeg.decode_jpeg(data, fastdct=True, strict=False, **options)
    return decoded


def _rgb_of_inks(inks: Pixels, inverted: bool) -> Pixels:
    """Return RGB for cyan, magenta, yellow and black [height, width, 4]; Adobe's files store them inverted."""
    inks = inks.astype(np.int32) if inverted else 255 - inks.astype(np.int32)
    colors: Pixels = (inks[..., :3] * inks[..., 3:] // 255).astype(np.uint8)
    return colors


DECODERS = {
    "tf-integer-fast": _tensorflow,
    "pil": _pillow,
    "pil-gray": _pillow_gray,
    "cv2": _opencv,
    "mindspore": _mindspore,
}
