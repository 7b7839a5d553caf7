"""ONNX files as graphs, read without the onnx package and without running anything.

The messages and their numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

import math
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from effconvert.budget import ENTRY, OBJECT, Budget, guarded
from effconvert.deployed.graph import Constant, Graph, Node, Value, check_graph
from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile, check_shape
from effconvert.formats.protobuf import WireError, as_signed, fields, read_varint
from effconvert.formats.protobuf_file import Span, StoredFields

MOST_NODES = 100_000  # the largest that an exporter was seen to write for EfficientNet has some 20,000
_LARGEST_NODE = 1 << 20
_LONGEST_TEXT = 1 << 16

_DTYPES: Mapping[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.uint8),
    3: np.dtype(np.int8),
    4: np.dtype(np.uint16),
    5: np.dtype(np.int16),
    6: np.dtype(np.int32),
    7: np.dtype(np.int64),
    9: np.dtype(np.bool_),
    10: np.dtype(np.float16),
    11: np.dtype(np.float64),
    12: np.dtype(np.uint32),
    13: np.dtype(np.uint64),
    16: np.dtype(ml_dtypes.bfloat16),
}
_STANDARD = ("", "ai.onnx")
_RUN_BY_ALL = frozenset({"com.microsoft", "com.microsoft.nchwc", "ai.onnx.ml"})  # onnxruntime has them built in


def read_onnx(path: Path) -> Graph:
    """Return the graph of the ONNX file at `path`.

    Constants are read when they are asked for; those in other files beside it are found, and never outside of its
    folder. Raises UnreadableCheckpoint for a file that is damaged, nested (If, Loop), or out of order.
    """
    with DataFile(path) as file, guarded(path):
        try:
            return _Reader(path, file).graph()
        except (WireError, ValueError, struct.error) as error:
            raise UnreadableCheckpoint(f"{path}: a damaged ONNX file: {error}") from error


@dataclass
class _Model:
    producer: str = ""
    graph: Span | None = None
    versions: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    functions: int = 0


class _Reader:
    def __init__(self, path: Path, file: DataFile) -> None:
        self.path, self.stored = path, StoredFields(file)
        self.size, self.budget = file.size, file.budget
        self.constants: dict[str, Constant] = {}
        self.external: dict[str, None] = {}

    def graph(self) -> Graph:
        model = self._model()
        if model.graph is None or not model.versions:
            raise WireError("it has no graph" if model.graph is None else "it names no set of operators")
        if model.functions:
            raise UnreadableCheckpoint(
                f"{self.path}: has {model.functions:,} functions of its own; put them into the graph with onnx.inliner"
            )
        inputs, outputs, nodes = [], [], []
        for number, value in self.stored.of(model.graph):
            self.budget.step()
            match number, value:
                case 1, Span():
                    nodes.append(self._node(value))
                    if len(nodes) > MOST_NODES:
                        raise UnreadableCheckpoint(
                            f"{self.path}: has more than {MOST_NODES:,} nodes; an EfficientNet has some thousands"
                        )
                case 5, Span():
                    self._add(*self._tensor(value))
                case 11, Span():
                    inputs.append(_value(self._message(value)))
                case 12, Span():
                    outputs.append(_value(self._message(value)))
                case 15, Span():
                    raise UnreadableCheckpoint(
                        f"{self.path}: has sparse tensors, which no exporter of EfficientNet writes"
                    )
        graph = Graph(
            format="ONNX",
            producer=model.producer,
            channels_last=False,
            inputs=tuple(one for one in inputs if one.name not in self.constants),  # old files list constants too
            outputs=tuple(outputs),
            nodes=tuple(self._computed(nodes)),
            constants=self.constants,
            versions=model.versions,
            metadata=model.metadata,
            external=tuple(self.external),
        )
        check_graph(graph)
        return graph

    def _model(self) -> _Model:
        model = _Model()
        for number, value in self.stored.of(Span(0, self.size)):
            self.budget.step()
            match number, value:
                case 2, Span():
                    model.producer = self._text(value)
                case 7, Span() if model.graph is not None:
                    raise WireError("it has two graphs")
                case 7, Span():
                    model.graph = value
                case 8, Span():
                    entry = _strings_and_numbers(self._message(value))
                    model.versions[_domain(str(entry.get(1, "")))] = int(entry.get(2, 0))
                case 14, Span():
                    entry = _strings_and_numbers(self._message(value))
                    model.metadata[str(entry.get(1, ""))] = str(entry.get(2, ""))
                case 25, Span():
                    model.functions += 1
        return model

    def _message(self, place: Span) -> bytes:
        if place.size > _LARGEST_NODE:
            raise WireError(f"a description has {place.size:,} bytes")
        self.budget.require(place.size, "a description")
        return self.stored.read(place)

    def _text(self, place: Span) -> str:
        if place.size > _LONGEST_TEXT:
            raise WireError(f"a text has {place.size:,} bytes")
        return self.stored.read(place).decode("utf-8", "replace")

    def _add(self, name: str, constant: Constant) -> None:
        self.budget.draw(ENTRY + len(name), "its constants")
        if name in self.constants:
            raise WireError(f"two constants are named {name[:80]!r}")
        self.constants[name] = constant

    def _node(self, place: Span) -> Node:
        """Return a node; tensors in its attributes become constants named after its output."""
        inputs: list[str] = []
        outputs: list[str] = []
        kind, domain = "", ""
        attributes: dict[str, Any] = {}
        for number, value in self.stored.of(place):
            self.budget.step()
            if not isinstance(value, Span):
                continue
            if number in (1, 2):
                (inputs if number == 1 else outputs).append(self._text(value))
                self.budget.draw(OBJECT + value.size, "its nodes")
            elif number == 4:
                kind = self._text(value)
            elif number == 5:
                name, found = self._attribute(value)
                attributes[name] = found
            elif number == 7:
                domain = _domain(self._text(value))
        self.budget.draw(ENTRY, "its nodes")
        if domain and domain not in _RUN_BY_ALL:
            raise UnreadableCheckpoint(
                f"{self.path}: has the operator {kind} of {domain[:80]!r}, which only its own program can run"
            )
        if any(isinstance(value, _Subgraph) for value in attributes.values()):
            raise UnreadableCheckpoint(
                f"{self.path}: has the operator {kind}, which chooses or repeats a part of the network as it runs; "
                "export the network with torch.onnx.export of its eval mode, which writes none"
            )
        return Node(kind, tuple(inputs), tuple(outputs), attributes, domain)

    def _attribute(self, place: Span) -> tuple[str, Any]:
        """Return an attribute with its value: a number, text, tuple of numbers, Constant, or None if it is another."""
        tensor = next((one for number, one in self._large_fields(place) if number == 5), None)
        if tensor is not None:
            name = next((self._text(one) for number, one in self._large_fields(place) if number == 1), "")
            return name, self._tensor(tensor)[1]
        name, found = "", None
        numbers: list[int | float] = []
        for number, value in fields(self._message(place)):
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

    def _large_fields(self, place: Span) -> Iterator[tuple[int, Span]]:
        """Yield the fields of an attribute with bytes, without reading them; those of other kinds end it."""
        try:
            for number, value in self.stored.of(place):
                if isinstance(value, Span):
                    yield number, value
        except WireError:  # a float, of which `StoredFields` knows nothing
            return

    def _tensor(self, place: Span) -> tuple[str, Constant]:
        """Return a tensor's name, and the tensor: only its description is read."""
        dims: list[int] = []
        code, name, raw, typed = 0, "", None, None
        location: dict[str, str] = {}
        outside = False
        for number, value in self.stored.of(place):
            self.budget.step()
            match number, value:
                case 1, int():
                    dims.append(as_signed(value))
                case 1, Span():
                    dims += [as_signed(one) for one in _packed(self._message(value), self.budget)]
                case 2, int():
                    code = value
                case 8, Span():
                    name = self._text(value)
                case 9, Span():
                    raw = value
                case 4 | 5 | 7 | 10 | 11, Span():
                    typed = (number, value)
                case 13, Span():
                    entry = _strings_and_numbers(self._message(value))
                    location[str(entry.get(1, ""))] = str(entry.get(2, ""))
                case 14, int():
                    outside = value == 1
        dtype = _DTYPES.get(code)
        shape = tuple(dims)
        if dtype is None:  # strings, four bits: no part of a network that is known here
            return name, Constant(shape, f"type {code}", lambda: _unknown(self.path, name, code))
        check_shape(shape, dtype)
        needed = math.prod(shape) * dtype.itemsize
        if outside:
            self._external(name, location, needed)
            source = _place_outside(self.path, location, needed)
            return name, Constant(shape, str(dtype), lambda: _read_array(*source, dtype, shape))
        if raw is not None:
            if raw.size != needed:
                raise WireError(f"constant {name[:80]!r} {list(shape)} has {raw.size:,} bytes, not {needed:,}")
            return name, Constant(shape, str(dtype), lambda: _read_array(self.path, raw, dtype, shape))
        return name, Constant(shape, str(dtype), lambda: _read_typed(self.path, typed, dtype, shape))

    def _external(self, name: str, location: Mapping[str, str], needed: int) -> None:
        """Check that a constant lies in a regular file in the folder of this one, and in its bounds."""
        where = location.get("location", "")
        parts = PurePosixPath(where)
        words = f"{self.path}: the values of {name[:80]!r} lie in {where[:200]!r}"
        if not where or parts.is_absolute() or ".." in parts.parts or "\\" in where or "\0" in where:
            raise UnreadableCheckpoint(f"{words}, which is not in the folder of the file")
        place = self.path.parent / where
        if not os.path.realpath(place).startswith(os.path.realpath(self.path.parent) + os.sep):
            raise UnreadableCheckpoint(f"{words}, a link out of the folder of the file")
        if not place.is_file():
            raise UnreadableCheckpoint(f"{words}, which is missing; put it beside {self.path.name}")
        span = _place_outside(self.path, location, needed)[1]
        if span.offset < 0 or span.size != needed or span.offset + needed > place.stat().st_size:
            raise UnreadableCheckpoint(f"{words}, which is too short; it was cut off, or belongs to another file")
        self.external[where] = None

    def _computed(self, nodes: list[Node]) -> Iterator[Node]:
        """Yield the nodes that compute something; constants and copies of constants go to the constants."""
        for node in nodes:
            found = None
            if node.kind == "Constant" and not node.domain:
                found = _constant(node)
            elif node.kind == "Identity" and node.inputs and node.inputs[0] in self.constants:
                found = self.constants[node.inputs[0]]
            if found is not None and node.output:
                self._add(node.output, found)
            else:
                yield node


class _Subgraph:
    """A graph inside a node."""


def _domain(name: str) -> str:
    return "" if name in _STANDARD else name


def _place_outside(path: Path, location: Mapping[str, str], needed: int) -> tuple[Path, Span]:
    try:
        offset, size = (int(location.get(key, default)) for key, default in (("offset", 0), ("length", needed)))
    except ValueError:
        raise UnreadableCheckpoint(f"{path}: a damaged ONNX file: the place of a constant is not a number") from None
    return path.parent / location.get("location", ""), Span(offset, size)


def _read_array(path: Path, place: Span, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    with DataFile(path) as file:
        return np.frombuffer(file.read(place.offset, place.size), dtype.newbyteorder("<")).reshape(shape)


def _read_typed(
    path: Path, typed: tuple[int, Span] | None, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    """Return a tensor whose numbers are packed in a field of their type."""
    data = b""
    if typed is not None:
        with DataFile(path) as file:
            data = file.read(typed[1].offset, typed[1].size)
    number = typed[0] if typed else 0
    try:
        if number in (4, 10):
            values = np.frombuffer(data, np.dtype("<f4" if number == 4 else "<f8"))
        else:
            values = np.array([as_signed(one) for one in _packed(data, Budget(path, len(data)))], np.int64)
            if dtype.itemsize == 2 and dtype.kind not in "iu":  # the bits of float16 and bfloat16 are stored
                values = values.astype(np.uint16).view(dtype)
        return values.astype(dtype).reshape(shape)
    except ValueError as error:
        raise UnreadableCheckpoint(f"{path}: a damaged ONNX file: a constant {list(shape)}: {error}") from error


def _unknown(path: Path, name: str, code: int) -> NDArray[Any]:
    raise UnreadableCheckpoint(f"{path}: constant {name[:80]!r} has ONNX's type {code}, which is not read here")


def _constant(node: Node) -> Constant | None:
    """Return the value of a node `Constant`, None if it is of no use here, such as a text."""
    for key in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        value = node.attributes.get(key)
        if isinstance(value, Constant):
            return value
        if isinstance(value, int | float | tuple):
            return _stored(np.array(value, np.float32 if "float" in key else np.int64))
    return None


def _stored(array: NDArray[Any]) -> Constant:
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


def _strings_and_numbers(data: bytes) -> dict[int, str | int]:
    return {
        number: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for number, value in fields(data)
    }


def _value(data: bytes) -> Value:
    """Return an input or output with its dtype and shape."""
    name, dtype, shape = "", "", None
    for number, value in fields(data):
        if number == 1 and isinstance(value, bytes):
            name = value.decode("utf-8", "replace")
        if number == 2 and isinstance(value, bytes):
            for inner, tensor in fields(value):
                if inner == 1 and isinstance(tensor, bytes):
                    dtype, shape = _type(tensor)
    return Value(name, dtype, shape, label=name)


def _type(data: bytes) -> tuple[str, tuple[int | str | None, ...] | None]:
    dtype, shape = "", None
    for number, value in fields(data):
        if number == 1 and isinstance(value, int):
            dtype = str(_DTYPES.get(value, f"type {value}"))
        if number == 2 and isinstance(value, bytes):
            shape = tuple(_axis(one) for inner, one in fields(value) if inner == 1 and isinstance(one, bytes))
    return dtype, shape


def _axis(data: bytes) -> int | str | None:
    for number, value in fields(data):
        if number == 1 and isinstance(value, int):
            return as_signed(value)
        if number == 2 and isinstance(value, bytes):
            return value.decode("utf-8", "replace")
    return None
