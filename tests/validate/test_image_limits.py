"""An image or a recipe that asks for more memory than a process bears is refused, and the limit can be raised."""

import io
import resource
import struct
import warnings
from typing import Any

import pytest
from PIL import Image

from effconvert.errors import DatasetProblem, LayoutMismatch
from effconvert.preprocessing.fast import fast_pixels
from effconvert.preprocessing.pipeline import pixel_type, pixels, preprocess
from effconvert.preprocessing.recipes import Recipe, recipe_for

LAYOUTS = ("tf-official", "timm", "mmpretrain", "mindcv")
SIDE = 13_300


def saved(kind: str, width: int = 64, height: int = 64, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height), 1).save(out, kind, **options)
    return out.getvalue()


def large_gif() -> bytes:
    """A screen of 13,300 x 13,300 pixels around a picture of one."""
    small = bytearray(saved("GIF", 1, 1, "L"))
    small[6:10] = struct.pack("<HH", SIDE, SIDE)
    return bytes(small)


def large_jpeg() -> bytes:
    """A JPEG that says that it has 13,300 x 13,300 pixels."""
    small = bytearray(saved("JPEG"))
    at = small.index(b"\xff\xc0") + 5
    small[at : at + 4] = struct.pack(">HH", SIDE, SIDE)
    return bytes(small)


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose first scan is repeated."""
    whole = saved("JPEG", progressive=True)
    first = whole.index(b"\xff\xda")
    second = whole.index(b"\xff\xda", first + 2)
    return whole[:first] + whole[first:second] * count + whole[second:]


TOO_LARGE = {
    "gif": large_gif(),
    "jpeg": large_jpeg(),
    "png": saved("PNG", SIDE, SIDE, "1"),
    "tiff": saved("TIFF", SIDE, SIDE, "1", compression="group4"),
}


@pytest.mark.parametrize("name", TOO_LARGE)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_image_of_more_pixels_than_memory_bears_is_refused_before_it_is_decoded(layout: str, name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        warnings.catch_warnings(),
        pytest.raises(DatasetProblem, match="too large: 13,300 x 13,300 pixels; at most 67,"),
    ):
        warnings.simplefilter("error")
        preprocess(TOO_LARGE[name], recipe_for(layout, "b0"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize("layout", ["timm", "mindcv"])
def test_an_image_that_becomes_too_large_is_refused(layout: str) -> None:
    narrow = saved("PNG", 60_000, 1)
    assert len(narrow) < 500
    with pytest.raises(DatasetProblem, match="too large: 1 x 60,000 pixels become 256 x 15,360,000 pixels; at most"):
        preprocess(narrow, recipe_for(layout, "b0"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_jpeg_of_many_scans_is_refused(layout: str) -> None:
    recipe = recipe_for(layout, "b0")
    assert preprocess(many_scans(1), recipe).shape == (3, recipe.size, recipe.size)
    with pytest.raises(DatasetProblem, match="a JPEG with 3.. scans; at most 100 are read"):
        preprocess(many_scans(300), recipe)
    out = pixels(many_scans(1), recipe)
    with pytest.raises(DatasetProblem, match="scans; at most 100 are read"):
        fast_pixels(many_scans(300), recipe, out.astype(pixel_type(recipe)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_limit_can_be_raised(layout: str) -> None:
    recipe, image = recipe_for(layout, "b0"), saved("PNG", 300, 200)
    with pytest.raises(DatasetProblem, match=r"at most 59,999 are read \(max_pixels=… raises that\)"):
        preprocess(image, recipe, max_pixels=59_999)
    assert preprocess(image, recipe, max_pixels=100_000).shape == (3, recipe.size, recipe.size)


@pytest.mark.parametrize(
    "wrong",
    [{"size": 10**6}, {"size": 1 << 62}, {"shorter_side": 10**9}, {"crop_padding": 10**9}, {"std": [10**400] * 3}],
    ids=str,
)
def test_a_recipe_in_a_file_has_the_limits_of_the_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(LayoutMismatch, match=f"{next(iter(wrong))}=.*must be") as caught:
        Recipe.from_dict(recipe_for("timm", "b0").to_dict() | wrong)
    assert len(str(caught.value)) < 200
