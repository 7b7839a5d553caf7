"""Recipes for one, four and more channels: gray as in timm and Pillow; refused if the preprocessing is unknown."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import effconvert
from effconvert.errors import LayoutMismatch
from effconvert.formats.huggingface.preprocessor import make_preprocessor, recipe_of
from effconvert.preprocessing.pipeline import pixels, preprocess
from effconvert.preprocessing.recipes import Recipe, recipe_for, recipe_named
from effconvert.validate.evaluation.computing import Computing
from effconvert.validate.evaluation.execution import Execution
from helpers.pictures import KINDS, file
from helpers.running import Ran
from helpers.validate.asked_files import SIZE, pictures, seeing, written

GRAY = recipe_for("timm", "b0", in_channels=1)


def said_by(path: Path) -> Recipe:
    """The recipe that a converted file carries."""
    with effconvert.open_checkpoint(path) as checkpoint:
        return Recipe.from_dict(json.loads(checkpoint.metadata["recipe"]))


def test_timm_makes_gray_and_takes_the_average_of_mean_and_std() -> None:
    assert (GRAY.decode, GRAY.channels, GRAY.mean, GRAY.std) == ("pil-gray", "gray", (114.495,), (57.63,))
    usual = recipe_for("timm", "b0")
    assert (GRAY.size, GRAY.shorter_side, GRAY.resize) == (usual.size, usual.shorter_side, usual.resize)
    assert recipe_named("timm-half", "b0", 1).mean == (127.5,)


@pytest.mark.parametrize("layout", ["lukemelas", "torchvision", "huggingface", "mindcv", "keras", "tf-official"])
@pytest.mark.parametrize("channels", [1, 4])
def test_no_other_library_says_how_channels_come_about(layout: str, channels: int) -> None:
    recipe = recipe_for(layout, "b0", in_channels=channels)
    assert (recipe.channels, recipe.in_channels, recipe.is_normalised) == ("unknown", channels, False)
    assert recipe.size == recipe_for(layout, "b0").size
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": "gray"}, "mean=.*must be one number"),
        ({"channels": "rgb", "mean": [1.0], "std": [1.0]}, "mean=.*must be three numbers"),
        ({"channels": "unknown", "mean": [1.0, 2.0], "std": [1.0]}, "std=.*must be 2 numbers above 0"),
        ({"channels": "unknown", "mean": [], "std": []}, "mean=.*must be"),
        ({"channels": "hsv"}, "must be one of rgb, bgr, gray, unknown"),
    ],
)
def test_a_recipe_has_a_number_for_each_channel(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(LayoutMismatch, match=words):
        Recipe.from_dict(recipe_for("timm", "b0").to_dict() | changes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("resize", ["pil-bicubic", "pil-bilinear", "pil-nearest"])
def test_gray_is_what_pillow_makes_of_the_image(kind: str, resize: str) -> None:
    data = file(kind, 90, 120)
    recipe = recipe_for("timm", "b0", in_channels=1).at(SIZE)
    filters = {
        "pil-bicubic": Image.Resampling.BICUBIC,
        "pil-bilinear": Image.Resampling.BILINEAR,
        "pil-nearest": Image.Resampling.NEAREST,
    }
    luma = Image.open(io.BytesIO(data)).convert("L")
    shorter = recipe.shorter_side
    resized = np.asarray(luma.resize((int(shorter * 120 / 90), shorter), filters[resize]))
    top, left = (round((length - SIZE) / 2) for length in resized.shape)
    expected = resized[top : top + SIZE, left : left + SIZE]
    changed = Recipe.from_dict(recipe.to_dict() | {"resize": resize})
    assert np.array_equal(pixels(data, changed), np.repeat(expected[..., None], 3, -1))
    found = preprocess(data, changed)
    assert found.shape == (1, SIZE, SIZE)
    assert np.array_equal(found[0], (expected.astype(np.float32) - np.float32(114.495)) / np.float32(57.63))


def test_a_network_of_gray_images_gets_what_the_recipe_gives(tmp_path: Path) -> None:
    network, recipe = seeing("lite0", classes=5, in_channels=1), GRAY.at(SIZE)
    images = pictures(tmp_path / "images", 3)
    execution = Execution(network, recipe, Computing("cpu", "float32"), 2)
    found = execution.logits(torch.from_numpy(np.stack([pixels(image, recipe) for image in images])))
    with torch.no_grad():
        expected = network(torch.from_numpy(np.stack([preprocess(image, recipe) for image in images])))
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of Lite0 of three classes and one or four channels, and two images; do not change them."""
    made = tmp_path_factory.mktemp("channels")
    for channels in (1, 4):
        written(seeing("lite0", classes=3, in_channels=channels), made / f"{channels}.safetensors", "timm")
        written(seeing("lite0", classes=3, in_channels=channels), made / f"{channels}-canonical.safetensors")
    (made / "images").mkdir()
    for name in ("first", "second"):
        pictures(made / "images" / name)
    (made / "names.txt").write_text("first\nsecond\nthird\n")
    save_file(load_file(made / "1.safetensors"), made / "timm.safetensors")  # without what it says of itself
    return made


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "FILE", "images/first/0.jpg"],
        ["features", "FILE", "images", "--out", "OUT.npz"],
        ["validate", "FILE", "--data", "images", "--classes", "names.txt", "--runs", "OUT"],
    ],
    ids=lambda command: command[0],
)
def test_a_network_whose_channels_no_image_has_is_shown_none(
    run: Callable[..., Ran], folder: Path, tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    ran = run(
        *[
            {"FILE": "4.safetensors", "OUT": tmp_path / "out", "OUT.npz": tmp_path / "out.npz"}.get(word, word)
            for word in command
        ]
    )
    assert (ran.exit_code, ran.out) == (4, "")
    assert (
        "4.safetensors: the preprocessing for its 4 channels is not known, and no image file has that many" in ran.err
    )
    assert "takes tensors [N, 4, height, width]" in ran.err
    assert not list(tmp_path.glob("out*"))


def test_one_channel_that_nobody_explains_can_be_taken_for_gray(run: Callable[..., Ran], folder: Path) -> None:
    file, image = folder / "1-canonical.safetensors", folder / "images" / "first" / "0.jpg"
    ran = run("predict", file, image, "--size", SIZE)
    assert ran.exit_code == 4
    assert (
        "the preprocessing for its one channel is not known; --recipe timm converts images to gray, as timm does"
        in ran.err
    )
    document = json.loads(run("predict", file, image, "--size", SIZE, "--recipe", "timm", "--json").out)
    assert document["recipe"]["channels"] == "gray"
    logit = {seen["index"]: seen["logit"] for seen in document["images"][0]["classes"]}
    recipe = recipe_named("timm", "lite0", 1).at(SIZE)
    with torch.no_grad():
        expected = effconvert.load_model(file)(torch.from_numpy(preprocess(image, recipe))[None])[0]
    assert [logit[index] for index in range(3)] == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize(("channels", "recipe"), [(4, "timm"), (1, "torchvision"), (1, "tf-official-lite")])
def test_a_preprocessing_of_another_number_of_channels_is_refused(
    run: Callable[..., Ran], folder: Path, channels: int, recipe: str
) -> None:
    ran = run("predict", folder / f"{channels}.safetensors", folder / "images" / "first" / "0.jpg", "--recipe", recipe)
    assert ran.exit_code == 4
    assert f"gives images with 3 channels; the network takes {channels}" in ran.err or "has no size for" in ran.err


def test_gray_images_are_validated(run: Callable[..., Ran], folder: Path, tmp_path: Path) -> None:
    command = ["validate", folder / "timm.safetensors", "--data", folder / "images", "--classes", folder / "names.txt"]
    ran = run(*command, "--size", SIZE, "--workers", 0, "--runs", tmp_path / "runs", "--json")
    assert (ran.exit_code, ran.err) == (0, "")
    (result,) = json.loads(ran.out)["results"]
    assert result["record"]["recipe"]["channels"] == "gray"
    assert result["record"]["model"]["facts"]["in_channels"] == 1


def test_what_is_not_known_is_said_when_a_file_is_converted(folder: Path, tmp_path: Path) -> None:
    report = effconvert.convert(folder / "4.safetensors", tmp_path / "x.safetensors", to="canonical")
    assert any(
        "4 channels of the network's input, and how they are normalised, is not known" in c for c in report.cautions
    )
    assert said_by(tmp_path / "x.safetensors").channels == "unknown"
    assert effconvert.load_model(tmp_path / "x.safetensors").recipe == said_by(tmp_path / "x.safetensors")


def test_timms_config_says_the_mean_of_each_channel(tmp_path: Path) -> None:
    torch.save(effconvert.create_model("b0", classes=2, in_channels=4).state_dict(), tmp_path / "state.pth")
    folder = tmp_path / "folder"
    folder.mkdir()
    effconvert.convert(tmp_path / "state.pth", folder / "model.safetensors", to="timm", facts={"classes": "2"})
    usual = {"input_size": [4, 96, 96], "crop_pct": 0.875, "interpolation": "bicubic"}
    for mean, known in (([0.1, 0.2, 0.3, 0.4], True), ([0.485, 0.456, 0.406], False)):
        save_file(load_file(folder / "model.safetensors"), folder / "pytorch_model.safetensors")
        told = {
            "architecture": "tf_efficientnet_b0",
            "pretrained_cfg": usual | {"mean": mean, "std": [0.5] * len(mean)},
        }
        (folder / "config.json").write_text(json.dumps(told))
        effconvert.convert(folder / "pytorch_model.safetensors", tmp_path / "x.safetensors", force=True)
        found = said_by(tmp_path / "x.safetensors")
        assert (found.channels, found.size, found.is_normalised) == ("unknown", 96, known)
        assert found.mean == (pytest.approx((25.5, 51, 76.5, 102)) if known else (0.0,) * 4)


@pytest.mark.parametrize(("channels", "called"), [(1, "gray"), (3, "rgb"), (5, "unknown")])
def test_hugging_faces_processor_says_the_mean_of_each_channel(channels: int, called: str) -> None:
    values = make_preprocessor(recipe_for("huggingface", "b0")) | {"image_mean": [0.5] * channels, "image_std": 0.25}
    recipe = recipe_of(values, channels)
    assert (recipe.channels, recipe.mean, recipe.std) == (called, (127.5,) * channels, (63.75,) * channels)
    assert recipe_of(make_preprocessor(recipe), channels) == recipe
    with pytest.raises(LayoutMismatch, match="image_mean"):
        recipe_of(values, channels + 1)
