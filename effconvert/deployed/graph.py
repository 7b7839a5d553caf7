"""The graph of a deployed network, in one vocabulary for every format: that of ONNX's operators."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

ACTIVATION = "activation"  # the attribute of a node that applies one to its result, as TensorFlow Lite's nodes do
# Operators that apply a function to each number.
ACTIVATIONS = frozenset({"Sigmoid", "Clip", "Relu", "HardSwish", "HardSigmoid", "Swish", "QuickGelu"})
POOLS = frozenset({"GlobalAveragePool", "ReduceMean"})
# Operators whose output has the numbers of their first input, perhaps in another order or precision.
PASSES = frozenset(
    {
        "Identity",
        "Cast",
        "Transpose",
        "Reshape",
        "Squeeze",
        "Unsqueeze",
        "Flatten",
        "QuantizeLinear",
        "DequantizeLinear",
    }
)
# Operators that compute something of their first input.
_READING = (
    ACTIVATIONS
    | POOLS
    | PASSES
    | {"Conv", "FusedConv", "QLinearConv", "ConvInteger", "BatchNormalization", "Pad", "Add", "Sub", "Mul", "Div"}
    | {"Gemm", "MatMul", "QGemm", "QLinearMatMul", "MatMulInteger", "Softmax", "LogSoftmax", "ArgMax", "QLinearAdd"}
)


@dataclass(frozen=True)
class Quantization:
    """real = (stored - zero_point) * scale, for a whole tensor."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Value:
    """An input or output of a graph.

    shape: an axis of any size is its name, or None; None without a shape. label: what people call it, as `name` is only
    unique in its graph.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None
    quantization: Quantization | None = None
    label: str = ""


@dataclass(frozen=True)
class Constant:
    """A tensor that the file holds.

    read: returns its values as they are stored, and raises UnreadableCheckpoint if they are damaged.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], NDArray[Any]] = field(repr=False)
    quantization: Quantization | None = None


@dataclass(frozen=True)
class Node:
    """An operation. kind: the name of its operator."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """Its first output, "" without one."""
        return self.outputs[0] if self.outputs else ""


@dataclass(frozen=True)
class Graph:
    """A network as nodes in the order of computation, each after those that it reads.

    format: of the file. producer: the program that wrote it, "" if the file does not say. channels_last: whether
    convolutions read [N, H, W, C]. versions: of each set of operators. metadata: strings of the file. external: the
    files beside it that hold its constants.
    """

    format: str
    producer: str
    channels_last: bool
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant] = field(repr=False)
    versions: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    external: tuple[str, ...] = ()

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The node that computes each value."""
        return {output: node for node in self.nodes for output in node.outputs if output}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each value, in order."""
        found: defaultdict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def constant_of(self, name: str) -> Constant | None:
        """Return the constant that a value is, perhaps in another precision; None for one that is computed."""
        while name not in self.constants:
            producer = self.producers.get(name)
            if producer is None or producer.kind not in ("Cast", "Identity", "DequantizeLinear"):
                return None
            name = producer.inputs[0]
        return self.constants[name]

    def numbers_of(self, name: str) -> NDArray[np.float64] | None:
        """Return a constant's real values, None if `name` is not one.

        Raises UnreadableCheckpoint if they are damaged.
        """
        producer = self.producers.get(name)
        if producer is not None and len(producer.inputs) > 1:  # ONNX's DequantizeLinear has its scale as an input
            return None
        constant = self.constant_of(name)
        if constant is None:
            return None
        stored = np.asarray(constant.read(), np.float64)
        meaning = constant.quantization
        return stored if meaning is None else (stored - meaning.zero_point) * meaning.scale


def check_graph(graph: Graph) -> None:
    """Raise ValueError if a node reads what is computed after it, as in a circle, or never, or lacks what it needs."""
    known = {one.name for one in graph.inputs} | graph.constants.keys() | {""}
    for node in graph.nodes:
        for name in node.inputs:
            if name not in known:
                raise ValueError(f"{node.kind} reads {name[:80]!r}, which nothing before it computes")
        if not node.outputs or (node.kind in _READING and not node.inputs):
            raise ValueError(f"{node.kind} has no {'input' if node.outputs else 'output'}")
        if any(not 0 < stride < 1 << 16 for stride in node.attributes.get("strides") or ()):
            raise ValueError(f"{node.kind} has the strides {list(node.attributes['strides'])}")
        known.update(node.outputs)
    if not graph.inputs or not graph.outputs or any(one.name not in known for one in graph.outputs):
        raise ValueError("its inputs or outputs are missing")
