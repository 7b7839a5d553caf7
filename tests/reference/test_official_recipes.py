"""Every training that TensorFlow published has one official preprocessing, and its recipe is complete."""

import json
import subprocess
import sys
from typing import Any

import pytest

from effconvert.errors import LayoutMismatch
from effconvert.preprocessing.recipes import Recipe, official_recipe
from effconvert.reference_tables.reading import recipe_tables
from effconvert.reference_tables.weights import weights_table

IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
ADVPROP = ((127.5,) * 3, (127.5,) * 3)
WHOLE = ((127.0,) * 3, (128.0,) * 3)


ARCHIVES = [row for row in weights_table() if row.framework == "tensorflow"]


@pytest.mark.parametrize("row", ARCHIVES, ids=lambda row: f"{row.variant}-{row.weights}")
def test_every_archive_has_exactly_one_recipe_of_its_size(row: Any) -> None:
    fitting = [
        name
        for name, table in recipe_tables().items()
        if "tf-official" in table["layouts"] and row.variant in table["variants"] and row.weights in table["weights"]
    ]
    assert fitting == [row.recipe]
    assert official_recipe(row.variant, row.weights).size == row.size


@pytest.mark.parametrize(
    ("variant", "weights", "resize", "numbers", "size"),
    [
        ("b0", None, "tf1-bicubic", IMAGENET, 224),
        ("b5", "ra", "tf1-bicubic", IMAGENET, 456),
        ("b7", "ns", "tf1-bicubic", IMAGENET, 600),
        ("l2", "ns-475", "tf1-bicubic", IMAGENET, 475),
        ("b8", None, "tf1-bicubic", IMAGENET, 672),
        ("b8", "advprop", "tf1-bicubic", ADVPROP, 672),
        ("l2", "aa", "tf1-bicubic", IMAGENET, 800),
        ("b0", "advprop", "tf1-bicubic", ADVPROP, 224),
        ("cc-b1-8e", None, "tf1-bicubic", WHOLE, 224),
        ("edgetpu-l", None, "tf1-bicubic", WHOLE, 300),
        ("lite3", None, "tf1-bilinear", WHOLE, 280),
    ],
)
def test_recipes_are_those_of_tensorflow(
    variant: str, weights: str | None, resize: str, numbers: tuple[Any, Any], size: int
) -> None:
    recipe = official_recipe(variant, weights)
    assert (recipe.resize, (recipe.mean, recipe.std), recipe.size) == (resize, numbers, size)
    assert (recipe.decode, recipe.crop, recipe.crop_padding) == ("tf-integer-fast", "tf-center", 32)
    assert (recipe.channels, recipe.shorter_side) == ("rgb", 0)


def test_a_recipe_survives_json() -> None:
    recipe = official_recipe("b0")
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_a_recipe_of_an_earlier_version_is_read() -> None:
    values = official_recipe("b0").to_dict()
    del values["shorter_side"]
    assert Recipe.from_dict(values) == official_recipe("b0")


def test_a_recipe_with_missing_and_unknown_keys_is_refused_with_all_of_them() -> None:
    values = official_recipe("b0").to_dict()
    del values["mean"], values["channels"]
    with pytest.raises(LayoutMismatch) as failure:
        Recipe.from_dict({**values, "colour": "rgb"})
    assert "mean is missing; channels is missing; colour is unknown; its keys are name" in str(failure.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mean": [1, 2]}, "mean=(1, 2): must be three numbers"),
        ({"mean": "abc"}, "mean='abc': must be three numbers"),
        ({"std": [1, 0, 1]}, "std=(1, 0, 1): must be three numbers above 0"),
        ({"std": None}, "std=None"),
        ({"size": 0}, "size=0: must be a whole number of pixels, 1 to 4,096"),
        ({"size": "224"}, "size='224'"),
        ({"crop_padding": -1}, "crop_padding=-1"),
        ({"shorter_side": 0.5}, "shorter_side=0.5"),
        ({"channels": "rbg"}, "channels='rbg': must be one of rgb, bgr, gray, unknown"),
        ({"channels": None}, "channels=None"),
        ({"decode": ""}, "decode='': must be a string"),
    ],
)
def test_values_that_a_recipe_cannot_have_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(LayoutMismatch) as failure:
        Recipe.from_dict(official_recipe("b0").to_dict() | change)
    assert words in str(failure.value)


@pytest.mark.parametrize(("variant", "weights"), [("l2", "advprop"), ("edgetpu-s", "aa"), ("b0", "mine")])
def test_weights_of_no_known_training_have_no_recipe(variant: str, weights: str) -> None:
    with pytest.raises(LayoutMismatch, match=f"weights '{weights}' are unknown for {variant}; known are base"):
        official_recipe(variant, weights)


def test_looking_things_up_imports_no_framework_and_no_network() -> None:
    program = (
        "import sys; import effconvert.hub.catalogue, effconvert.preprocessing.recipes, effconvert.reference_tables.published_weights, effconvert.hub.cache;"
        "print([name for name in ('numpy', 'torch', 'ssl', 'urllib.request') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
