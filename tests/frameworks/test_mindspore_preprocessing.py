"""The recipes of mindvision and MindCV equal MindSpore's own operations, bit for bit."""

from helpers.frameworks import mindspore_libraries  # noqa: F401

# isort: split
import numpy as np
import pytest
from mindcv.data import create_transforms
from mindspore.dataset import vision
from mindvision.classification.dataset import ImageNet

from effconvert.preprocessing.pipeline import pixels, preprocess
from effconvert.preprocessing.recipes import recipe_for
from helpers.frameworks.figures import record
from helpers.pictures import KINDS, PICTURES, file, random_files

CASES = [("mindvision", "b0"), ("mindvision", "b5"), ("mindcv", "b0"), ("mindcv", "b2")]


def operations(layout: str, recipe) -> list:
    """Return the library's own operations for evaluation."""
    if layout == "mindvision":
        data = ImageNet.__new__(ImageNet)
        data.split, data.resize = "val", recipe.size
        return data.default_transform()
    return create_transforms(
        "imagenet", image_resize=recipe.size, crop_pct=0.875, interpolation="bicubic", is_training=False
    )


@pytest.mark.parametrize(("layout", "variant"), CASES)
def test_every_pixel_is_the_librarys_own(layout, variant):
    recipe = recipe_for(layout, variant)
    steps = operations(layout, recipe)
    rounded = [step for step in steps if not isinstance(step, vision.Normalize | vision.HWC2CHW)]
    assert [type(step) for step in rounded] == [vision.Decode, vision.Resize, vision.CenterCrop]
    wrong, furthest = [], 0.0
    for description, data in random_files(PICTURES, KINDS):
        theirs = np.frombuffer(data, np.uint8)
        for step in rounded:
            theirs = step(theirs)
        if not np.array_equal(pixels(data, recipe), theirs):
            wrong.append(description)
        for step in steps[len(rounded) :]:
            theirs = step(theirs)
        furthest = max(furthest, float(np.abs(preprocess(data, recipe) - theirs).max() / np.ptp(theirs)))
    record(f"{layout} {variant}", f"{PICTURES} images, normalised", furthest, "<= 1e-06")
    assert not wrong
    assert furthest <= 1e-6


def test_the_longer_side_is_computed_in_float32():
    """434 * 73 / 62 is 511 exactly, and not in float32."""
    recipe = recipe_for("mindcv", "b4")
    decode, resize, crop, *_ = operations("mindcv", recipe)
    data = file("PNG", 73, 62)
    resized = resize(decode(np.frombuffer(data, np.uint8)))
    assert resized.shape == (510, 434, 3)
    assert np.array_equal(pixels(data, recipe), crop(resized))
