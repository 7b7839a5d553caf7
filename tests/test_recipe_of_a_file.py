"""A file has one training and one preprocessing in every command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import effconvert
from effconvert.identify.preprocessing import preparation_cautions, training_of
from effconvert.model import create_model
from effconvert.options import Options
from effconvert.preprocessing.recipes import Recipe, recipe_for
from effconvert.validate.subjects import load_subject
from effconvert.verification.network_files import NetworkFile, examine
from helpers.library_files import library_tensors, save

PRETRAINED = {"input_size": [3, 288, 288], "crop_pct": 1.0, "interpolation": "bicubic", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}  # fmt: skip
OWN_MEAN = (100.0, 110.0, 120.0)


def timm_folder(folder: Path) -> Path:
    """A folder of timm's, whose config.json records its preprocessing."""
    config = {"architecture": "tf_efficientnet_b0", "pretrained_cfg": PRETRAINED}
    (folder / "config.json").write_text(json.dumps(config))
    return save(folder / "pytorch_model.bin", library_tensors("timm"))


def of_a_training(folder: Path) -> Path:
    """A file of a training that says which weights it began with."""
    return save(folder / "last.pth", {"arch": "tf_efficientnet_b0_ap", "state_dict": library_tensors("timm")})


def with_own_normalization(folder: Path) -> Path:
    """A Keras network that normalises pixels by a mean and a variance of its own data."""
    mean, std = np.array(OWN_MEAN, np.float32) / 255, np.array([50, 60, 70], np.float32) / 255
    tensors = library_tensors("keras")
    tensors |= {"normalization/mean": mean, "normalization/variance": std**2}
    return save(folder / "keras.pth", tensors)


def of_gray_images(folder: Path) -> Path:
    """A Keras network of one channel, whose mean and variance are of its own data."""
    tensors = library_tensors("keras", in_channels=1)
    tensors |= {
        "normalization/mean": np.full(1, 0.5, np.float32),
        "normalization/variance": np.full(1, 0.04, np.float32),
    }
    return save(folder / "keras.pth", tensors)


def of_four_channels(folder: Path) -> Path:
    """A folder of timm's, whose config.json records the mean of each channel."""
    said = PRETRAINED | {"input_size": [4, 288, 288], "mean": [0.1, 0.2, 0.3, 0.4], "std": [0.5] * 4}
    (folder / "config.json").write_text(json.dumps({"architecture": "tf_efficientnet_b0", "pretrained_cfg": said}))
    return save(folder / "pytorch_model.bin", library_tensors("timm", in_channels=4))


def plain(folder: Path) -> Path:
    return save(folder / "efficientnet_b0-best.pth", library_tensors("timm"))


def bare(folder: Path) -> Path:
    torch.save(create_model("b0").state_dict(), folder / "state.pth")
    return folder / "state.pth"


def converted(folder: Path) -> Path:
    """A converted file that says its training."""
    effconvert.convert(bare(folder), folder / "aa.safetensors", variant="b0", weights="aa")
    return folder / "aa.safetensors"


def converted_folder(folder: Path) -> Path:
    """A converted file whose recipe stood in a config.json, and whose training nobody said."""
    effconvert.convert(timm_folder(folder), folder / "own.safetensors")
    return folder / "own.safetensors"


MAKERS = [timm_folder, of_a_training, with_own_normalization, of_gray_images, plain, bare, converted, converted_folder]


def answers(path: Path, weights: str | None) -> list[tuple[str | None, Recipe]]:
    """The training and the recipe that each command goes by: convert, verify or cost, validate or predict."""
    report = effconvert.convert(path, path.with_name("answer.safetensors"), weights=weights, force=True)
    file = examine(path, Options(weights=weights))
    one = load_subject(path, Options(weights=weights), None, None, None)
    found = [(report.weights, Recipe.from_dict(report.recipe)), (file.to_dict()["weights"], file.recipe), (one.weights, one.recipe)]  # fmt: skip
    if weights is None:
        found.append((training_of(file.identity), loaded(file)))
    return found


def loaded(file: NetworkFile) -> Recipe:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        recipe = effconvert.load_model(file.path).recipe
    assert recipe
    return recipe


@pytest.mark.parametrize("weights", [None, "ns"])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_command_goes_by_the_same(tmp_path: Path, make: Callable[[Path], Path], weights: str | None) -> None:
    first, *others = answers(make(tmp_path), weights)
    assert all(other == first for other in others)


def test_a_recipe_that_was_only_assumed_is_said_to_be_so_ever_after(tmp_path: Path) -> None:
    words = "timm at 224 px, the usual recipe of efficientnet_b0, was assumed"
    report = effconvert.convert(plain(tmp_path), tmp_path / "x.safetensors")
    assert f"the file does not say its preprocessing: {words} (weights=… names the training)" in report.cautions
    effconvert.convert(tmp_path / "x.safetensors", tmp_path / "y.pth", to="timm")
    for file in ("x.safetensors", "y.pth"):
        found = load_subject(tmp_path / file, Options(), None, None, None)
        assert (
            f"when the file was converted, its preprocessing was not known: {words} (recipe=… names another)"
            in found.cautions
        )
    assert not [
        text for text in load_subject(plain(tmp_path), Options(), None, "timm", None).cautions if "prepared" in text
    ]


def test_a_training_that_is_named_decides_against_a_config_and_that_is_said(tmp_path: Path) -> None:
    path = timm_folder(tmp_path)
    training, recipe = answers(path, "advprop")[0]
    assert (training, recipe) == ("advprop", recipe_for("timm", "b0", "advprop"))
    words = 'the file records timm at 288 px with mean 123.675; weights="advprop" was given, so timm-half at 224 px with mean 127.5 is taken'  # fmt: skip
    assert words in effconvert.convert(path, tmp_path / "x.safetensors", weights="advprop").cautions
    assert words in load_subject(path, Options(weights="advprop"), None, None, None).cautions


def test_a_converted_files_own_training_decides_against_another_and_that_is_said(tmp_path: Path) -> None:
    path = converted(tmp_path)
    training, recipe = answers(path, "advprop")[0]
    assert (training, recipe.mean[0]) == ("aa", 123.675)
    words = 'the file says that its weights are aa, which is taken; weights="advprop" has no effect'
    assert words in effconvert.convert(path, tmp_path / "x.safetensors", weights="advprop").cautions
    assert words in load_subject(path, Options(weights="advprop"), None, None, None).cautions
    assert not list(preparation_cautions(examine(path).identity, "ns"))  # whose preprocessing is the same


@pytest.mark.parametrize("weights", [None, "ns"])
def test_no_training_that_is_named_changes_how_a_network_of_kerass_normalises(
    tmp_path: Path, weights: str | None
) -> None:
    path = with_own_normalization(tmp_path)
    assert answers(path, weights)[0][1].mean == pytest.approx(OWN_MEAN, rel=1e-6)
    effconvert.convert(path, tmp_path / "own.safetensors")
    assert answers(tmp_path / "own.safetensors", weights)[0][1].mean == pytest.approx(OWN_MEAN, rel=1e-6)


@pytest.mark.parametrize("weights", [None, "ns"])
def test_no_training_that_is_named_changes_how_gray_images_become_a_networks_input(
    tmp_path: Path, weights: str | None
) -> None:
    path = of_gray_images(tmp_path)
    effconvert.convert(path, tmp_path / "own.safetensors")
    for file in (path, tmp_path / "own.safetensors"):
        recipe = answers(file, weights)[0][1]
        assert (recipe.decode, recipe.channels) == ("pil-gray", "gray")
        assert (recipe.mean, recipe.std) == (pytest.approx((127.5,)), pytest.approx((51.0,)))


def test_no_training_that_is_named_forgets_the_mean_of_channels_that_it_does_not_have(tmp_path: Path) -> None:
    path = of_four_channels(tmp_path)
    kept = examine(path, Options(weights="ns")).recipe
    assert (kept.channels, kept.mean) == ("unknown", pytest.approx((25.5, 51, 76.5, 102)))
    assert kept.size == recipe_for("timm", "b0", "ns").size
    words = [words for words in effconvert.convert(path, tmp_path / "x.safetensors", weights="ns").cautions if "weights=" in words]  # fmt: skip
    assert words == ['the file records timm at 288 px with mean 25.5; weights="ns" was given, so timm at 224 px with mean 25.5 is taken']  # fmt: skip


def test_load_model_prepares_images_as_the_files_training_was(tmp_path: Path) -> None:
    recipe = effconvert.load_model(of_a_training(tmp_path)).recipe
    assert recipe == recipe_for("timm", "b0", "ap_in1k") != recipe_for("timm", "b0")


def test_a_training_that_is_unknown_is_refused_by_every_command(tmp_path: Path) -> None:
    path: Any = plain(tmp_path)
    for ask in (
        lambda: effconvert.convert(path, tmp_path / "x.safetensors", weights="imagenet21k"),
        lambda: load_subject(path, Options(weights="imagenet21k"), None, None, None),
    ):
        with pytest.raises(effconvert.errors.LayoutMismatch, match="imagenet21k"):  # type: ignore[attr-defined]
            ask()
