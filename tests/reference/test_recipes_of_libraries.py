"""The evaluation preprocessing of every network of every library is known."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from effconvert.errors import LayoutMismatch
from effconvert.maps.language import Layout
from effconvert.maps.layouts import known_layouts
from effconvert.preprocessing import recipes
from effconvert.preprocessing.recipes import recipe_for
from effconvert.reference_tables.reading import recipe_tables
from effconvert.reference_tables.weights import weights_table

TAGS = json.loads((Path(__file__).parents[1] / "golden" / "published_files.json").read_text())["timm"]
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
HALF = ((127.5,) * 3, (127.5,) * 3)
WHOLE = ((127.0,) * 3, (128.0,) * 3)


def steps(recipe: Any) -> tuple[Any, ...]:
    return recipe.decode, recipe.crop, recipe.resize, recipe.shorter_side, recipe.size


@pytest.mark.parametrize("layout", known_layouts(), ids=lambda layout: layout.name)
def test_every_variant_of_every_layout_has_a_recipe(layout: Layout) -> None:
    for variant in layout.variants:
        assert recipe_for(layout.name, variant).name


@pytest.mark.parametrize("row", weights_table(), ids=lambda row: f"{row.framework}-{row.variant}-{row.weights}")
def test_every_published_file_has_the_recipe_of_its_row_and_size(row: Any) -> None:
    recipe = recipe_for(recipe_tables()[row.recipe]["layouts"][0], row.variant, row.weights)
    assert (recipe.name, recipe.size) == (row.recipe, row.size)


@pytest.mark.parametrize("name", TAGS)
def test_timm_evaluates_each_tag_as_its_configuration_says(name: str) -> None:
    said = TAGS[name]
    (row,) = (row for row in weights_table() if f"{row.network}.{row.weights}" == name)
    recipe = recipe_for("timm", row.variant, name)
    size = said.get("test_input_size", said["input_size"])[-1]
    scaled = math.floor(size / said.get("test_crop_pct", said["crop_pct"]))
    squashed = said["crop_mode"] == "squash"
    assert (recipe.size, recipe.shorter_side or scaled) == (size, scaled)
    assert (recipe.crop == "none") == (recipe.shorter_side == 0) == squashed
    assert recipe.resize == f"pil-{said['interpolation']}"
    assert recipe.mean == pytest.approx([255 * value for value in said["mean"]], rel=1e-12)
    assert recipe.std == pytest.approx([255 * value for value in said["std"]], rel=1e-12)


@pytest.mark.parametrize(
    ("layout", "variant", "weights", "expected", "numbers"),
    [
        ("timm", "b3", None, ("pil", "torchvision-center", "pil-bicubic", 331, 300), IMAGENET),
        ("timm", "b3", "advprop", ("pil", "torchvision-center", "pil-bicubic", 331, 300), HALF),
        ("timm", "b2", "efficientnet_b2", ("pil", "torchvision-center", "pil-bicubic", 288, 288), IMAGENET),
        ("timm", "lite4", None, ("pil", "torchvision-center", "pil-bilinear", 413, 380), HALF),
        ("mmpretrain", "b0", None, ("cv2", "mmpretrain-center", "cv2-bicubic", 0, 224), IMAGENET),
        ("mmpretrain", "b8", "advprop", ("cv2", "mmpretrain-center", "cv2-bicubic", 0, 672), HALF),
        ("mmpretrain", "l2", "ns-475", ("cv2", "mmpretrain-center", "cv2-bicubic", 0, 475), IMAGENET),
        ("mmpretrain", "edgetpu-m", None, ("cv2", "mmpretrain-center", "cv2-bicubic", 0, 240), HALF),
        ("torchvision", "b3", None, ("pil", "torchvision-center", "pil-bicubic", 320, 300), IMAGENET),
        ("torchvision", "b1", None, ("pil", "torchvision-center", "pil-bilinear", 255, 240), IMAGENET),
        ("torchvision", "b1", "IMAGENET1K_V1", ("pil", "torchvision-center", "pil-bicubic", 256, 240), IMAGENET),
        ("lukemelas", "b7", None, ("pil", "torchvision-center", "pil-bicubic", 600, 600), IMAGENET),
        ("lukemelas", "b8", "advprop", ("pil", "torchvision-center", "pil-bicubic", 672, 672), HALF),
        ("lukemelas", "lite3", None, ("pil", "tf-center", "pil-bilinear", 0, 280), WHOLE),
        ("huggingface", "b5", None, ("pil", "none", "pil-nearest", 0, 456), IMAGENET),
        ("keras", "b0", None, ("pil", "none", "pil-nearest", 0, 224), IMAGENET),
        ("mindvision", "b5", None, ("mindspore", "mindspore-center", "mindspore-bilinear", 488, 456), IMAGENET),
        ("mindcv", "b1", None, ("mindspore", "mindspore-center", "mindspore-bicubic", 274, 240), IMAGENET),
        ("mindspore-zoo-b2", "b2", None, ("mindspore", "mindspore-center", "mindspore-bilinear", 280, 260), HALF),
        ("canonical", "b0", None, ("tf-integer-fast", "tf-center", "tf1-bicubic", 0, 224), IMAGENET),
    ],
)
def test_recipes_are_those_of_the_libraries(
    layout: str, variant: str, weights: str | None, expected: tuple[Any, ...], numbers: tuple[Any, Any]
) -> None:
    recipe = recipe_for(layout, variant, weights)
    assert steps(recipe) == expected
    assert (recipe.mean, recipe.std) == numbers


def test_mmpretrains_es_has_the_numbers_that_its_configuration_resolves_to() -> None:
    assert (recipe_for("mmpretrain", "edgetpu-s").mean, recipe_for("mmpretrain", "edgetpu-s").std) == IMAGENET


def test_hugging_face_divides_by_its_std_twice() -> None:
    recipe = recipe_for("huggingface", "b0")
    assert recipe.std == pytest.approx([255 * std**2 for std in (0.47853944, 0.4732864, 0.47434163)], rel=1e-7)


@pytest.mark.parametrize(
    ("layout", "variant", "weights", "words"),
    [
        ("pytorch", "b0", None, "layout 'pytorch'; known are tf-official, canonical, mindvision"),
        ("torchvision", "b8", None, "no preprocessing is known for b8 in the layout torchvision"),
        ("mindcv", "b0", "aa", "weights 'aa' are unknown for b0; known are mindcv"),
        ("timm", "b6", "base", "which has aa_in1k, ap_in1k, ns_jft_in1k"),
        ("timm", "b9", None, "variant 'b9' is unknown"),
    ],
)
def test_what_has_no_recipe_is_refused_with_what_has(
    layout: str, variant: str, weights: str | None, words: str
) -> None:
    with pytest.raises(LayoutMismatch) as failure:
        recipe_for(layout, variant, weights)
    assert words in str(failure.value)


def test_a_table_of_ones_own_with_sizes_has_these_also_for_timms_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = recipe_tables()["timm"] | {"sizes": {"b0": [240, 224]}}
    monkeypatch.setattr(recipes, "recipe_tables", lambda: recipe_tables() | {"mine": mine})
    recipe = recipes.recipe_named("mine", "b0")
    assert (recipe.shorter_side, recipe.size) == (240, 224)
    with pytest.raises(LayoutMismatch, match="mine has no size for b1, only for b0"):
        recipes.recipe_named("mine", "b1")
