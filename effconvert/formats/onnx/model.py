"""The parts of an ONNX model, as they are stored: no value of a tensor is read.

Source: onnx/onnx.proto, IR version 8; a field that is not used here is skipped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from effconvert.budget import ENTRY
from effconvert.errors import printable
from effconvert.formats.checkpoint import MOST_AXES, DataFile, Shape
from effconvert.formats.protobuf import WireError, as_signed, fields, read_varint
from effconvert.formats.protobuf_file import Span, StoredFields

_STEPS_OF_NODE, _STEPS_OF_TENSOR = 30, 20  # L2 has 1,500 nodes, an export with any size 6,000
_LONGEST_TEXT = 1 << 20  # of the strings beside the graph
_LONGEST_NAME = 16384
_TYPED = (4, 5, 7, 10, 11)  # numbers of a type: float, int32, int64, double, uint64
# TensorProto.DataType
FLOAT = 1
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """An operator, its domain before its name unless it is ONNX's own, and the names of its values.

    attributes: the places of its AttributeProtos.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[Span, ...] = ()


@dataclass(frozen=True)
class StoredTensor:
    """A tensor. content: the place of its bytes; None if they are not in this file, or in another form.

    numbers: the place of packed numbers of its type, and their field. outside: the file beside this one that holds its
    bytes, and the place there.
    """

    name: str
    dtype: str
    shape: Shape
    content: Span | None
    outside: str = ""
    numbers: tuple[int, Span] | None = None
    place_outside: Span | None = None


@dataclass(frozen=True)
class Value:
    """An input or an output of the graph; an axis of any size has a name, `?` if the file gives none."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    @property
    def in_words(self) -> str:
        """The name, the dtype and the axes: `images float32 [batch, 3, 224, 224]`."""
        return printable(f"{self.name} {self.dtype} [{', '.join(map(str, self.shape))}]")


@dataclass(frozen=True)
class OnnxModel:
    """A model. opsets: {domain: version}, "" is ONNX's own. inputs: without those that have a value in the file."""

    ir_version: int
    producer: str
    producer_version: str
    opsets: Mapping[str, int]
    metadata: Mapping[str, str]
    nodes: tuple[Node, ...]
    tensors: tuple[StoredTensor, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def read_model(file: DataFile) -> OnnxModel:
    """Return the model in `file`. Raises WireError if it is damaged, or not a graph that can be computed."""
    reader = _Reader(StoredFields(file))
    return reader.model(Span(0, file.size))


def read_tensor(stored: StoredFields, place: Span) -> StoredTensor:
    """Return the TensorProto at a place, such as in an attribute. Raises WireError if it is damaged."""
    return _Reader(stored).tensor(place)


class _Reader:
    """Reads the messages of a model; everything that is kept is drawn on the file's budget."""

    def __init__(self, stored: StoredFields) -> None:
        self.fields, self.budget = stored, stored.budget

    def model(self, place: Span) -> OnnxModel:
        numbers, texts = {1: 0}, {2: "", 3: ""}
        opsets: dict[str, int] = {}
        metadata: dict[str, str] = {}
        graph = None
        for number, value in self.fields.of(place):
            self.budget.step()
            if number in numbers and isinstance(value, int):
                numbers[number] = value
            elif isinstance(value, int):
                continue
            elif number in texts:
                texts[number] = self.text(value)
            elif number == 7:
                if graph is not None:
                    raise WireError("it has two graphs")
                graph = value
            elif number == 8:
                domain, version = self._pair(value, 1, 2)
                opsets[domain] = version if isinstance(version, int) else 0
            elif number == 14:
                key, said = self._pair(value, 1, 2)
                if key in metadata:
                    raise WireError(f"its metadata has {printable(key)[:80]!r} twice")
                metadata[key] = str(said)
        if graph is None:
            raise WireError("it has no graph")
        nodes, tensors, inputs, outputs = self._graph(graph)
        return OnnxModel(numbers[1], texts[2], texts[3], opsets, metadata, nodes, tensors, inputs, outputs)

    def text(self, place: Span, longest: int = _LONGEST_TEXT) -> str:
        if place.size > longest:
            raise WireError(f"byte {place.offset:,}: a text of {place.size:,} bytes")
        self.budget.draw(ENTRY + 2 * place.size, "its texts")
        try:
            return self.fields.read(place).decode()
        except UnicodeDecodeError as error:
            raise WireError(f"byte {place.offset:,}: a text is not UTF-8") from error

    def _pair(self, place: Span, first: int, second: int) -> tuple[str, str | int]:
        """Return the text `first` of a small message, and its text or number `second`."""
        self.budget.step(_STEPS_OF_TENSOR)
        found: dict[int, str | int] = {first: "", second: ""}
        for number, value in self.fields.of(place):
            self.budget.step()
            if number in found:
                found[number] = value if isinstance(value, int) else self.text(value)
        return str(found[first]), found[second]

    def _graph(
        self, place: Span
    ) -> tuple[tuple[Node, ...], tuple[StoredTensor, ...], tuple[Value, ...], tuple[Value, ...]]:
        nodes: list[Node] = []
        tensors: dict[str, StoredTensor] = {}
        values: dict[int, list[Value]] = {11: [], 12: []}
        for number, value in self.fields.of(place):
            self.budget.step()
            if isinstance(value, int):
                continue
            if number == 1:
                nodes.append(self._node(value))
            elif number == 5:
                tensor = self.tensor(value)
                if tensor.name in tensors:
                    raise WireError(f"two tensors are named {printable(tensor.name)[:80]!r}")
                tensors[tensor.name] = tensor
            elif number in values:
                values[number].append(self._value(value))
        inputs = tuple(one for one in values[11] if one.name not in tensors)
        _check_order(nodes, {*tensors, *(one.name for one in inputs)})
        return tuple(nodes), tuple(tensors.values()), inputs, tuple(values[12])

    def _node(self, place: Span) -> Node:
        self.budget.step(_STEPS_OF_NODE)
        texts: dict[int, list[str]] = {1: [], 2: [], 4: [], 7: []}
        attributes = []
        for number, value in self.fields.of(place):
            self.budget.step()
            if number == 5 and not isinstance(value, int):
                self.budget.draw(ENTRY, "its operators")
                attributes.append(value)
            elif number in texts and not isinstance(value, int):
                texts[number].append(self.text(value, _LONGEST_NAME))
        self.budget.draw(ENTRY, "its operators")
        kind = (texts[4] or [""])[-1]
        domain = (texts[7] or [""])[-1]
        own = domain in ("", "ai.onnx")
        return Node(kind if own else f"{domain}.{kind}", tuple(texts[1]), tuple(texts[2]), tuple(attributes))

    def tensor(self, place: Span) -> StoredTensor:
        self.budget.step(_STEPS_OF_TENSOR)
        shape: list[int] = []
        name, kind, content, numbers = "", 0, None, None
        outside = {"location": "", "offset": "0", "length": ""}
        for number, value in self.fields.of(place):
            self.budget.step()
            if number == 1:
                shape += self._numbers(value)
            elif number == 2 and isinstance(value, int):
                kind = value
            elif number == 8 and not isinstance(value, int):
                name = self.text(value, _LONGEST_NAME)
            elif number == 9 and not isinstance(value, int):
                content = value
            elif number in _TYPED and not isinstance(value, int):
                numbers = (number, value)
                content = value if number == 4 else content  # packed floats are their bytes
            elif number == 13 and not isinstance(value, int):
                key, said = self._pair(value, 1, 2)
                outside[key] = str(said)
        if len(shape) > MOST_AXES or any(size < 0 for size in shape):
            raise WireError(f"tensor {printable(name)[:80]!r} has the shape {shape[:MOST_AXES]}")
        self.budget.draw(2 * ENTRY, "its tensors")
        location, dtype = outside["location"], _dtype(kind)
        if not location:
            return StoredTensor(name, dtype, tuple(shape), content, numbers=numbers)
        _check_location(location, name)
        if not all(outside[key].isdigit() or not outside[key] for key in ("offset", "length")):
            raise WireError(
                f"tensor {printable(name)[:80]!r} has a place in {printable(location)[:80]!r} without numbers"
            )
        place = Span(int(outside["offset"] or 0), int(outside["length"] or -1))
        return StoredTensor(name, dtype, tuple(shape), None, location, place_outside=place)

    def _numbers(self, value: int | Span) -> list[int]:
        """Return the numbers of a repeated field, which may be packed."""
        if isinstance(value, int):
            return [as_signed(value)]
        data, position, numbers = self.fields.read(Span(value.offset, min(value.size, 10 * MOST_AXES + 10))), 0, []
        while position < len(data):
            number, position = read_varint(data, position)
            numbers.append(as_signed(number))
        return numbers

    def _value(self, place: Span) -> Value:
        """Return a ValueInfoProto: its name, and a TypeProto with the dtype and the axes of a tensor."""
        if place.size > _LONGEST_TEXT:
            raise WireError(f"byte {place.offset:,}: an input or output of {place.size:,} bytes")
        name, kind, axes = "", 0, []
        self.budget.step(place.size // 2)
        for number, value in fields(self.fields.read(place)):
            if number == 1 and isinstance(value, bytes):
                name = _decoded(value)
            for tensor in _messages([value] if number == 2 else [], 1):
                kind = next((one for key, one in fields(tensor) if key == 1 and isinstance(one, int)), 0)
                axes = [_axis(axis) for shape in _messages([tensor], 2) for axis in _messages([shape], 1)]
        self.budget.draw(2 * ENTRY + 2 * place.size, "its inputs and outputs")
        return Value(name, _dtype(kind), tuple(axes))


def _messages(within: list[int | bytes], number: int) -> Iterator[bytes]:
    """Yield the messages in the field `number` of each message."""
    for message in within:
        if isinstance(message, bytes):
            yield from (value for key, value in fields(message) if key == number and isinstance(value, bytes))


def _axis(message: bytes) -> int | str:
    for number, value in fields(message):
        if number == 1 and isinstance(value, int):
            return as_signed(value)
        if number == 2 and isinstance(value, bytes):
            return _decoded(value) or "?"
    return "?"


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise WireError("a name is not UTF-8") from error


def _dtype(kind: int) -> str:
    return _DTYPES.get(kind, f"type {kind}")


def _check_location(location: str, name: str) -> None:
    """Raise WireError for values of a tensor that are not below the folder of the model."""
    for path in (PurePosixPath(location), PureWindowsPath(location)):
        if path.is_absolute() or path.drive or ".." in path.parts:
            raise WireError(
                f"tensor {printable(name)[:80]!r} is in the file {printable(location)[:200]!r}, outside of the model's "
                "folder"
            )


def _check_order(nodes: list[Node], known: set[str]) -> None:
    """Raise WireError for a value that is read before it is computed, as in every cycle, or is computed twice."""
    for node in nodes:
        for name in node.inputs:
            if name and name not in known:
                raise WireError(
                    f"{printable(node.kind)[:80]} reads {printable(name)[:80]!r}, which nothing before it gives"
                )
        for name in node.outputs:
            if name and name in known:
                raise WireError(f"{printable(name)[:80]!r} is computed twice")
            known.add(name)
