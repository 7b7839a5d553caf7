"""Decoding and resizing on a GPU, tested on a CPU: nearly the recipe's pixels, in order, with no image lost."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image
from torch import Tensor

from effconvert.errors import DatasetProblem
from effconvert.preprocessing.fast import fast_pixels
from effconvert.preprocessing.pipeline import geometry, pixel_type, pixels
from effconvert.preprocessing.recipes import Recipe, official_recipe, recipe_for
from effconvert.preprocessing.resizing import RESIZES
from effconvert.validate.data.dataset import Dataset, open_dataset
from effconvert.validate.evaluation.feeding import Batch
from effconvert.validate.evaluation.gpu_images import images_on_gpu, resized
from effconvert.validate.evaluation.image_loader import Clock
from helpers.pictures import file

LAYOUTS = ("mindvision", "mindcv", "mmpretrain", "timm", "torchvision", "huggingface")
RECIPES = [official_recipe("b0"), official_recipe("lite0"), *(recipe_for(layout, "b0") for layout in LAYOUTS)]
RECIPE = recipe_for("timm", "b0").at(64)


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [height, width, 3] without anything fine in it."""
    coarse = np.random.default_rng(seed).integers(30, 226, (6, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def exactly(image: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Return what the recipe shows of pixels that are decoded, rounded to 8 bits."""
    crop, height, width, window = geometry(recipe, *image.shape[:2])
    out = np.empty((recipe.size, recipe.size, 3), pixel_type(recipe))
    RESIZES[recipe.resize](crop.of(image), height, width, window, out)
    return np.clip(np.round(out.astype(float)), 0, 255)


def decoded(files: Sequence[bytes]) -> list[Tensor]:
    """Decode in place of a GPU; one file that it cannot read ends the whole batch, as it does there."""
    try:
        return [torch.from_numpy(simplejpeg.decode_jpeg(data)).permute(2, 0, 1) for data in files]
    except ValueError as error:
        raise RuntimeError("nvjpeg: bad JPEG") from error


def batches(
    dataset: Dataset, ids: Sequence[int], images: int = 8, recipe: Recipe = RECIPE
) -> tuple[list[Batch], Clock]:
    clock = Clock()
    options = {"decode": decoded, "device": "cpu", "images": images, "threads": 2, "clock": clock}
    with images_on_gpu(dataset.locations, ids, recipe, **options) as found:  # type: ignore[arg-type]
        return list(found), clock


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """27 images, some of which no GPU decodes."""
    kinds = ["4:2:0", "gray", "PNG", "CMYK", "progressive", "transparent PNG", "4:4:4", "turned", "BMP"]
    for number in range(27):
        path = tmp_path / "data" / "cat" / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file(kinds[number % len(kinds)], 90 + number, 110, number))
    return open_dataset(tmp_path / "data")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (224, 224), (150, 190)])
def test_resized_pixels_are_nearly_the_recipes(recipe: Recipe, height: int, width: int) -> None:
    image = smooth(height, width)
    found = resized(torch.from_numpy(image).permute(2, 0, 1), recipe).numpy()
    exact = exactly(image, recipe)
    assert (found.shape, found.dtype) == (exact.shape, np.uint8)
    assert np.abs(found - exact).mean() < 0.25


def test_one_pixel_to_the_side_would_be_seen() -> None:
    image = smooth(375, 500)
    moved = np.roll(image, 1, 1)
    found = resized(torch.from_numpy(moved.copy()).permute(2, 0, 1), RECIPES[0]).numpy()
    assert np.abs(found - exactly(image, RECIPES[0])).mean() > 1


@pytest.mark.parametrize("images", [1, 5, 8, 100])
def test_each_image_comes_once_and_in_order(dataset: Dataset, images: int) -> None:
    ids = np.random.default_rng(0).permutation(len(dataset))[:23].tolist()
    found, clock = batches(dataset, ids, images)
    assert [number for batch in found for number in batch.ids.tolist()] == ids
    assert all(len(batch.ids) == images for batch in found[:-1])
    assert clock.images == len(ids)
    for batch in found:
        assert batch.failures == {}
        for number, image in zip(batch.ids.tolist(), batch.pixels, strict=True):
            exact = pixels(Path(dataset.locations[number].path), RECIPE).astype(float)
            assert np.abs(image.numpy() - exact).mean() < 8, number


def test_what_is_no_plain_jpeg_is_prepared_by_the_processor(dataset: Dataset) -> None:
    (batch,), _ = batches(dataset, range(27), 27)
    for number in (2, 3, 5, 8):
        out = np.empty((RECIPE.size, RECIPE.size, 3), pixel_type(RECIPE))
        expected = fast_pixels(Path(dataset.locations[number].path).read_bytes(), RECIPE, out)
        assert np.array_equal(batch.pixels[number].numpy(), expected)


@pytest.mark.parametrize("recipe", [RECIPE, official_recipe("b0").at(64)], ids=["timm", "tf-official"])
def test_a_broken_image_is_reported_and_spoils_no_other(dataset: Dataset, recipe: Recipe) -> None:
    whole, _ = batches(dataset, range(27), recipe=recipe)
    jpeg = Path(dataset.locations[9].path)
    jpeg.write_bytes(jpeg.read_bytes()[:400])
    Path(dataset.locations[10].path).write_bytes(b"no image")
    Path(dataset.locations[11].path).unlink()
    found, _ = batches(dataset, range(27), recipe=recipe)
    failures = {number: words for batch in found for number, words in batch.failures.items()}
    broken = {10, 11} if _reads(jpeg, recipe) else {9, 10, 11}
    assert failures.keys() == broken
    assert "No such file" in failures[11]
    for before, after in zip(whole, found, strict=True):
        for number, one, other in zip(before.ids.tolist(), before.pixels, after.pixels, strict=True):
            if number in broken:
                assert not other.any()
            elif number != 9:
                assert (one.int() - other.int()).abs().float().mean() < 8


def _reads(path: Path, recipe: Recipe) -> bool:
    try:
        pixels(path, recipe)
    except DatasetProblem:
        return False
    return True
