"""The fast pipeline gives nearly the same pixels, the same ones if it has no faster method, and records its changes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from effconvert.errors import DatasetProblem
from effconvert.preprocessing.fast import fast_pixels
from effconvert.preprocessing.pipeline import pixel_type, pixels
from effconvert.preprocessing.recipes import Recipe, official_recipe, recipe_for
from effconvert.validate.predictions import read_predictions
from helpers.pictures import JPEGS, KINDS, file, picture, saved
from helpers.running import Ran
from helpers.validate.evaluated import SIZE

LAYOUTS = ("mindvision", "mindcv", "mmpretrain", "timm", "torchvision", "huggingface")
RECIPES = [official_recipe("b0"), official_recipe("lite0"), *(recipe_for(layout, "b0") for layout in LAYOUTS)]
# Of levels, 0 to 255. Cheaper arithmetic and an average of some pixels in place of one of them.
MEAN_DIFFERENCE = 3.0
NO_FASTER_WAY = ("CMYK", "YCCK", "RGB", "PNG", "gray PNG", "palette PNG", "transparent PNG", "BMP")


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [height, width, 3], smooth as photographs are, with a little grain."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(30, 226, (9, 12, 3), dtype=np.uint8))
    smooth = np.array(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return np.clip(smooth + random.normal(0, 2, (height, width, 1)), 0, 255).astype(np.uint8)


def both(data: bytes, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    fast = fast_pixels(data, recipe, np.empty((recipe.size, recipe.size, 3), pixel_type(recipe)))
    return fast.astype(float), pixels(data, recipe).astype(float)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize(("height", "width"), [(375, 500), (700, 520), (1300, 1800)])
def test_photographs_are_nearly_the_same(recipe: Recipe, height: int, width: int) -> None:
    fast, exact = both(saved(photograph(height, width), quality=92), recipe)
    assert np.abs(fast - exact).mean() < MEAN_DIFFERENCE
    assert np.corrcoef(fast.ravel(), exact.ravel())[0, 1] > 0.995


def test_a_shift_of_a_few_pixels_would_be_seen() -> None:
    recipe = official_recipe("b0")
    data = saved(photograph(375, 500), quality=92)
    moved = saved(np.roll(photograph(375, 500), (6, 6), (0, 1)), quality=92)
    assert np.abs(both(moved, recipe)[0] - both(data, recipe)[1]).mean() > MEAN_DIFFERENCE


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("kind", NO_FASTER_WAY)
def test_what_has_no_faster_way_is_exactly_the_same(recipe: Recipe, kind: str) -> None:
    fast, exact = both(file(kind, 230, 310, seed=2), recipe)
    assert np.array_equal(fast, exact)


def test_every_kind_of_file_is_prepared_of_whatever_size() -> None:
    random = np.random.default_rng(1)
    for number, kind in enumerate(KINDS * 2):
        height, width = (int(length) for length in random.integers(40, 900, 2))
        recipe = RECIPES[number % len(RECIPES)]
        fast, exact = both(file(kind, height, width, number), recipe)
        assert fast.shape == exact.shape
        assert abs(fast.mean() - exact.mean()) < 4, (kind, height, width)


def test_an_image_that_opencv_turns_is_turned() -> None:
    recipe = recipe_for("mmpretrain", "b0")
    fast, exact = both(file("turned", 300, 200), recipe)
    assert np.array_equal(fast, exact)


def test_damaged_files_are_told_from_good_ones_as_the_exact_pipeline_does() -> None:
    recipe = official_recipe("b0")
    for kind in JPEGS:
        data = file(kind, 200, 260)
        for left in (20, len(data) // 2):
            exact_reads, fast_reads = True, True
            try:
                pixels(data[:left], recipe)
            except DatasetProblem:
                exact_reads = False
            try:
                fast_pixels(data[:left], recipe, np.empty((recipe.size, recipe.size, 3), np.float32))
            except DatasetProblem:
                fast_reads = False
            assert exact_reads == fast_reads, (kind, left)


def test_an_image_too_small_to_crop_is_refused_alike() -> None:
    recipe = dataclasses.replace(official_recipe("b0"), crop_padding=5000)
    data = saved(picture(20, 20, 0), quality=90)
    for prepare in (
        lambda: pixels(data, recipe),
        lambda: fast_pixels(data, recipe, np.empty((224, 224, 3), np.float32)),
    ):
        with pytest.raises(DatasetProblem, match="too small to crop"):
            prepare()


def test_what_it_changes_is_measured_printed_and_recorded(
    run: Callable[..., Ran], zoo: Path, zoo_network: Path, tmp_path: Path
) -> None:
    common = ["validate", zoo_network, "--data", zoo, "--size", SIZE, "--workers", 0, "--runs", tmp_path]
    ran = run(*common, "--pipeline", "fast")
    assert (ran.exit_code, ran.err) == (0, "")
    run(*common, "--quiet")
    fast, exact = (read_predictions(tmp_path / name) for name in ("zoo-net.npz", "zoo-net-2.npz"))
    changed = int((fast.top5[:, 0] != exact.top5[:, 0]).sum())
    points = 100 * (int(fast.hits(1).sum()) - int(exact.hits(1).sum())) / 30
    assert fast.record["computing"]["pipeline"] == "fast"
    assert exact.record["computing"]["pipeline"] == "exact"
    assert "effect" not in exact.record["computing"]
    assert fast.record["computing"]["effect"] == {
        "images": 30,
        "changed_top1": changed,
        "hits": int(fast.hits(1).sum()),
        "hits_exact": int(exact.hits(1).sum()),
        "top1_difference": pytest.approx(points, abs=1e-3),
    }
    said = f"fast: on 30 images, {changed} predictions differ from the exact pipeline's, top-1 {points:+.2f} points"
    assert said in ran.out
    assert not np.array_equal(fast.margin, exact.margin)
