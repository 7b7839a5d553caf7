"""Files of EfficientNet-Lite under the names of EfficientNet-PyTorch are what they are, go anywhere and come back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import effconvert
from effconvert.architecture.variants import VARIANTS
from effconvert.conversion.steps import Report
from effconvert.errors import LayoutMismatch
from effconvert.identify.inspection import inspect
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_moves
from helpers.checkpoints import read_all
from helpers.library_files import library_tensors, save

LITE = [name for name in VARIANTS if name.startswith("lite")]


def lite_file(folder: Path, variant: str, **facts: Any) -> Path:
    """A file as efficientnet-lite-pytorch saves it."""
    return save(folder / f"efficientnet-{variant}.pth", library_tensors("lukemelas", variant, **facts))


def converted(source: Path, name: str, to: str) -> Report:
    return effconvert.convert(source, source.with_name(name), to=to)


@pytest.mark.parametrize("variant", LITE)
def test_it_is_recognised_with_its_facts(tmp_path: Path, variant: str) -> None:
    found = inspect(lite_file(tmp_path, variant))
    assert (found.layout, found.variant, found.missing, found.unknown) == ("lukemelas", variant, 0, 0)
    assert found.facts is not None
    facts = {name: found.facts[name] for name in ("activation", "padding", "bn_eps", "classes")}
    assert facts == {"activation": "relu6", "padding": "tf-same", "bn_eps": 1e-3, "classes": 2}
    assert not found.assumption


@pytest.mark.parametrize(
    ("variant", "there"), [*((variant, "canonical") for variant in LITE), ("lite0", "timm"), ("lite1", "tf-official")]
)
def test_it_goes_there_and_comes_back_bit_for_bit(tmp_path: Path, variant: str, there: str) -> None:
    source = lite_file(tmp_path, variant)
    converted(source, "there" if there == "tf-official" else "there.safetensors", there)
    converted(tmp_path / ("there" if there == "tf-official" else "there.safetensors"), "back.pth", "lukemelas")
    expected, found = read_all(source), read_all(tmp_path / "back.pth")
    assert list(found) == list(expected)
    assert all(found[name].tobytes() == tensor.tobytes() for name, tensor in expected.items())


@pytest.mark.parametrize("facts", [{"classes": 7}, {"classes": 0}, {"classes": 0, "head_conv": False}], ids=str)
def test_it_may_have_any_classifier_or_none(tmp_path: Path, facts: dict[str, Any]) -> None:
    report = converted(lite_file(tmp_path, "lite1", **facts), "there.safetensors", "canonical")
    assert report.variant == "lite1"
    assert {name: report.facts[name] for name in facts} == facts


def test_the_code_that_is_shown_is_of_the_package_that_has_the_network(tmp_path: Path) -> None:
    source = lite_file(tmp_path, "lite3")
    converted(source, "canonical.safetensors", "canonical")
    shown = converted(tmp_path / "canonical.safetensors", "back.pth", "lukemelas").network
    assert "from efficientnet_lite_pytorch import EfficientNet" in shown
    assert '"efficientnet-lite3", image_size=280, num_classes=2' in shown


@pytest.mark.parametrize("to", ["timm", "tf-official"])
def test_googles_preprocessing_travels_with_it(tmp_path: Path, to: str) -> None:
    converted(lite_file(tmp_path, "lite0"), "canonical.safetensors", "canonical")
    recipe = converted(tmp_path / "canonical.safetensors", "there" if to == "tf-official" else "there.pth", to).recipe
    assert (recipe["name"], recipe["size"], recipe["crop"]) == ("lukemelas-lite", 224, "tf-center")
    assert (recipe["mean"], recipe["std"]) == ([127.0] * 3, [128.0] * 3)


@pytest.mark.parametrize("to", ["keras", "torchvision", "huggingface", "mmpretrain", "mindcv"])
def test_a_library_without_lite_is_refused_with_what_it_has(tmp_path: Path, to: str) -> None:
    words = "have squeeze-and-excite, Lite.s have none" if to == "keras" else "does not cover lite0; it covers b0, b1"
    with pytest.raises(LayoutMismatch, match=f"layout {to} .*{words}"):
        converted(lite_file(tmp_path, "lite0"), {"keras": "x.weights.h5", "huggingface": "x"}.get(to, "x.pth"), to)


def without_squeeze(layout: str) -> dict[str, np.ndarray]:
    """The library's B0 without its squeeze-and-excite layers: the tensors of a Lite0 under that library's names."""
    squeezing = {move.source for move in compile_moves(find_layout(layout), VARIANTS["b0"]) if ".se." in move.target}
    return {name: tensor for name, tensor in library_tensors(layout).items() if name not in squeezing}


@pytest.mark.parametrize("layout", ["keras", "torchvision", "huggingface", "mmpretrain", "mindcv", "mindvision"])
def test_under_the_names_of_a_library_without_lite_it_is_called_lite(tmp_path: Path, layout: str) -> None:
    source = save(tmp_path / "lite0.pth", without_squeeze(layout))
    words = f"is lite0 \\(no squeeze-and-excite\\), which layout {layout} does not have; that has b0, b1, .* lukemelas"
    with pytest.raises(LayoutMismatch, match=words):
        converted(source, "there.safetensors", "canonical")
    assert inspect(source).note.startswith("is lite0 (no squeeze-and-excite)")


TRANSFORMERS = {
    "_conv_stem": "embeddings.convolution",
    "_bn0": "embeddings.batchnorm",
    "_expand_conv": "expansion.expand_conv",
    "blocks._bn0": "expansion.expand_bn",
    "_depthwise_conv": "depthwise_conv.depthwise_conv",
    "blocks._bn1": "depthwise_conv.depthwise_norm",
    "_project_conv": "projection.project_conv",
    "blocks._bn2": "projection.project_bn",
    "_conv_head": "encoder.top_conv",
    "_bn1": "encoder.top_bn",
}


def as_transformers(name: str) -> str:
    """A name of EfficientNet-PyTorch as transformers, whose blocks have numbers as well, would have it."""
    layer, _, tensor = name.rpartition(".")
    if layer == "_fc":
        return f"classifier.{tensor}"
    if not layer.startswith("_blocks."):
        return f"efficientnet.{TRANSFORMERS[layer]}.{tensor}"
    _, index, part = layer.split(".")
    return f"efficientnet.encoder.blocks.{index}.{TRANSFORMERS.get(f'blocks.{part}') or TRANSFORMERS[part]}.{tensor}"


@pytest.mark.parametrize("variant", LITE)
def test_so_it_is_where_no_variant_of_the_library_is_near(tmp_path: Path, variant: str) -> None:
    tensors = {as_transformers(name): tensor for name, tensor in library_tensors("lukemelas", variant).items()}
    with pytest.raises(
        LayoutMismatch, match=f"is {variant} .no squeeze-and-excite., which layout huggingface does not"
    ):
        converted(save(tmp_path / "x.pth", tensors), "there.safetensors", "canonical")


def test_so_it_is_where_the_place_of_squeeze_and_excite_is_not_kept(tmp_path: Path) -> None:
    """torchvision counts the parts of a block; without one the next moves up."""
    tensors = {}
    for name, tensor in without_squeeze("torchvision").items():
        start, block, rest = name.partition(".block.")
        place, _, tensor_name = rest.partition(".")
        last = "1" if start == "features.1.0" else "2"
        moved = f"{start}{block}{min(place, last)}.{tensor_name}" if block else name
        tensors[moved] = tensor
    with pytest.raises(
        LayoutMismatch, match="is lite0 .no squeeze-and-excite., which layout torchvision does not have"
    ):
        converted(save(tmp_path / "x.pth", tensors), "there.safetensors", "canonical")


def test_any_other_variant_that_a_library_lacks_is_named_too(tmp_path: Path) -> None:
    tensors = {}
    for name, tensor in library_tensors("lukemelas", "b8").items():
        squeezing = name.replace("_blocks.", "efficientnet.encoder.blocks.").replace("_se_", "squeeze_excite.")
        tensors[squeezing if "_se_" in name else as_transformers(name)] = tensor
    with pytest.raises(LayoutMismatch, match="is b8, which layout huggingface does not have"):
        converted(save(tmp_path / "x.pth", tensors), "there.safetensors", "canonical")


def test_a_file_of_trainable_parameters_alone_is_called_that(tmp_path: Path) -> None:
    tensors = {name: each for name, each in library_tensors("lukemelas", "lite0").items() if ".running_" not in name}
    source = save(tmp_path / "x.pth", tensors)
    with pytest.raises(LayoutMismatch) as error:
        converted(source, "x.safetensors", "canonical")
    words = "moving statistics of BatchNorm are missing: the file holds only trainable parameters"
    assert words in str(error.value)
    assert ": missing" not in str(error.value)
    assert words in inspect(source).missing_words


@pytest.mark.parametrize(
    ("part", "kind"), [("._bn0.running_", "moving statistics of BatchNorm"), ("._expand_conv.", "expansions")]
)
def test_what_is_missing_of_one_kind_is_called_by_its_kind(tmp_path: Path, part: str, kind: str) -> None:
    tensors = {name: tensor for name, tensor in library_tensors("lukemelas", "lite0").items() if part not in name}
    source = save(tmp_path / "x.pth", tensors)
    with pytest.raises(LayoutMismatch, match=f"all [0-9]+ missing tensors are of one kind: {kind}"):
        converted(source, "x.safetensors", "canonical")
    assert inspect(source).missing_kind == kind


def test_a_tensor_that_is_missing_alone_is_of_no_kind(tmp_path: Path) -> None:
    tensors = library_tensors("lukemelas", "lite0")
    del tensors["_blocks.3._expand_conv.weight"]
    with pytest.raises(LayoutMismatch) as caught:
        converted(save(tmp_path / "x.pth", tensors), "x.safetensors", "canonical")
    assert "of one kind" not in str(caught.value)
