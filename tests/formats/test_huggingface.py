"""config.json and preprocessor_config.json: written so that transformers builds the network, and read back as facts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import LayoutMismatch, UnreadableCheckpoint
from effconvert.formats.huggingface.config import (
    Network,
    contradictions,
    depthwise_padding,
    make_config,
    network_of,
    read_config,
)
from effconvert.formats.huggingface.preprocessor import make_preprocessor, recipe_of
from effconvert.preprocessing.recipes import official_recipe, recipe_for

NAMES = [f"b{number}" for number in range(8)]
B0 = VARIANTS["b0"]
# What google/efficientnet-b0 has; image_std is the square root of what normalises, because include_top divides twice.
PUBLISHED = {
    "crop_size": {"height": 289, "width": 289},
    "do_center_crop": False,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "EfficientNetImageProcessor",
    "image_std": [0.47853944, 0.4732864, 0.47434163],
    "include_top": True,
    "resample": 0,
    "rescale_factor": 0.00392156862745098,
    "rescale_offset": False,
    "size": {"height": 224, "width": 224},
}


@pytest.mark.parametrize(
    ("name", "blocks"),
    list(zip(NAMES, [[], [16], [5, 8, 16], [5, 18], [6], [13, 27], [31], [18]], strict=True)),
)
def test_odd_sizes_are_padded_on_both_sides_where_the_published_networks_do(name: str, blocks: list[int]) -> None:
    assert depthwise_padding(VARIANTS[name], VARIANTS[name].resolution) == blocks


@pytest.mark.parametrize("name", NAMES)
def test_a_network_comes_back_from_its_configuration(name: str) -> None:
    facts = replace(default_facts(VARIANTS[name]), bn_eps=2e-4, classes=7)
    values = json.loads(json.dumps(make_config(VARIANTS[name], facts)))
    assert network_of(values) == Network(VARIANTS[name], facts, VARIANTS[name].resolution)


def test_another_size_gets_its_own_paddings() -> None:
    values = make_config(B0, default_facts(B0), 260)
    assert values["image_size"] == 260
    assert values["depthwise_padding"] == depthwise_padding(B0, 260) != []
    assert network_of(values) == Network(B0, default_facts(B0), 260)


def test_a_network_without_classifier_is_a_bare_model() -> None:
    facts = replace(default_facts(B0), classes=0)
    values = make_config(B0, facts)
    assert values["architectures"] == ["EfficientNetModel"]
    assert network_of(values).facts == facts


def test_the_classes_are_counted_in_id2label() -> None:
    values = {**make_config(B0, default_facts(B0)), "id2label": {"0": "cat", "1": "dog", "2": "cow"}}
    del values["num_labels"]
    assert network_of(values).facts.classes == 3


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_channels_are_said_and_come_back(channels: int) -> None:
    values = make_config(B0, replace(default_facts(B0), in_channels=channels))
    assert values["num_channels"] == channels
    assert network_of(values).facts.in_channels == channels


@pytest.mark.parametrize("channels", [0, -1, 3.5, "3", True, None, 2000])
def test_a_number_of_channels_that_no_network_has_is_refused(channels: object) -> None:
    with pytest.raises(LayoutMismatch, match="num_channels .*, expected a number from 1 to 1,024"):
        network_of(make_config(B0, default_facts(B0)) | {"num_channels": channels})


def test_a_configuration_of_other_channels_contradicts_the_tensors() -> None:
    said = network_of(make_config(B0, replace(default_facts(B0), in_channels=4)))
    assert contradictions(said, B0, default_facts(B0)) == [
        "config.json has num_channels 4, the first convolution takes 3"
    ]


def test_what_a_configuration_does_not_say_is_as_in_transformers() -> None:
    said = network_of({"model_type": "efficientnet", "depthwise_padding": [18]})
    assert (said.variant.name, said.size, said.facts.classes, said.cautions) == ("b7", 600, 2, ())


def test_every_value_that_no_network_has_is_named() -> None:
    wrong = {
        "expand_ratios": [1, 6],
        "squeeze_expansion_ratio": 0.5,
        "width_coefficient": 1.3,
        "hidden_act": "gelu",
        "batch_norm_eps": "small",
        "image_size": [224, 240],
        "num_labels": -1,
    }
    with pytest.raises(LayoutMismatch) as caught:
        network_of(make_config(B0, default_facts(B0)) | wrong)
    assert all(f"{key} " in str(caught.value) for key in wrong)
    assert "hidden_dim" not in str(caught.value)


def test_a_width_of_another_variant_is_an_error() -> None:
    with pytest.raises(LayoutMismatch, match="hidden_dim 2560, expected 1280 of b0"):
        network_of(make_config(B0, default_facts(B0)) | {"hidden_dim": 2560})


@pytest.mark.parametrize(
    "changes", [{"padding": "symmetric"}, {"classes": 0, "head_conv": False}], ids=lambda changes: next(iter(changes))
)
def test_a_network_that_transformers_cannot_build_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LayoutMismatch, match="Hugging Face cannot hold this network"):
        make_config(B0, replace(default_facts(B0), **changes))


@pytest.mark.parametrize("name", ["lite0", "edgetpu-s", "cc-b0-4e"])
def test_a_variant_that_transformers_lacks_is_refused(name: str) -> None:
    with pytest.raises(LayoutMismatch, match=f"{name}: transformers does not have it"):
        make_config(VARIANTS[name], default_facts(VARIANTS[name]))


def test_an_odd_size_is_refused_for_its_stem() -> None:
    with pytest.raises(LayoutMismatch, match="image_size 225"):
        make_config(B0, default_facts(B0), 225)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depthwise_padding": []}, r"depthwise_padding \[\] instead of \[16\] for image_size 240"),
        ({"depthwise_padding": "none"}, "is not a list of blocks"),
        ({"image_size": 241}, "its stem pads images of 241 pixels differently"),
    ],
)
def test_paddings_that_no_fact_can_say_are_cautioned(changes: dict[str, Any], words: str) -> None:
    b1 = VARIANTS["b1"]
    (caution,) = network_of(make_config(b1, default_facts(b1)) | changes).cautions
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(caution)


def test_a_block_without_stride_may_be_listed_among_the_paddings() -> None:
    assert network_of(make_config(B0, default_facts(B0)) | {"depthwise_padding": [0, 2]}).cautions == ()


def test_every_contradiction_to_the_tensors_is_named() -> None:
    said, b1 = network_of(make_config(B0, default_facts(B0))), VARIANTS["b1"]
    assert contradictions(said, B0, default_facts(B0)) == []
    assert contradictions(said, b1, replace(default_facts(b1), classes=10)) == [
        "config.json describes b0, the tensors are b1's",
        "config.json has 1,000 classes, the classifier 10",
    ]


def test_weights_without_a_classifier_contradict_no_number_of_classes() -> None:
    said = network_of(make_config(B0, default_facts(B0)))
    assert contradictions(said, B0, replace(default_facts(B0), classes=0)) == []


def test_the_published_preprocessing_is_the_recipe_that_is_known() -> None:
    assert recipe_of(PUBLISHED) == recipe_for("huggingface", "b0")


def test_the_published_recipe_comes_back() -> None:
    recipe = recipe_for("huggingface", "b3")
    assert recipe_of(json.loads(json.dumps(make_preprocessor(recipe)))) == recipe


def test_a_crop_comes_after_the_resize_but_keeps_its_share() -> None:
    values = make_preprocessor(official_recipe("b0"))
    assert values["size"] == {"shortest_edge": 256}
    assert values["crop_size"] == {"height": 224, "width": 224}
    assert (values["do_center_crop"], values["resample"], values["include_top"]) == (True, 3, False)
    assert make_preprocessor(recipe_of(values)) == values


def test_the_pixels_of_a_resize_before_the_crop_are_kept() -> None:
    assert make_preprocessor(recipe_for("torchvision", "b3"))["size"] == {"shortest_edge": 320}


@pytest.mark.parametrize(
    ("changes", "mean", "std"),
    [
        ({"include_top": False}, 127.5, 63.75),
        ({"include_top": True}, 127.5, 15.9375),
        ({"do_normalize": False, "include_top": False}, 0, 255),
        ({"do_normalize": False, "include_top": True}, 0, 63.75),
        ({"rescale_offset": True, "rescale_factor": 1 / 127.5, "include_top": False}, 191.25, 31.875),
        ({"do_rescale": False, "include_top": False}, 0.5, 0.25),
        ({"image_mean": 0.5, "image_std": 0.25, "include_top": False}, 127.5, 63.75),
    ],
)
def test_every_way_to_normalise_ends_in_one_mean_and_one_std(changes: dict[str, Any], mean: float, std: float) -> None:
    recipe = recipe_of({**PUBLISHED, "image_mean": [0.5] * 3, "image_std": [0.25] * 3, **changes})
    assert recipe.mean == (mean,) * 3
    assert recipe.std == (std,) * 3


@pytest.mark.parametrize(
    "changes",
    [
        {"do_resize": False},
        {"size": {"height": 224, "width": 240}},
        {"size": {"shortest_edge": 256}},
        {"size": None},
        {"do_center_crop": True},
        {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224}},
        {"resample": 1},
        {"resample": "bicubic"},
        {"image_mean": [0.5]},
        {"image_std": [0.5, 0.5, 0]},
        {"image_std": [float("nan")] * 3},
        {"rescale_factor": 0},
        {"rescale_factor": 1e-300},
        {"image_mean": [10**400] * 3},
    ],
    ids=str,
)
def test_a_preprocessing_that_no_recipe_says_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LayoutMismatch, match="describes a recipe that is not known"):
        recipe_of(PUBLISHED | changes)


@pytest.mark.parametrize("changes", [{"resize": "area"}, {"channels": "bgr"}], ids=lambda changes: next(iter(changes)))
def test_a_recipe_that_the_processor_cannot_do_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LayoutMismatch, match="image processor does not have this recipe"):
        make_preprocessor(replace(official_recipe("b0"), **changes))


def write(folder: Path, values: object, steps: object = None) -> Path:
    (folder / "config.json").write_text(json.dumps(values))
    if steps is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(steps))
    return folder


def test_a_folder_is_read(tmp_path: Path) -> None:
    said = read_config(write(tmp_path, make_config(B0, default_facts(B0)), PUBLISHED))
    assert said == Network(B0, default_facts(B0), 224, recipe_for("huggingface", "b0"))


def test_a_folder_without_preprocessing_has_no_recipe(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, make_config(B0, default_facts(B0)))) == Network(B0, default_facts(B0), 224)


def test_an_unknown_preprocessing_is_a_caution(tmp_path: Path) -> None:
    said = read_config(write(tmp_path, make_config(B0, default_facts(B0)), PUBLISHED | {"resample": 1}))
    assert said
    assert said.recipe is None
    assert "resample 1" in said.cautions[0]


@pytest.mark.parametrize("values", [{"architecture": "tf_efficientnet_b0"}, {"model_type": "resnet"}, {}])
def test_the_configuration_of_another_model_says_nothing(tmp_path: Path, values: object) -> None:
    assert read_config(write(tmp_path, values)) is None


def test_a_folder_without_configuration_says_nothing(tmp_path: Path) -> None:
    assert read_config(tmp_path) is None


def test_a_wrong_configuration_is_named_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(LayoutMismatch, match="config.json: describes a network that is not known") as caught:
        read_config(write(tmp_path, make_config(B0, default_facts(B0)) | {"hidden_dim": 5}))
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000, b'{"x": "' + b"y" * (8 << 20) + b'"}'])
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    write(tmp_path, make_config(B0, default_facts(B0)), PUBLISHED)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableCheckpoint, match=name):
        read_config(tmp_path)
