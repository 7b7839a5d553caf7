"""ONNX and TensorFlow Lite files that are damaged, or made to harm: refused in words, and quickly."""

import random
import shutil
import struct
import time
from pathlib import Path

import pytest

from effconvert.deployed.files import inspect_deployed
from effconvert.errors import EffconvertError, LayoutMismatch, UnreadableCheckpoint
from effconvert.formats.protobuf import bytes_field, fields, number_field
from helpers.places import GOLDEN

FOLDER = GOLDEN / "deployed"
FILES = [
    "onnx/torchscript.onnx",
    "onnx/tf2onnx_pixels.onnx",
    "onnx/quantised_qdq.onnx",
    "tflite/float32.tflite",
    "tflite/int8.tflite",
]
_GRAPH, _NODE = 7, 1


def parts(model: bytes) -> tuple[list[tuple[int, int | bytes]], list[tuple[int, int | bytes]]]:
    """The fields of an ONNX model but its graph, and the fields of its graph."""
    outer = list(fields(model))
    graph = next(value for number, value in outer if number == _GRAPH)
    assert isinstance(graph, bytes)
    return [field for field in outer if field[0] != _GRAPH], list(fields(graph))


def joined(outer: list[tuple[int, int | bytes]], graph: list[tuple[int, int | bytes]]) -> bytes:
    """A model of such fields."""
    return _bytes(outer) + bytes_field(_GRAPH, _bytes(graph))


def _bytes(found: list[tuple[int, int | bytes]]) -> bytes:
    return b"".join(
        bytes_field(number, value) if isinstance(value, bytes) else number_field(number, value)
        for number, value in found
    )


def node(kind: str, reads: str, gives: str, domain: str = "") -> tuple[int, bytes]:
    """A node of a graph."""
    return _NODE, (
        bytes_field(1, reads.encode())
        + bytes_field(2, gives.encode())
        + bytes_field(4, kind.encode())
        + (bytes_field(7, domain.encode()) if domain else b"")
    )


def complaint(path: Path) -> EffconvertError | None:
    """The refusal of a file, None if it is read."""
    try:
        inspect_deployed(path)
    except EffconvertError as error:
        return error
    return None


def refused(path: Path, words: str) -> None:
    """Expect a refusal with `words` and exit code 3, within two seconds."""
    begun = time.process_time()
    with pytest.raises(UnreadableCheckpoint, match=words):
        inspect_deployed(path)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("seed", range(6))
def test_changed_bytes_are_read_or_refused_in_words(name: str, seed: int, tmp_path: Path) -> None:
    data, chance = bytearray((FOLDER / name).read_bytes()), random.Random(seed)
    for _ in range(seed + 1):
        data[chance.randrange(min(len(data), 1 << 16))] = chance.randrange(256)
    path = tmp_path / Path(name).name
    path.write_bytes(data if seed % 2 else data[: chance.randrange(len(data))])
    said = complaint(path)
    assert said is None or (said.exit_code in (3, 4) and str(path) in str(said))


def test_external_constants_are_not_read_outside_of_the_folder(tmp_path: Path) -> None:
    data = (FOLDER / "onnx" / "dynamo.onnx").read_bytes()
    (tmp_path / "secret").write_bytes(b"x" * 200_000)
    inner = tmp_path / "inner"
    inner.mkdir()
    path = inner / "m.onnx"
    path.write_bytes(data.replace(b"dynamo.onnx.data", b"../secret/////.."[:16]))
    refused(path, "outside of the model's folder")
    path.write_bytes(data)
    (inner / "dynamo.onnx.data").symlink_to(tmp_path / "secret")
    refused(path, "a link out of the folder of the file")


def test_external_constants_that_are_missing_or_cut_off_are_named(tmp_path: Path) -> None:
    path = Path(shutil.copy(FOLDER / "onnx" / "dynamo.onnx", tmp_path))
    refused(path, "which is missing; put it beside dynamo.onnx")
    (tmp_path / "dynamo.onnx.data").write_bytes((FOLDER / "onnx" / "dynamo.onnx.data").read_bytes()[:-1000])
    refused(path, "too short; it was cut off, or belongs to another file")


def test_a_circle_of_nodes_is_refused(tmp_path: Path) -> None:
    outer, graph = parts((FOLDER / "onnx" / "own_same_upper.onnx").read_bytes())
    path = tmp_path / "m.onnx"
    path.write_bytes(joined(outer, [node("Identity", "b", "a"), node("Identity", "a", "b"), *graph]))
    refused(path, "Identity reads 'b', which nothing before it gives")


def test_a_million_nodes_are_refused(tmp_path: Path) -> None:
    outer, graph = parts((FOLDER / "onnx" / "own_same_upper.onnx").read_bytes())
    path = tmp_path / "m.onnx"
    many = bytes_field(*node("Identity", "images", "x")) * 1_000_000
    path.write_bytes(_bytes(outer) + bytes_field(_GRAPH, many + _bytes(graph)))
    refused(path, "needs far more work")


def test_a_graph_inside_of_a_node_is_refused_by_its_operator(tmp_path: Path) -> None:
    outer, graph = parts((FOLDER / "onnx" / "own_same_upper.onnx").read_bytes())
    number, loop = node("Loop", "images", "x")
    inside = bytes_field(5, bytes_field(1, b"body") + bytes_field(6, b"") + number_field(20, 5))
    path = tmp_path / "m.onnx"
    path.write_bytes(joined(outer, [(number, loop + inside), *graph]))
    refused(path, "has the operator Loop")


def test_operators_of_someones_own_are_named(tmp_path: Path) -> None:
    outer, graph = parts((FOLDER / "onnx" / "own_same_upper.onnx").read_bytes())
    path = tmp_path / "m.onnx"
    path.write_bytes(joined(outer, [node("Surprise", "images", "x", "my.domain"), *graph]))
    refused(path, "has the operator 'my.domain.Surprise', which only its own program can run")


def test_a_vector_that_is_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    data = bytearray((FOLDER / "tflite" / "float32.tflite").read_bytes())
    (start,) = struct.unpack_from("<I", data, 0)
    layout = start - struct.unpack_from("<i", data, start)[0]
    place = start + struct.unpack_from("<H", data, layout + 4 + 2 * 4)[0]  # the vector of buffers
    vector = place + struct.unpack_from("<I", data, place)[0]
    struct.pack_into("<I", data, vector, 1 << 30)
    path = tmp_path / "m.tflite"
    path.write_bytes(data)
    refused(path, "is longer than the file")


def test_another_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(LayoutMismatch, match="is neither an ONNX file nor a TensorFlow Lite file"):
        inspect_deployed(path)
