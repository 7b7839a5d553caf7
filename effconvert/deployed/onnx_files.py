"""ONNX files as graphs: the stored parts of a model, with attributes, and constants that are read when asked for.

The messages and their numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.budget import Budget, guarded
from effconvert.deployed.graph import Constant, Graph, Node, Value, check_graph
from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import BFLOAT16, DataFile, check_shape
from effconvert.formats.onnx import model as stored
from effconvert.formats.onnx.file import exporter
from effconvert.formats.protobuf import WireError, as_signed, fields, read_varint
from effconvert.formats.protobuf_file import Span, StoredFields

_LARGEST_ATTRIBUTE = 1 << 20
_MICROSOFT = "com.microsoft."
_BUILT_IN = (_MICROSOFT, "com.microsoft.nchwc.", "ai.onnx.ml.")  # onnxruntime has these operators beside ONNX's own
_FLOATS = {4: "<f4", 10: "<f8"}  # fields of a tensor with packed floats


def read_onnx(path: Path) -> Graph:
    """Return the graph of the ONNX file at `path`.

    Constants in other files beside it are found, and never outside of its folder. Raises UnreadableCheckpoint for a
    file that is damaged, nested (If, Loop), or has operators that onnxruntime does not have.
    """
    with DataFile(path) as file, guarded(path):
        try:
            return _Reader(path, file).graph()
        except (WireError, ValueError, struct.error) as error:
            raise UnreadableCheckpoint(f"{path}: a damaged ONNX file: {error}") from error


class _Subgraph:
    """A graph inside a node."""


class _Reader:
    def __init__(self, path: Path, file: DataFile) -> None:
        self.path = path
        self.model = stored.read_model(file)
        self.fields, self.budget = StoredFields(file), file.budget
        self.constants: dict[str, Constant] = {}

    def graph(self) -> Graph:
        model = self.model
        if not model.opsets:
            raise WireError("it names no set of operators")
        outside: dict[str, None] = {}
        for tensor in model.tensors:
            self.constants[tensor.name] = self._constant(tensor)
            outside |= {tensor.outside: None} if tensor.outside else {}
        graph = Graph(
            format="ONNX",
            producer=exporter(model),
            channels_last=False,
            inputs=tuple(map(_value, model.inputs)),
            outputs=tuple(map(_value, model.outputs)),
            nodes=tuple(self._computed()),
            constants=self.constants,
            versions={"" if domain == "ai.onnx" else domain: version for domain, version in model.opsets.items()},
            metadata=model.metadata,
            external=tuple(outside),
        )
        check_graph(graph)
        return graph

    def _computed(self) -> Iterator[Node]:
        """Yield the nodes that compute something; constants and copies of constants go to the constants."""
        for each in self.model.nodes:
            node = self._node(each)
            found = None
            if node.kind == "Constant":
                found = _constant_of(node)
            elif node.kind == "Identity" and node.inputs and node.inputs[0] in self.constants:
                found = self.constants[node.inputs[0]]
            if found is not None and node.output:
                self.constants[node.output] = found
            else:
                yield node

    def _node(self, node: stored.Node) -> Node:
        kind = node.kind.removeprefix(_MICROSOFT)
        if "." in kind and not node.kind.startswith(_BUILT_IN):
            raise UnreadableCheckpoint(
                f"{self.path}: has the operator {kind[:160]!r}, which only its own program can run; operators that are "
                "functions of the file are put into its graph by onnx.inliner"
            )
        attributes = dict(self._attribute(place) for place in node.attributes)
        if any(isinstance(value, _Subgraph) for value in attributes.values()):
            raise UnreadableCheckpoint(
                f"{self.path}: has the operator {kind}, which chooses or repeats a part of the network as it runs; "
                "export the network in eval mode, which writes none"
            )
        return Node(kind, node.inputs, node.outputs, attributes)

    def _attribute(self, place: Span) -> tuple[str, Any]:
        """Return an attribute with its value: a number, text, tuple of numbers, Constant, or None if it is another."""
        parts = dict(self._parts_with_bytes(place))
        if 5 in parts:
            name = self.fields.read(parts[1]).decode("utf-8", "replace") if 1 in parts else ""
            return name, self._constant(stored.read_tensor(self.fields, parts[5]))
        if place.size > _LARGEST_ATTRIBUTE:
            raise WireError(f"an attribute has {place.size:,} bytes")
        name, found = "", None
        numbers: list[int | float] = []
        for number, value in fields(self.fields.read(place)):
            self.budget.step()
            match number, value:
                case 1, bytes():
                    name = value.decode("utf-8", "replace")
                case 2, int():
                    found = struct.unpack("<f", value.to_bytes(4, "little"))[0]
                case 3, int():
                    found = as_signed(value)
                case 4, bytes():
                    found = value.decode("utf-8", "replace")
                case 6 | 11, bytes():
                    return name, _Subgraph()
                case 7 | 8, _:
                    numbers += _numbers(number, value, self.budget)
        return name, tuple(numbers) if numbers else found

    def _parts_with_bytes(self, place: Span) -> Iterator[tuple[int, Span]]:
        """Yield the fields of an attribute with bytes, without reading them, up to a float, which ends them."""
        try:
            for number, value in self.fields.of(place):
                if isinstance(value, Span):
                    yield number, value
        except WireError:  # of a float `StoredFields` knows nothing
            return

    def _constant(self, tensor: stored.StoredTensor) -> Constant:
        """Return a tensor whose values are read when they are asked for, from this file or one beside it."""
        dtype = _dtype(tensor.dtype)
        if dtype is None:  # strings, four bits: no part of a network that is known here
            return Constant(tensor.shape, tensor.dtype, lambda: _unknown(self.path, tensor))
        check_shape(tensor.shape, dtype)
        needed = math.prod(tensor.shape) * dtype.itemsize
        if tensor.outside:
            source, place = self._beside(tensor, needed)
        elif tensor.content is not None:
            source, place = self.path, tensor.content
            if place.size != needed:
                raise WireError(f"constant {tensor.name[:80]!r} {list(tensor.shape)} has {place.size:,} bytes")
        else:
            return Constant(tensor.shape, tensor.dtype, lambda: _read_numbers(self.path, tensor, dtype))
        return Constant(tensor.shape, tensor.dtype, lambda: _read_array(source, place, dtype, tensor.shape))

    def _beside(self, tensor: stored.StoredTensor, needed: int) -> tuple[Path, Span]:
        """Return the file and the place of a tensor's bytes, a regular file in the folder of this one."""
        words = f"{self.path}: the values of {tensor.name[:80]!r} lie in {tensor.outside[:200]!r}"
        place = self.path.parent / tensor.outside
        if not os.path.realpath(place).startswith(os.path.realpath(self.path.parent) + os.sep):
            raise UnreadableCheckpoint(f"{words}, a link out of the folder of the file")
        if not place.is_file():
            raise UnreadableCheckpoint(f"{words}, which is missing; put it beside {self.path.name}")
        assert tensor.place_outside is not None
        offset, size = tensor.place_outside
        if size not in (-1, needed) or offset + needed > place.stat().st_size:
            raise UnreadableCheckpoint(f"{words}, which is too short; it was cut off, or belongs to another file")
        return place, Span(offset, needed)


def _value(value: stored.Value) -> Value:
    shape = tuple(None if axis == "?" else axis for axis in value.shape)
    return Value(value.name, value.dtype, shape, label=value.name)


def _dtype(name: str) -> np.dtype[Any] | None:
    if name == "string" or name.startswith("type "):
        return None
    found: np.dtype[Any] = BFLOAT16 if name == str(BFLOAT16) else np.dtype(name)
    return found


def _read_array(path: Path, place: Span, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    with DataFile(path) as file:
        return np.frombuffer(file.read(place.offset, place.size), dtype.newbyteorder("<")).reshape(shape)


def _read_numbers(path: Path, tensor: stored.StoredTensor, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a tensor whose numbers are packed in a field of their type."""
    field, place = tensor.numbers or (0, Span(0, 0))
    with DataFile(path) as file:
        data = file.read(place.offset, place.size)
    try:
        if field in _FLOATS:
            return np.frombuffer(data, _FLOATS[field]).astype(dtype).reshape(tensor.shape)
        values = np.array([as_signed(one) for one in _packed(data, Budget(path, len(data)))], np.int64)
        if dtype.itemsize == 2 and dtype.kind not in "iu":  # the bits of float16 and bfloat16 are stored
            values = values.astype(np.uint16).view(dtype)
        return values.astype(dtype).reshape(tensor.shape)
    except ValueError as error:
        raise UnreadableCheckpoint(f"{path}: a damaged ONNX file: a constant {list(tensor.shape)}: {error}") from error


def _unknown(path: Path, tensor: stored.StoredTensor) -> NDArray[Any]:
    raise UnreadableCheckpoint(
        f"{path}: constant {tensor.name[:80]!r} has ONNX's {tensor.dtype}, which is not read here"
    )


def _constant_of(node: Node) -> Constant | None:
    """Return the value of a node `Constant`, None if it is of no use here, such as a text."""
    for key in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        value = node.attributes.get(key)
        if isinstance(value, Constant):
            return value
        if isinstance(value, int | float | tuple):
            return _in_memory(np.array(value, np.float32 if "float" in key else np.int64))
    return None


def _in_memory(array: NDArray[Any]) -> Constant:
    return Constant(array.shape, str(array.dtype), lambda: array)


def _packed(data: bytes, budget: Budget) -> Iterator[int]:
    position = 0
    while position < len(data):
        budget.step()
        value, position = read_varint(data, position)
        yield value


def _numbers(number: int, value: int | bytes, budget: Budget) -> list[int | float]:
    """Return the numbers of a field of floats (7) or integers (8), packed or one by one."""
    if number == 7:
        data = value if isinstance(value, bytes) else value.to_bytes(4, "little")
        budget.draw(8 * len(data), "an attribute")
        return [float(one) for one in np.frombuffer(data, "<f4")]
    return [as_signed(one) for one in (_packed(value, budget) if isinstance(value, bytes) else [value])]
