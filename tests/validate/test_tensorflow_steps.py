"""TensorFlow's colours and resizes in C are those in numpy, bit for bit, and both are libjpeg's and TensorFlow's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from effconvert.preprocessing import chroma, tensorflow_resizing
from effconvert.preprocessing.decoding import Pixels, Window, decode
from effconvert.preprocessing.pipeline import pixels
from effconvert.preprocessing.recipes import official_recipe
from helpers.pictures import file, picture

GOLDEN = Path(__file__).parents[1] / "golden" / "preprocessing"
LONGEST = (1, 4, 20, 90, 700)
built = pytest.mark.skipif(chroma._tensorflow is None, reason="installed without a compiler")


def without_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (chroma, tensorflow_resizing):
        monkeypatch.setattr(module, "_tensorflow", None)


@pytest.fixture(params=["as installed", "without the extension"])
def build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without the extension":
        without_extension(monkeypatch)


def part(random: np.random.Generator, length: int) -> tuple[int, int]:
    """Return a random start and length of a part."""
    start = int(random.integers(length))
    return start, int(random.integers(1, length - start + 1))


def random_window(random: np.random.Generator, height: int, width: int) -> Window:
    (top, high), (left, wide) = part(random, height), part(random, width)
    return Window(top, left, high, wide)


def random_length(random: np.random.Generator) -> int:
    return int(random.integers(1, 1 + random.choice(LONGEST)))


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize("kind", ["4:2:0", "4:2:2", "progressive"])
def test_the_colours_of_a_whole_image_are_libjpegs(kind: str) -> None:
    """Of every small width and height: libjpeg does not interpolate in an image of up to four columns."""
    sizes = [(height, width) for height in (1, 2, 3, 17) for width in range(1, 8)]
    for height, width in [*sizes, (16, 16), (33, 65), (375, 500), (3, 700), (700, 3)]:
        data = file(kind, height, width, height)
        found = decode(data, "tf-integer-fast", lambda high, wide: Window(0, 0, high, wide))
        assert np.array_equal(found, simplejpeg.decode_jpeg(data, fastdct=True)), (height, width)


@built
def test_every_colour_in_c_is_libjpegs_fixed_point() -> None:
    """Every pair of chromas, with a few lumas."""
    blue, red = (chroma.ravel() for chroma in np.mgrid[:256, :256])
    for luma in (0, 100, 128, 255):
        components = np.stack([np.full_like(blue, luma), blue, red], axis=-1).astype(np.uint8).repeat(2, axis=0)[None]
        found = np.empty_like(components)
        size = components.shape[:2]
        chroma._tensorflow.colors(components, size, (0, 0, *size), 0, chroma._REPEATED, found)
        cb, cr = (components[..., channel].astype(int) - 128 for channel in (1, 2))
        sums = [91881 * cr, -22554 * cb - 46802 * cr, 116130 * cb]
        expected = np.stack([luma + ((added + (1 << 15)) >> 16) for added in sums], axis=-1)
        assert np.array_equal(found, expected.clip(0, 255))


@built
@pytest.mark.parametrize("subsampling", chroma.HALVED)
def test_the_colours_of_a_window_in_c_are_those_in_numpy(subsampling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random, cases = np.random.default_rng(4), []
    for _ in range(300):
        height, width = random_length(random), random_length(random)
        components = random.integers(0, 256, (height, width, 3), np.uint8)
        window = random_window(random, height, width)
        cases.append((components, window, chroma.colors(components, window, subsampling)))
    without_extension(monkeypatch)
    for components, window, found in cases:
        assert np.array_equal(chroma.colors(components, window, subsampling), found), (components.shape, window)


def resized(name: str, image: Pixels, height: int, width: int, window: Window) -> Pixels:
    out = np.empty((window.height, window.width, 3), np.float32)
    getattr(tensorflow_resizing, name)(image, height, width, window, out)
    return out


@built
@pytest.mark.parametrize("name", ["bicubic", "bilinear"])
def test_a_resize_in_c_is_that_in_numpy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Down and up, sides of a pixel, proportions of 1 to 700, parts of an image and of the result."""
    random = np.random.default_rng(5)
    cases: list[tuple[Any, ...]] = []
    for _ in range(300):
        image = random.integers(0, 256, (random_length(random), random_length(random), 3), np.uint8)
        image = random_window(random, *image.shape[:2]).of(image)
        height, width = random_length(random), random_length(random)
        window = random_window(random, height, width)
        cases.append((image, height, width, window, resized(name, image, height, width, window)))
    without_extension(monkeypatch)
    for *case, found in cases:
        assert np.array_equal(resized(name, *case), found), (case[0].shape, case[1:])


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize(("variant", "array"), [("b0", "pad32_224_image"), ("lite0", "pad32_224_image_bilinear")])
def test_tensorflows_images_are_equal_bit_for_bit(variant: str, array: str) -> None:
    for name in ("a_500x375", "b_375x500", "f_gray_481x321", "h_prog444_333x500"):
        with np.load(GOLDEN / f"{name}.npz") as golden:
            assert np.array_equal(pixels(GOLDEN / f"{name}.jpg", official_recipe(variant))[::4], golden[array]), name


COLORS: dict[str, Any] = {
    "components": picture(5, 20, 0),
    "size": (5, 20),
    "window": (1, 17, 3, 2),
    "first": 16,
    "weights": chroma._FANCY["420"],
    "target": np.zeros((3, 2, 3), np.uint8),
}
POSITIONS = np.zeros((4, 2), np.intp)
TAPS = (POSITIONS, np.ones((4, 2), np.float32))
RESIZE: dict[str, Any] = {
    "source": picture(3, 4, 0),
    "size": (3, 4),
    "rows": TAPS,
    "columns": TAPS,
    "target": np.zeros((2, 2, 3), np.float32),
}
UNFITTING: dict[str, tuple[str, str, Any]] = {
    "components of another size": ("colors", "components", picture(5, 19, 0)),
    "a size that overflows": ("colors", "size", (2**62, 2**62)),
    "no rows": ("colors", "size", (0, 20)),
    "a window below": ("colors", "window", (3, 17, 3, 2)),
    "a window to the right": ("colors", "window", (1, 19, 3, 2)),
    "a window above": ("colors", "window", (-1, 17, 3, 2)),
    "a window left of what is known": ("colors", "window", (1, 15, 3, 2)),
    "a window of a huge height": ("colors", "window", (1, 17, 2**62, 2)),
    "a first column below zero": ("colors", "first", -2),
    "a first column that is odd": ("colors", "first", 15),
    "a shift below zero": ("colors", "weights", (3, 1, 3, 1, 8, 7, -1)),
    "a target too small": ("colors", "target", np.zeros((3, 1, 3), np.uint8)),
    "a target that cannot be written": ("colors", "target", bytes(18)),
    "a source of another size": ("bicubic", "source", picture(3, 5, 0)),
    "a row outside": ("bicubic", "rows", (POSITIONS + 3, TAPS[1])),
    "a column outside": ("bicubic", "columns", (POSITIONS + 4, TAPS[1])),
    "a position below zero": ("bicubic", "columns", (POSITIONS - 1, TAPS[1])),
    "two positions": ("bicubic", "rows", (POSITIONS[:2], TAPS[1])),
    "short positions": ("bicubic", "rows", (POSITIONS.astype(np.int32), TAPS[1])),
    "long weights": ("bicubic", "rows", (POSITIONS, TAPS[1].astype(np.float64))),
    "a target of fewer bytes": ("bicubic", "target", np.zeros((2, 2, 3), np.uint8)),
    "columns of a larger target": ("bicubic", "columns", (np.zeros((4, 3), np.intp), np.ones((4, 3), np.float32))),
}


@built
def test_the_extension_takes_what_fits() -> None:
    chroma._tensorflow.colors(*COLORS.values())
    chroma._tensorflow.bicubic(*RESIZE.values())
    assert (RESIZE["target"] == 16 * RESIZE["source"][0, 0].astype(np.float32)).all()


@built
@pytest.mark.parametrize("what", UNFITTING)
def test_the_extension_refuses_what_it_would_read_or_write_outside(what: str) -> None:
    function, name, value = UNFITTING[what]
    fitting = COLORS if function == "colors" else RESIZE
    with pytest.raises((ValueError, BufferError, TypeError)):
        getattr(chroma._tensorflow, function)(*(fitting | {name: value}).values())
