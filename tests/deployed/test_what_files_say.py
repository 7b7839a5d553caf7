"""What the files of the real exporters say of themselves: their layers, their input, their answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effconvert.deployed.files import DeployedFile, framework_of_file, inspect_deployed
from effconvert.verification.deployed_inputs import way_of
from helpers.places import GOLDEN

FOLDER = GOLDEN / "deployed"
TRUTH: dict[str, dict[str, Any]] = json.loads((FOLDER / "deployed_truth.json").read_text())
ONNX = [name for name in TRUTH if name.startswith("onnx/")]
TFLITE = [name for name in TRUTH if name.startswith("tflite/")]
PIXELS_MEAN, PIXELS_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def examined(name: str) -> DeployedFile:
    """A golden file, by its name in the truth."""
    return inspect_deployed(FOLDER / name)


def test_the_truth_is_of_every_file_here() -> None:
    here = {f"{path.parent.name}/{path.name}" for path in FOLDER.glob("*/*") if path.suffix in (".onnx", ".tflite")}
    assert here == set(TRUTH)


@pytest.mark.parametrize("name", TRUTH)
def test_a_file_is_known_by_its_bytes(name: str, tmp_path: Path) -> None:
    renamed = tmp_path / "model"
    renamed.write_bytes((FOLDER / name).read_bytes())
    assert framework_of_file(renamed) == name.partition("/")[0]


@pytest.mark.parametrize("name", [name for name in ONNX if "layers" in TRUTH[name]])
def test_every_layer_is_found_whatever_the_exporter_named_it(name: str) -> None:
    found = examined(name).layers.outputs
    assert {layer: found[layer] for layer in TRUTH[name]["layers"]} == TRUTH[name]["layers"]
    assert list(found)[-2:] == ["pooled", "logits"]


@pytest.mark.parametrize("name", TFLITE)
def test_every_layer_of_tensorflow_lite_is_found(name: str) -> None:
    assert list(examined(name).layers.outputs) == [
        "stem",
        *(f"blocks.{number}" for number in range(10)),
        "head",
        "pooled",
        "logits",
    ]


@pytest.mark.parametrize("name", [name for name in ONNX if "quantised" in name])
def test_layers_that_quantisation_absorbed_are_not_guessed(name: str) -> None:
    file = examined(name)
    assert file.layers.outputs == {}
    assert file.is_quantised


@pytest.mark.parametrize("name", TRUTH)
def test_input_and_output_are_learnt(name: str) -> None:
    file, truth = examined(name), TRUTH[name]
    needs = file.needs
    sizes = {"N": needs.batch, "C": needs.channels, "H": needs.height, "W": needs.width}
    expected = [axis if isinstance(axis, int) else None for axis in truth["shape"]]
    layout = truth.get("layout", "NHWC")
    assert (needs.input, needs.output, needs.layout) == (truth["input"], truth["output"], layout)
    assert [sizes[axis] for axis in layout] == expected
    assert (needs.ends == "softmax") == truth["softmax"]
    assert (needs.normalization is not None) == truth["normalises_inside"]
    assert needs.classes == 10
    assert file.graph.producer.startswith(truth.get("producer", ""))
    assert {domain or "ai.onnx": number for domain, number in file.graph.versions.items()} == truth.get("opset", {})


@pytest.mark.parametrize("name", TFLITE)
def test_the_meaning_of_whole_numbers_is_learnt(name: str) -> None:
    needs, truth = examined(name).needs, TRUTH[name]
    assert (needs.dtype, needs.output_dtype) == (truth["dtype"], truth["output_dtype"])
    for found, expected in (
        (needs.quantization, truth["quantization"]),
        (needs.output_quantization, truth["output_quantization"]),
    ):
        assert (expected == [0, 0]) if found is None else ([found.scale, found.zero_point] == pytest.approx(expected))


@pytest.mark.parametrize(("name", "within"), [("onnx/tf2onnx_pixels.onnx", 1e-5), ("tflite/uint8_pixels.tflite", 5e-3)])
def test_the_numbers_of_a_normalisation_inside_are_read(name: str, within: float) -> None:
    file = examined(name)
    assert file.needs.normalization is not None
    assert file.needs.normalization.mean == pytest.approx(PIXELS_MEAN, rel=within)
    assert file.needs.normalization.std == pytest.approx(PIXELS_STD, rel=within)
    assert way_of(file).range == "0-255"


@pytest.mark.parametrize("name", [name for name in TRUTH if "quantised" not in name])
def test_padding_and_activation_are_seen_in_the_graph(name: str) -> None:
    file = examined(name)
    assert (file.padding.word, file.activation) == ("tf-same", "silu")


def test_pads_of_one_size_are_told_from_those_that_follow_the_size() -> None:
    assert examined("onnx/dynamo.onnx").padding.fixed
    assert not examined("onnx/dynamo_dynamic.onnx").padding.fixed
    assert not examined("onnx/own_same_upper.onnx").padding.fixed


def test_constants_beside_the_file_are_part_of_it() -> None:
    file = examined("onnx/dynamo.onnx")
    assert list(file.sha256) == ["dynamo.onnx", "dynamo.onnx.data"]
    kernel = file.graph.constant_of(file.layers.trunk[0].node.inputs[1])
    assert kernel is not None
    assert np.isfinite(kernel.read()).all()
