"""Input images come from a seed, or from a folder and a recipe, and are identified by their hash."""

from pathlib import Path

import numpy as np
import pytest

from effconvert.errors import DatasetProblem, LayoutMismatch
from effconvert.preprocessing.pipeline import preprocess
from effconvert.preprocessing.recipes import recipe_for
from effconvert.preprocessing.synthetic import sensitivity, synthetic_images
from effconvert.verification.inputs import Images, Inputs, inputs_of_images, synthetic_inputs
from helpers.pictures import picture, saved

# The second of two images of 4 by 5 pixels drawn from seed 7. RandomState's stream never changes; sin and cos do, in the
# last bit, from machine to machine.
SECOND = [
    [[-0.661715, -0.126282, 0.908254, 1.670319, 1.581100], [0.821730, 0.698317, 0.826030, 1.520309, 1.565467],
     [0.779663, 0.795770, 0.945882, 1.448633, 1.963054], [0.094922, 0.480656, 0.887557, 1.247261, 1.772838]],
    [[-0.564367, -0.741723, -0.303954, -0.928838, -0.918677], [-0.399153, -0.352596, -0.221467, -1.003799, -0.964843],
     [-0.372027, -0.422865, -0.687507, -0.835604, -1.038048], [-0.335681, -0.306671, -0.314931, -0.563265, -0.718679]],
    [[0.610691, 0.563717, -0.785130, -2.326489, -2.281632], [-0.066552, -0.087614, -0.803855, -2.205452, -2.259446],
     [-0.145805, -0.089910, 0.695545, 0.756237, 0.529689], [0.580187, 0.295444, 0.009629, -0.108535, -0.105790]],
]  # fmt: skip
USUAL = recipe_for("tf-official", "b0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images")
    (path / "below").mkdir()
    for number, name in enumerate(("b.png", "a.png", "below/c.png")):
        (path / name).write_bytes(saved(picture(70, 90, number), "PNG"))
    return path


def test_images_of_a_seed_are_the_same_on_every_machine() -> None:
    assert np.allclose(synthetic_images(2, 4, 5, seed=7)[1], SECOND, rtol=0, atol=2e-6)


def test_the_same_arguments_give_the_same_images_bit_for_bit() -> None:
    one, other = synthetic_inputs(2, 32, 3), synthetic_inputs(2, 32, 3)
    assert one.images.tobytes() == other.images.tobytes()
    assert (one.words, one.sha256) == (other.words, other.sha256)


@pytest.mark.parametrize("other", [(2, 32, 4), (2, 33, 3), (3, 32, 3)], ids=["seed", "size", "count"])
def test_other_arguments_have_another_hash(other: tuple[int, int, int]) -> None:
    assert synthetic_inputs(*other).sha256 != synthetic_inputs(2, 32, 3).sha256


def test_one_value_makes_another_hash() -> None:
    images = synthetic_images(2, 8, 8)
    other = images.copy()
    other[1, 2, 7, 7] = np.nextafter(other[1, 2, 7, 7], np.float32(9))
    assert Inputs(images, {}).sha256 != Inputs(other, {}).sha256


def test_the_hash_does_not_depend_on_how_the_pixels_lie_in_memory() -> None:
    images = synthetic_images(2, 8, 8)
    assert Inputs(images, {}).sha256 == Inputs(np.asfortranarray(images), {}).sha256


def test_two_synthetic_images_of_the_recipes_size_are_usual() -> None:
    inputs = Images().prepared(USUAL, "b0")
    assert inputs.words == {"kind": "synthetic", "count": 2, "size": 224, "seed": 0}
    assert (inputs.images.shape, inputs.images.dtype) == ((2, 3, 224, 224), np.float32)


def test_count_seed_and_size_are_as_they_are_given() -> None:
    inputs = Images(count=3, seed=5, size=48).prepared(USUAL, "b0")
    assert inputs.words == {"kind": "synthetic", "count": 3, "size": 48, "seed": 5}
    assert np.array_equal(inputs.images, synthetic_images(3, 48, 48, 5))


def test_another_recipe_brings_its_size() -> None:
    assert Images(recipe="tf-official").prepared(USUAL, "b4").images.shape == (2, 3, 380, 380)


def test_a_recipe_that_is_not_known_is_refused() -> None:
    with pytest.raises(LayoutMismatch, match="the preprocessing 'imagenet' is unknown"):
        Images(recipe="imagenet").prepared(USUAL, "b0")


def test_a_folders_first_images_by_name_go_through_the_recipe(folder: Path) -> None:
    inputs = Images(folder, count=2).prepared(USUAL, "b0")
    expected = np.stack([preprocess(folder / name, USUAL) for name in ("a.png", "b.png")])
    assert np.array_equal(inputs.images, expected)
    assert inputs.words == {
        "kind": "images", "count": 2, "of": 3, "files": ["a.png", "b.png"], "recipe": USUAL.to_dict(), "size": 224,
    }  # fmt: skip


def test_fewer_images_than_asked_for_are_counted_as_they_are(folder: Path) -> None:
    inputs = Images(folder, count=9, size=32).prepared(USUAL, "b0")
    assert (len(inputs.images), inputs.words["count"], inputs.words["files"][2]) == (3, 3, "below/c.png")


def test_a_size_scales_what_is_cut_off_around_it(folder: Path) -> None:
    recipe = recipe_for("timm", "b0")
    inputs = Images(folder, size=recipe.size // 2).prepared(recipe, "b0")
    assert inputs.images.shape[2:] == (recipe.size // 2, recipe.size // 2)
    assert inputs.words["recipe"]["shorter_side"] == recipe.shorter_side // 2 > 0


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("no image")
    with pytest.raises(DatasetProblem, match=str(tmp_path)):
        inputs_of_images(tmp_path, USUAL, 2)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DatasetProblem, match=r"broken\.png"):
        inputs_of_images(tmp_path, USUAL, 2)


def test_different_images_differ_by_much() -> None:
    images = synthetic_images(4, 32, 32).reshape(4, -1)
    assert np.abs(np.corrcoef(images) - np.eye(4)).max() < 0.8


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([[0.0, 1.0], [1.0, 0.0]], 1.0),
        ([[0.0, 4.0], [1.0, 4.0]], 0.25),
        ([[0.0, 4.0], [0.0, 4.0]], 0.0),
        ([[3.0, 3.0], [3.0, 3.0]], 0.0),
        ([[0.0, 4.0], [0.0, 4.0], [2.0, 4.0]], 0.5),
    ],
)
def test_sensitivity_is_what_an_image_changes_as_a_share_of_the_range(
    logits: list[list[float]], expected: float
) -> None:
    assert sensitivity(np.array(logits, np.float32)) == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_have_no_sensitivity(value: float) -> None:
    assert np.isnan(sensitivity(np.array([[0, value], [1, 2]])))


@pytest.mark.parametrize("shape", [(1, 1000), (0, 1000), (2, 0), (2, 4, 4)], ids=str)
def test_what_cannot_show_a_sensitivity_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="2 or more images"):
        sensitivity(np.zeros(shape))
