"""ONNX models are read by position, within bounds, and only effconvert's own hold weights."""

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import effconvert
from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.onnx.model import read_model
from effconvert.formats.protobuf import bytes_field, number_field


def foreign(nodes=None, **of_tensor) -> onnx.ModelProto:
    """A model as an exporter writes it: a convolution with its folded kernel."""
    kernel = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "conv_stem.weight")
    for name, value in of_tensor.items():
        getattr(kernel, name).extend(value)
    images = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "h", None])
    outputs = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    nodes = nodes or [helper.make_node("Conv", ["x", "conv_stem.weight"], ["y"])]
    graph = helper.make_graph(nodes, "g", [images], [outputs], [kernel])
    return helper.make_model(graph, producer_name="pytorch", producer_version="2.13.0")


def refusal(path: Path, model: onnx.ModelProto | bytes) -> str:
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    started = time.process_time()
    with pytest.raises(UnreadableCheckpoint) as failure:
        effconvert.open_checkpoint(path)
    assert time.process_time() - started < 2
    return str(failure.value)


@pytest.mark.parametrize("name", ["x.onnx", "x.pth", "weights"])
def test_a_model_of_another_exporter_holds_no_weights(tmp_path: Path, name: str) -> None:
    words = refusal(tmp_path / name, foreign())
    assert words.startswith(f"{tmp_path / name}: not a checkpoint but an ONNX model of pytorch 2.13.0; exporters fold ")
    assert words.endswith("so that it holds no weights; give the checkpoint that it was exported from")


def test_inputs_and_outputs_are_as_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(foreign().SerializeToString())
    with DataFile(tmp_path / "x.onnx") as file:
        model = read_model(file)
    assert [one.in_words for one in (*model.inputs, *model.outputs)] == ["x float32 [1, 3, h, ?]", "y float32 []"]
    assert (model.producer, model.producer_version, model.opsets[""]) == ("pytorch", "2.13.0", model.opsets[""])
    assert [(one.name, one.dtype, one.shape) for one in model.tensors] == [
        ("conv_stem.weight", "float32", (4, 3, 3, 3))
    ]


CIRCLE = [helper.make_node("Relu", ["b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
TWICE = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Relu", ["x"], ["y"])]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (foreign(CIRCLE), "Relu reads 'b', which nothing before it gives"),
        (foreign(TWICE), "'y' is computed twice"),
        (foreign(dims=[-1]), "'conv_stem.weight' has the shape [4, 3, 3, 3, -1]"),
        (number_field(1, 8) + bytes_field(2, b"pytorch") + bytes_field(3, b"2.1"), "it has no graph"),
        (number_field(1, 8) + bytes_field(7, b"\x12\x01g") * 2, "it has two graphs"),
        (number_field(1, 8) + bytes_field(7, b"\x0a\xff"), "a number does not end"),
        (number_field(1, 8) + bytes_field(7, bytes_field(1, bytes_field(1, b"\xff")) * 2), "a text is not UTF-8"),
    ],
)
def test_a_damaged_model_is_refused_with_the_reason(tmp_path: Path, model, words: str) -> None:
    said = refusal(tmp_path / "x.onnx", model)
    assert said.startswith(f"{tmp_path / 'x.onnx'}: an ONNX model that is damaged or cut off: ")
    assert words in said


@pytest.mark.parametrize("location", ["/etc/passwd", "../x", "a/../../x", "C:\\x", "..\\x", "\\\\host\\share"])
def test_values_outside_of_the_folder_are_refused_and_not_read(tmp_path: Path, location: str) -> None:
    entry = onnx.StringStringEntryProto(key="location", value=location)
    assert "outside of the model's folder" in refusal(tmp_path / "x.onnx", foreign(external_data=[entry]))


def test_a_million_operators_take_no_time(tmp_path: Path) -> None:
    nodes = b"".join(
        bytes_field(1, bytes_field(1, b"%d" % number) + bytes_field(2, b"%d" % (number + 1)) + bytes_field(4, b"Relu"))
        for number in range(1_000_000)
    )
    graph = nodes + bytes_field(11, bytes_field(1, b"0"))
    assert "needs far more work" in refusal(tmp_path / "x.onnx", number_field(1, 8) + bytes_field(7, graph))


def test_every_cut_of_a_model_is_refused(tmp_path: Path) -> None:
    content = foreign().SerializeToString()
    for end in range(4, len(content), 7):
        refusal(tmp_path / "x.onnx", content[:end])
