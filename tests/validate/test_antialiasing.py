"""A window of the antialiased resize equals Pillow's own pixels, with and without the extension module."""

import numpy as np
import pytest
from PIL import Image

from effconvert.preprocessing import antialiasing
from effconvert.preprocessing.antialiasing import antialiased
from effconvert.preprocessing.decoding import Pixels, Window

FILTERS = ["BICUBIC", "BILINEAR"]
LONGEST = (1, 4, 40, 300, 700)


@pytest.fixture(params=["as installed", "without the extension"])
def build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without the extension":
        monkeypatch.setattr(antialiasing, "_antialiasing", None)


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    """Return every other image of black and white only: what overshoots the most."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.where(image > 127, np.uint8(255), np.uint8(0)) if seed % 2 else image


def found(image: Pixels, height: int, width: int, window: Window, filter_name: str) -> Pixels:
    out = np.empty((window.height, window.width, 3), np.uint8)
    antialiased(image, height, width, window, out, filter_name)
    return out


def pillows(image: Pixels, height: int, width: int, filter_name: str) -> Pixels:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling[filter_name]))


def random_length(random: np.random.Generator) -> int:
    return int(random.integers(1, 1 + random.choice(LONGEST)))


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize("filter_name", FILTERS)
def test_a_window_of_any_resize_is_pillows(filter_name: str) -> None:
    """Down and up, sides of a pixel, proportions of 1 to 700."""
    random = np.random.default_rng(7)
    for number in range(1000):
        height, width, target_height, target_width = (random_length(random) for _ in range(4))
        top, left = int(random.integers(target_height)), int(random.integers(target_width))
        window = Window(
            top,
            left,
            int(random.integers(1, target_height - top + 1)),
            int(random.integers(1, target_width - left + 1)),
        )
        image, sizes = noise(height, width, number), (target_height, target_width)
        theirs = window.of(pillows(image, *sizes, filter_name))
        assert np.array_equal(found(image, *sizes, window, filter_name), theirs), (image.shape, sizes, window)


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize("filter_name", FILTERS)
@pytest.mark.parametrize(
    ("height", "width"),
    [(375, 500), (500, 375), (500, 333), (1200, 400), (2000, 300), (300, 2000), (97, 61), (224, 224)],
)
def test_the_crop_of_an_evaluation_is_pillows(height: int, width: int, filter_name: str) -> None:
    """Of a tall image, Pillow 13 and later add up the columns first."""
    image = noise(height, width)
    shorter = min(height, width)
    scaled = 256 * height // shorter, 256 * width // shorter
    window = Window((scaled[0] - 224) // 2, (scaled[1] - 224) // 2, 224, 224)
    assert np.array_equal(found(image, *scaled, window, filter_name), window.of(pillows(image, *scaled, filter_name)))


@pytest.mark.usefixtures("build")
def test_a_part_of_a_larger_image_is_resized_as_a_copy_of_it() -> None:
    image, window = noise(90, 120), Window(0, 0, 50, 40)
    part = image[5:70, 10:90]
    assert np.array_equal(found(part, 50, 40, window, "BICUBIC"), pillows(part.copy(), 50, 40, "BICUBIC"))


def test_the_order_of_the_sums_follows_pillows_version(monkeypatch: pytest.MonkeyPatch) -> None:
    tall, window, sums = noise(90, 30), Window(0, 0, 20, 25), {}
    for version in (12, 13):
        monkeypatch.setattr(antialiasing, "_pillow_version", lambda version=version: version)
        sums[version] = antialiasing._columns_first(len(tall) - window.height, tall.shape[1] - window.width)
    assert sums == {12: False, 13: True}


def lines(*numbers: list[int]) -> np.ndarray:
    return np.array(numbers, np.int32)


ONE = 1 << 22
FITTING = {
    "source": np.full((2, 3, 3), 9, np.uint8),
    "columns": lines([2, 1, ONE]),
    "rows": lines([0, 2, ONE // 2, ONE // 2]),
    "target": np.zeros((1, 1, 3), np.uint8),
}
UNFITTING = {
    "a column outside": ("columns", lines([3, 1, ONE])),
    "a row outside": ("rows", lines([1, 2, ONE, ONE])),
    "a position below zero": ("columns", lines([-1, 1, ONE])),
    "a number below zero": ("rows", lines([0, -1, ONE])),
    "more weights than there are": ("rows", lines([0, 2, ONE])),
    "a sum that overflows": ("columns", lines([2**31 - 1, 1, ONE])),
    "weights of another type": ("columns", np.array([[2, 1, ONE]], np.int64)),
    "a flat table": ("columns", np.array([2, 1, ONE], np.int32)),
    "four channels": ("source", np.zeros((2, 3, 4), np.uint8)),
    "an image in float32": ("source", np.zeros((2, 3, 3), np.float32)),
    "channels in another order": ("source", np.zeros((2, 3, 3), np.uint8)[..., ::-1]),
    "a target too large": ("target", np.zeros((2, 1, 3), np.uint8)),
    "a target that cannot be written": ("target", b"123"),
    "a target with gaps": ("target", np.zeros((1, 1, 6), np.uint8)[..., ::2]),
}
built = pytest.mark.skipif(antialiasing._antialiasing is None, reason="installed without a compiler")


@built
def test_the_extension_adds_up_what_the_tables_say() -> None:
    antialiasing._antialiasing.resample(*FITTING.values())
    assert (FITTING["target"] == 9).all()


@built
@pytest.mark.parametrize("what", UNFITTING)
def test_the_extension_refuses_what_it_would_read_or_write_outside(what: str) -> None:
    name, value = UNFITTING[what]
    with pytest.raises((ValueError, BufferError, TypeError)):
        antialiasing._antialiasing.resample(*(FITTING | {name: value}).values())
