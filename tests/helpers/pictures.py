"""Files of images made by code, of every kind that a data set holds and libraries disagree about."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Return uint8 [height, width, 3]: coarse structure, fine structure, saturated colours."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (max(2, height // 9), max(2, width // 7), 3), dtype=np.uint8)
    smooth = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + random.integers(-30, 31, smooth.shape), 0, 255).astype(np.uint8)


def saved(picture: np.ndarray, kind: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
    """Return the picture as Pillow writes it."""
    file = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(file, kind, **options)
    return file.getvalue()


def orientation(value: int) -> bytes:
    """Return EXIF data that say how the camera was held."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def file(kind: str, height: int, width: int, seed: int = 0) -> bytes:
    """Return a file of that kind, of a picture of that size."""
    return _MAKERS[kind](picture(height, width, seed))


PICTURES = 72  # four of every kind


def random_files(count: int, kinds: list[str], seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield a description and a file, `count` times: pictures of random sizes, the kinds in turn."""
    random = np.random.default_rng(seed)
    for number in range(count):
        height, width = (int(length) for length in random.integers(24, 560, 2))
        kind = kinds[number % len(kinds)]
        yield f"{kind}, {height} x {width}", file(kind, height, width, number)


def as_ycck(data: bytes) -> bytes:
    """Return a CMYK file whose Adobe marker says YCCK: other colours, read by another way."""
    marker = data.index(b"Adobe")
    return data[: marker + 11] + b"\x02" + data[marker + 12 :]


def _transparent(image: np.ndarray) -> np.ndarray:
    opacity = np.broadcast_to(np.arange(image.shape[1]) % 256, image.shape[:2])
    return np.dstack([image, opacity.astype(np.uint8)])


_MAKERS: dict[str, Callable[[np.ndarray], bytes]] = {
    "4:2:0": lambda image: saved(image, quality=90, subsampling=2),
    "4:2:2": lambda image: saved(image, quality=90, subsampling=1),
    "4:4:4": lambda image: saved(image, quality=90, subsampling=0),
    "4:4:0": lambda image: simplejpeg.encode_jpeg(image, 90, colorspace="RGB", colorsubsampling="440"),
    "4:1:1": lambda image: simplejpeg.encode_jpeg(image, 90, colorspace="RGB", colorsubsampling="411"),
    "progressive": lambda image: saved(image, quality=80, progressive=True),
    "gray": lambda image: saved(image, mode="L", quality=90),
    "CMYK": lambda image: saved(image, mode="CMYK", quality=90),
    "YCCK": lambda image: as_ycck(saved(image, mode="CMYK", quality=90)),
    "RGB": lambda image: saved(image, quality=90, keep_rgb=True),
    "turned": lambda image: saved(image, quality=90, exif=orientation(6)),
    "upside down": lambda image: saved(image, quality=90, exif=orientation(3)),
    "extraneous bytes": lambda image: saved(image, quality=90)[:-2] + bytes(17) + b"\xff\xd9",
    "PNG": lambda image: saved(image, "PNG"),
    "gray PNG": lambda image: saved(image, "PNG", "L"),
    "palette PNG": lambda image: saved(image, "PNG", "P"),
    "transparent PNG": lambda image: saved(_transparent(image), "PNG", "RGBA"),
    "BMP": lambda image: saved(image, "BMP"),
}
KINDS = list(_MAKERS)
JPEGS = KINDS[: KINDS.index("PNG")]
