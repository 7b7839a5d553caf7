"""TensorFlow Lite files as graphs, read without TensorFlow and without running anything.

The tables and their numbers: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from effconvert.budget import ENTRY, guarded
from effconvert.deployed.flatbuffer import FlatBufferError, Table, root
from effconvert.deployed.graph import ACTIVATION, Constant, Graph, Node, Quantization, Value, check_graph
from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile, check_shape

MOST_NODES = 100_000
_LARGEST = 1 << 31  # a FlatBuffer's positions have 31 bits

# ONNX's names of the operators that EfficientNet has in TensorFlow Lite; the others keep their number.
_KINDS: Mapping[int, str] = {
    0: "Add",
    1: "AveragePool",
    3: "Conv",
    4: "Conv",
    6: "DequantizeLinear",
    9: "Gemm",
    14: "Sigmoid",
    18: "Mul",
    19: "Relu",
    21: "Clip",
    22: "Reshape",
    25: "Softmax",
    34: "Pad",
    39: "Transpose",
    40: "ReduceMean",
    41: "Sub",
    42: "Div",
    43: "Squeeze",
    53: "Cast",
    70: "Unsqueeze",
    114: "QuantizeLinear",
    117: "HardSwish",
}
_CUSTOM, _DEPTHWISE = 32, 4
_NESTED = {118: "If", 119: "While"}
# The place of the activation in the options of an operator.
_ACTIVATION_FIELD = {0: 0, 3: 3, 4: 4, 9: 0, 18: 0, 41: 0, 42: 0}
_ACTIVATIONS = {1: "Relu", 3: "Clip"}
_SAME = 0

_DTYPES: Mapping[int, np.dtype[Any]] = {
    0: np.dtype(np.float32),
    1: np.dtype(np.float16),
    2: np.dtype(np.int32),
    3: np.dtype(np.uint8),
    4: np.dtype(np.int64),
    6: np.dtype(np.bool_),
    7: np.dtype(np.int16),
    9: np.dtype(np.int8),
    10: np.dtype(np.float64),
    15: np.dtype(np.uint32),
    16: np.dtype(np.uint16),
    18: np.dtype(ml_dtypes.bfloat16),
}


def is_tflite(start: bytes) -> bool:
    """Return whether a file that begins with `start` is TensorFlow Lite's."""
    return start[4:8] == b"TFL3"


def read_tflite(path: Path) -> Graph:
    """Return the graph of the TensorFlow Lite file at `path`; values are named by their number, as `tensor 12`.

    Raises UnreadableCheckpoint for a file that is damaged, or has several graphs or operators of its own.
    """
    with DataFile(path) as file, guarded(path):
        if file.size >= _LARGEST:
            raise UnreadableCheckpoint(
                f"{path}: {file.size:,} bytes; a TensorFlow Lite file has less than {_LARGEST:,}"
            )
        file.budget.require(file.size, "the file")
        data = memoryview(file.read(0, file.size))
        if not is_tflite(bytes(data[:8])):
            raise UnreadableCheckpoint(f"{path}: is not a TensorFlow Lite file")
        try:
            return _Reader(path, root(data, file.budget)).graph()
        except (FlatBufferError, ValueError) as error:
            raise UnreadableCheckpoint(f"{path}: a damaged TensorFlow Lite file: {error}") from error


class _Reader:
    def __init__(self, path: Path, model: Table) -> None:
        self.path, self.model = path, model
        self.budget = model.budget
        self.constants: dict[str, Constant] = {}

    def graph(self) -> Graph:
        graphs = list(self.model.tables(2))
        if len(graphs) != 1:
            raise UnreadableCheckpoint(f"{self.path}: has {len(graphs):,} graphs; an EfficientNet has one")
        buffers = list(self.model.tables(4))
        values = [self._value(number, table, buffers) for number, table in enumerate(graphs[0].tables(0))]
        codes = [self._code(table) for table in self.model.tables(1)]
        nodes = []
        for table in graphs[0].tables(3):
            nodes.append(self._node(table, codes, len(values)))
            if len(nodes) > MOST_NODES:
                raise UnreadableCheckpoint(
                    f"{self.path}: has more than {MOST_NODES:,} nodes; an EfficientNet has hundreds"
                )
        ends = [[values[int(one)] for one in self._numbers(graphs[0], field, len(values))] for field in (1, 2)]
        graph = Graph(
            format="TensorFlow Lite",
            producer=self.model.text(3),
            channels_last=True,
            inputs=tuple(ends[0]),
            outputs=tuple(ends[1]),
            nodes=tuple(nodes),
            constants=self.constants,
            metadata={table.text(0): "" for table in self.model.tables(6)},
        )
        check_graph(graph)
        return graph

    def _code(self, table: Table) -> int:
        code = max(table.number(0, "<b"), table.number(3, "<i"))
        if code == _CUSTOM:
            raise UnreadableCheckpoint(
                f"{self.path}: has the custom operator {table.text(1)[:80]!r}, which only its own program can run"
            )
        if code in _NESTED:
            raise UnreadableCheckpoint(f"{self.path}: has the operator {_NESTED[code]}; an EfficientNet has none")
        return code

    def _value(self, number: int, table: Table, buffers: list[Table]) -> Value:
        """Return a tensor's description; one with data becomes a constant."""
        self.budget.draw(2 * ENTRY, "its tensors")
        dtype = _DTYPES.get(table.number(1, "<b"))
        shape = tuple(int(one) for one in table.numbers(0, "<i4"))
        signature = tuple(int(one) for one in table.numbers(7, "<i4"))
        name = _name(number)
        buffer = table.number(2, "<I")
        if buffer >= len(buffers):
            raise FlatBufferError(f"{name} names buffer {buffer:,}, and there are {len(buffers):,}")
        span, quantization = buffers[buffer].span(0), self._quantization(table.table(4))
        if dtype is not None and span is not None and span[1]:
            check_shape(shape, dtype)
            if span[1] != math.prod(shape) * dtype.itemsize:
                raise FlatBufferError(f"{name} {list(shape)} has {span[1]:,} bytes")
            self.constants[name] = Constant(shape, str(dtype), lambda: self._read(span, dtype, shape), quantization)
        axes = tuple(None if free == -1 else axis for axis, free in zip(shape, signature or shape, strict=False))
        return Value(name, str(dtype or "unknown"), axes, quantization, table.text(3))

    def _read(self, span: tuple[int, int], dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        data = self.model.data[span[0] : span[0] + span[1]]
        return np.frombuffer(data, dtype.newbyteorder("<")).reshape(shape)

    def _quantization(self, table: Table | None) -> Quantization | None:
        if table is None:
            return None
        scales, zeros = table.numbers(2, "<f4"), table.numbers(3, "<i8")
        if len(scales) != 1 or len(zeros) != 1:  # none, or one for each channel of a kernel
            return None
        return Quantization(float(scales[0]), int(zeros[0]))

    def _node(self, table: Table, codes: list[int], values: int) -> Node:
        index = table.number(0, "<I")
        if index >= len(codes):
            raise FlatBufferError(f"a node names operator {index:,}, and there are {len(codes):,}")
        code = codes[index]
        inputs, outputs = (
            tuple(_name(int(one)) if one >= 0 else "" for one in self._numbers(table, field, values))
            for field in (1, 2)
        )
        self.budget.draw(ENTRY + 64 * (len(inputs) + len(outputs)), "its nodes")
        return Node(_KINDS.get(code, f"operator {code}"), inputs, outputs, _attributes(code, table.table(4)))

    def _numbers(self, table: Table, field: int, values: int) -> NDArray[np.generic]:
        """Return a vector of numbers of tensors; -1 is a left-out input."""
        found = table.numbers(field, "<i4")
        if len(found) and (int(found.min()) < -1 or int(found.max()) >= values):
            raise FlatBufferError(f"a node names a tensor that is not one of the {values:,}")
        return found


def _name(number: int) -> str:
    return f"tensor {number}"


def _attributes(code: int, options: Table | None) -> dict[str, Any]:
    """Return the attributes of an operator that matter here, under ONNX's names."""
    found: dict[str, Any] = {}
    if options is None:
        return found
    if code in _ACTIVATION_FIELD:
        applied = options.number(_ACTIVATION_FIELD[code], "<b")
        if applied:
            found[ACTIVATION] = _ACTIVATIONS.get(applied, f"activation {applied}")
    if code in (3, _DEPTHWISE):
        found["strides"] = (options.number(2, "<i"), options.number(1, "<i"))
        found["auto_pad"] = "SAME_UPPER" if options.number(0, "<b") == _SAME else "VALID"
        found["depthwise"] = code == _DEPTHWISE
    return found
