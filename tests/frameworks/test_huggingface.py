"""The real transformers builds and fills its network from the folder that is written, and computes the same numbers.

Its paddings are fixed by config.json for one size of image, so that only the variant's own is compared.
"""

from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import json

import numpy as np
import pytest
import torch
import transformers
from transformers import (
    AutoImageProcessor,
    EfficientNetConfig,
    EfficientNetForImageClassification,
    EfficientNetImageProcessor,
    EfficientNetModel,
)

import effconvert
from effconvert.architecture.variants import VARIANTS
from effconvert.formats.huggingface.config import make_config, network_of, read_config
from effconvert.formats.huggingface.preprocessor import make_preprocessor, recipe_of
from effconvert.preprocessing.recipes import official_recipe, recipe_for
from helpers.frameworks.torch_libraries import (
    assert_comes_back,
    assert_read_bit_for_bit,
    assert_same_numbers,
    assert_same_order,
    built,
    calibrated,
    write,
)

# b1 meets an odd size at one of its strides, and so needs depthwise_padding.
CASES = [("b0", {}), ("b1", {}), ("b0", {"bn_eps": 2e-4, "classes": 7})]
# As google/efficientnet-b0 has them: image_std is divided by twice.
PUBLISHED = {
    "do_center_crop": False,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.47853944, 0.4732864, 0.47434163],
    "include_top": True,
    "resample": 0,
    "size": {"height": 224, "width": 224},
}


def loaded(architecture, folder):
    """Return the network in `folder`; nothing may be missing, left over or of another shape."""
    network, told = architecture.from_pretrained(folder, output_loading_info=True)
    assert {name: list(keys) for name, keys in told.items() if keys} == {}
    return network.eval()


@pytest.mark.parametrize(("variant", "facts"), CASES, ids=str)
def test_it_loads_strictly_and_computes_the_same(tmp_path, variant, facts):
    size = (VARIANTS[variant].resolution,) * 2
    network = calibrated(variant, size, **facts)
    report = write(network, tmp_path / "folder", "huggingface")
    theirs = loaded(EfficientNetForImageClassification, tmp_path / "folder")
    assert_same_order(tmp_path / "folder", theirs)
    assert_same_numbers(f"{variant} {facts or ''}", network, theirs, size)
    assert_same_numbers(f"{variant} {facts or ''}, as reported", network, built(report), size)


def test_a_network_without_classifier_is_its_bare_model(tmp_path):
    network = calibrated("b0", (224, 224), classes=0)
    report = write(network, tmp_path / "folder", "huggingface")
    theirs = loaded(EfficientNetModel, tmp_path / "folder")
    assert_same_order(tmp_path / "folder", theirs)
    assert_same_numbers("b0, bare", network, theirs, (224, 224))
    assert_same_numbers("b0, bare, as reported", network, built(report), (224, 224))


@pytest.fixture(scope="module")
def calibrated_folder(tmp_path_factory):
    """A calibrated B0 and the folder that transformers itself saved it in."""
    folder = tmp_path_factory.mktemp("saved")
    network = calibrated("b0", (96, 96))
    write(network, folder / "ours", "huggingface")
    theirs = loaded(EfficientNetForImageClassification, folder / "ours")
    theirs.save_pretrained(folder / "theirs")
    return network, theirs, folder / "theirs"


def test_what_it_saves_is_read_bit_for_bit_and_comes_back(calibrated_folder):
    network, theirs, folder = calibrated_folder
    assert_read_bit_for_bit(folder, theirs.state_dict())
    assert_comes_back(folder, network)


def test_what_it_saves_in_shards_is_read_bit_for_bit_and_comes_back(tmp_path, calibrated_folder):
    network, theirs, _ = calibrated_folder
    theirs.save_pretrained(tmp_path / "sharded", max_shard_size="5MB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    assert_read_bit_for_bit(tmp_path / "sharded", theirs.state_dict())
    assert_comes_back(tmp_path / "sharded" / "model.safetensors.index.json", network)


def test_its_bare_model_comes_back(tmp_path, calibrated_folder):
    _, theirs, _ = calibrated_folder
    theirs.efficientnet.save_pretrained(tmp_path / "bare")
    assert_comes_back(tmp_path / "bare", calibrated("b0", (96, 96), classes=0))


def test_its_configuration_becomes_the_facts_and_its_processor_the_recipe(tmp_path, calibrated_folder):
    _, theirs, _ = calibrated_folder
    theirs.save_pretrained(tmp_path / "folder")
    values = json.loads((tmp_path / "folder" / "config.json").read_text())
    (tmp_path / "folder" / "config.json").write_text(json.dumps(values | {"batch_norm_eps": 2e-4}))
    EfficientNetImageProcessor(**PUBLISHED).save_pretrained(tmp_path / "folder")
    effconvert.convert(tmp_path / "folder", tmp_path / "b0.safetensors")
    network = effconvert.load_model(tmp_path / "b0.safetensors")
    assert network.facts.bn_eps == 2e-4
    assert network.recipe == recipe_for("huggingface", "b0")


def test_it_saves_a_configuration_that_is_read_as_the_same_network(tmp_path):
    for number, paddings in enumerate([[], [16], [5, 8, 16], [5, 18], [6], [13, 27], [31], [18]]):
        variant = VARIANTS[f"b{number}"]
        theirs = EfficientNetConfig(
            width_coefficient=variant.width,
            depth_coefficient=variant.depth,
            hidden_dim=theirs_hidden_dim(variant.width),
            image_size=variant.resolution,
            depthwise_padding=paddings,
            batch_norm_eps=2e-4,
            num_labels=5,
        )
        theirs.save_pretrained(tmp_path)
        said = read_config(tmp_path)
        assert (said.variant, said.size, said.cautions) == (variant, variant.resolution, ())
        assert (said.facts.bn_eps, said.facts.classes, said.facts.activation) == (2e-4, 5, "silu")


def theirs_hidden_dim(width):
    return transformers.models.efficientnet.modeling_efficientnet.round_filters(
        EfficientNetConfig(width_coefficient=width), 1280
    )


def test_it_has_the_same_values_where_a_configuration_is_silent(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "efficientnet"}')
    theirs, ours = EfficientNetConfig.from_pretrained(tmp_path), network_of({})
    full = make_config(ours.variant, ours.facts) | {"depthwise_padding": []}
    del full["architectures"], full["dropout_rate"]
    found = {name: getattr(theirs, name) for name in full}
    assert {n: list(value) if isinstance(value, tuple) else value for n, value in found.items()} == full


@pytest.mark.parametrize(
    "steps",
    [
        PUBLISHED,
        {**PUBLISHED, "include_top": False, "do_normalize": True},
        {**PUBLISHED, "rescale_offset": True, "rescale_factor": 1 / 127.5, "include_top": False},
        make_preprocessor(official_recipe("b0")),
        make_preprocessor(official_recipe("b0", "advprop")),
    ],
    ids=["published", "once", "offset", "ours", "ours, advprop"],
)
def test_its_processor_normalises_as_the_recipe_says(tmp_path, steps):
    steps = {"image_processor_type": "EfficientNetImageProcessor", **steps}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(steps))
    processor, recipe = AutoImageProcessor.from_pretrained(tmp_path), recipe_of(steps)
    assert isinstance(processor, EfficientNetImageProcessor)
    pixels = np.full((300, 400, 3), (10, 128, 250), np.uint8)
    found = processor(pixels, return_tensors="pt")["pixel_values"]
    expected = (torch.tensor([10.0, 128, 250]) - torch.tensor(recipe.mean)) / torch.tensor(recipe.std)
    assert found.shape == (1, 3, recipe.size, recipe.size)
    assert torch.allclose(found, expected[None, :, None, None].expand_as(found), rtol=1e-5, atol=1e-5)
