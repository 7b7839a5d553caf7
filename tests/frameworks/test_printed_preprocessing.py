"""The printed Python prepares images by the file's recipe in the real library, or says what it does instead."""

import io
import json

from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import keras
import numpy as np
import pytest
import tensorflow as tf
import timm
import torch
from mmpretrain import ImageClassificationInferencer
from PIL import Image

import effconvert
from effconvert.formats.huggingface.preprocessor import make_preprocessor
from effconvert.maps.layouts import known_layouts
from effconvert.model import create_model
from effconvert.preprocessing.recipes import gray, recipe_for
from effconvert.reference_tables.reading import recipe_tables
from helpers.frameworks.printed_preprocessing import assert_as_said, jpeg, printed, recipes, target_of
from helpers.frameworks.torch_libraries import write

MAKING_GRAY = ("timm", "torchvision", "lukemelas", "keras")
LIBRARIES = ("timm", "torchvision", "lukemelas", "huggingface", "mmpretrain", "keras")
OF_MINDSPORE = ("mindcv", "mindvision")  # test_mindspore_printed_preprocessing.py
FILES = {"huggingface": "folder", "keras": "model.weights.h5"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """{layout: (path, the names that its printed code defines)} of each library's usual b0."""
    folder, found = tmp_path_factory.mktemp("printed"), {}

    def network(layout):
        if layout not in found:
            path = folder / f"{layout}-{FILES.get(layout, 'model.pth')}"
            write(create_model("b0", **facts_of(layout)), path, layout)
            names = {}
            exec(printed(layout, path, recipes()["timm"]).network, names)
            found[layout] = path, names
        return found[layout]

    return network


def facts_of(layout):
    facts = target_of(layout).facts
    return {"bn_eps": facts.bn_eps, "padding": facts.padding, "normalization": facts.normalization}


def opened():
    return Image.open(io.BytesIO(jpeg())).convert("RGB")


def of_timm(names, path, recipe):
    """timm's own resolution of the network is what the recipe says."""
    found = timm.data.resolve_data_config({}, model=names["network"])
    assert found == timm.data.resolve_data_config({}, model=names["network"], use_test_size=True)
    assert found["input_size"] == (recipe.in_channels, recipe.size, recipe.size)
    for key in ("mean", "std"):
        assert np.allclose(np.multiply(found[key], 255), getattr(recipe, key), rtol=1e-7)
    return names["transform"](opened()).numpy()


def of_torchvision(names, path, recipe):
    return names["transform"](opened()).numpy()


def of_huggingface(names, path, recipe):
    return np.asarray(names["transform"](opened(), return_tensors="np")["pixel_values"][0])


def of_mmpretrain(names, path, recipe):
    """The network's own data_preprocessor normalises, and its inferencer takes the same steps."""
    image, network = path.with_name("image.jpg"), names["network"]
    image.write_bytes(jpeg())
    assert network.data_preprocessor.mean.flatten().tolist() == pytest.approx(recipe.mean)
    assert network.data_preprocessor.std.flatten().tolist() == pytest.approx(recipe.std)
    packed = names["transform"]({"img_path": str(image)})
    inferencer = ImageClassificationInferencer(network)
    again = inferencer.pipeline({"img": np.asarray(opened())[:, :, ::-1], "ori_shape": (0, 0)} | {"img_shape": (0, 0)})
    assert torch.equal(again["inputs"], packed["inputs"])
    prepared = network.data_preprocessor({"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]})
    return prepared["inputs"][0].numpy()


def of_keras(names, path, recipe):
    """The network itself normalises."""
    image = path.with_name("image.jpg")
    image.write_bytes(jpeg())
    pixels = names["transform"](image)
    assert pixels.shape == (1, recipe.size, recipe.size, recipe.in_channels)
    return ((pixels[0] - np.float32(recipe.mean)) / np.float32(recipe.std)).transpose(2, 0, 1)


RESOLVED = {"timm": of_timm, "torchvision": of_torchvision, "lukemelas": of_torchvision, "huggingface": of_huggingface, "mmpretrain": of_mmpretrain, "keras": of_keras}  # fmt: skip


@pytest.mark.parametrize("recipe", recipes().values(), ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("layout", LIBRARIES)
def test_the_printed_transform_is_the_recipe_but_for_what_is_said(built, layout, recipe):
    path, names = built(layout)
    code = printed(layout, path, recipe)
    if layout == "huggingface":  # as a conversion writes it beside the weights
        (path / "preprocessor_config.json").write_text(json.dumps(make_preprocessor(recipe)))
    names = dict(names)
    exec(code.transform, names)
    assert_as_said(layout, code, recipe, RESOLVED[layout](names, path, recipe))


@pytest.mark.parametrize("recipe", recipes().values(), ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("layout", MAKING_GRAY)
def test_the_printed_transform_makes_images_gray_as_the_recipe_says(built, layout, recipe):
    (path, names), recipe = built(layout), gray(recipe)
    code, names = printed(layout, path, recipe), dict(names)
    exec(code.transform, names)
    assert_as_said(layout, code, recipe, RESOLVED[layout](names, path, recipe))


@pytest.mark.parametrize("recipe", recipes().values(), ids=lambda recipe: recipe.name)
def test_tensorflows_printed_transform(tmp_path, recipe):
    code, names = printed("tf-official", tmp_path, recipe), {}
    exec(code.transform, names)
    assert_as_said("tf-official", code, recipe, names["transform"](tf.constant(jpeg())).numpy().transpose(2, 0, 1))


def test_every_library_that_is_written_is_tried_here_or_in_the_environment_of_mindspore():
    assert {layout.name for layout in known_layouts() if layout.write} == {*LIBRARIES, "tf-official", *OF_MINDSPORE}


@pytest.mark.parametrize("layout", LIBRARIES)
def test_each_library_carries_its_own_recipes(layout):
    own = [name for name, table in recipe_tables().items() if layout in table["layouts"]]
    assert own
    for name in own:
        assert not printed(layout, "file.pth", recipes()[name]).not_carried


@pytest.mark.parametrize(("layout", "weights", "mean"), [("timm", "advprop", 127.5), ("timm", "ns", 123.675), ("mmpretrain", "advprop", 127.5), ("mmpretrain", "aa", 123.675)])  # fmt: skip
def test_a_converted_files_network_prepares_images_as_its_training_was(tmp_path, layout, weights, mean):
    source = tmp_path / "state.pth"
    torch.save(create_model("b0").state_dict(), source)
    effconvert.convert(source, tmp_path / "own.safetensors", variant="b0", weights=weights)
    report = effconvert.convert(tmp_path / "own.safetensors", tmp_path / "theirs.pth", to=layout)
    names = {}
    exec(report.network, names)
    if layout == "timm":
        found = timm.data.resolve_data_config({}, model=names["network"])["mean"][0] * 255
    else:
        found = float(names["network"].data_preprocessor.mean[0])
    assert found == pytest.approx(mean)
    assert report.not_carried["resize"] == ["tf1-bicubic", "pil-bicubic" if layout == "timm" else "cv2-bicubic"]


def test_keras_is_given_the_normalisation_in_its_weights(built):
    _, names = built("keras")
    layer = next(layer for layer in names["network"].layers if isinstance(layer, keras.layers.Normalization))
    assert np.allclose(np.ravel(layer.mean), np.divide(recipe_for("tf-official", "b0").mean, 255), rtol=1e-6)
