"""The layers of EfficientNet in any exporter's graph, found by structure: names tell nothing, and kernels are folded.

A convolution with an activation behind it expands, is depthwise, or is the stem or the head; one without it projects,
and ends a block. Convolutions behind a pool are squeeze and excite's. An exporter keeps that order whatever it fuses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from effconvert.deployed.graph import ACTIVATION, ACTIVATIONS, PASSES, POOLS, Graph, Node, Value

CONVOLUTIONS = frozenset({"Conv", "FusedConv", "QLinearConv", "ConvInteger"})
_AFFINE = frozenset({"Add", "Sub", "Mul", "Div"})
# The facts' words for activations, of one operator and of the gate that a value is multiplied with.
_WORDS = {"Clip": "relu6", "Relu": "relu", "HardSwish": "hswish", "Swish": "silu", "QuickGelu": "silu"}
_WRITTEN_BY = "effconvert"  # a key of the metadata
_DENSE = frozenset({"Gemm", "MatMul", "Conv", "QGemm", "QLinearMatMul", "MatMulInteger"})
_ENDS = frozenset({"Softmax", "LogSoftmax", "Sigmoid", "ArgMax"})
_GATES = {"Sigmoid": "silu", "HardSigmoid": "hswish"}


@dataclass(frozen=True)
class Convolution:
    """A convolution of the trunk.

    output: the value behind its BatchNorm and activation, or behind the residual sum. activation: a word of the facts,
    "" for a convolution that projects.
    """

    node: Node
    output: str
    activation: str


@dataclass(frozen=True)
class Layers:
    """The layers of a graph, in order.

    outputs: {canonical name of a layer: the value that is its output}, for stem, blocks, head, pooled features and
    logits. trunk: the convolutions except those of squeeze and excite. gates: the number of blocks with squeeze and
    excite.
    """

    outputs: dict[str, str]
    trunk: tuple[Convolution, ...]
    gates: int


def find_layers(graph: Graph) -> Layers:
    """Return the layers of `graph`; without outputs if no block ends in it, as in networks of another kind.

    A graph that effconvert wrote names its layers; that also tells those of CondConv, which has several convolutions in
    place of one.
    """
    trunk: list[Convolution] = []
    squeezing: set[int] = set()
    end = ""  # the value that the block before ends with, at first the stem's
    for node in graph.nodes:
        if node.kind not in CONVOLUTIONS:
            continue
        if _is_behind_pool(graph, node, squeezing):
            squeezing.add(id(node))
            continue
        output, activation = _activated(graph, node)
        if not activation:
            output = end = _sum_with(graph, output, end) or output
        elif not trunk:
            end = output
        trunk.append(Convolution(node, output, activation))
    outputs = _named(graph) or _outputs(graph, trunk)
    return Layers(outputs, tuple(trunk), len(squeezing) // 2)


def _named(graph: Graph) -> dict[str, str]:
    """Return the layers that a graph of effconvert names, {} for another graph."""
    if _WRITTEN_BY not in graph.metadata:
        return {}
    blocks: list[str] = []
    while (name := f"blocks.{len(blocks)}") in graph.producers:
        blocks.append(name)
    names = [name for name in ("stem", *blocks, "head", "pooled", "logits") if name in graph.producers]
    return dict(zip(names, names, strict=True)) if blocks else {}


def answer_of(graph: Graph) -> Value:
    """Return the output that has the answers: the first one that a classifier gives, or else the first."""
    return next((one for one in graph.outputs if _is_dense(graph, _logits_of(graph, one)[0])), graph.outputs[0])


def before_softmax(graph: Graph) -> tuple[str, str]:
    """Return the name of the logits, and the operator behind them, such as Softmax; "" where they are the output."""
    return _logits_of(graph, answer_of(graph))


def _logits_of(graph: Graph, output: Value) -> tuple[str, str]:
    name = output.name
    while (producer := graph.producers.get(name)) is not None and producer.inputs:
        if producer.kind in _ENDS:
            return producer.inputs[0], producer.kind
        if producer.kind not in PASSES:
            break
        name = producer.inputs[0]
    return output.name, ""


def _outputs(graph: Graph, trunk: Sequence[Convolution]) -> dict[str, str]:
    ends = [place for place, convolution in enumerate(trunk) if not convolution.activation]
    if not ends or not trunk[0].activation:
        return {}
    outputs = {"stem": trunk[0].output}
    outputs |= {f"blocks.{number}": trunk[place].output for number, place in enumerate(ends)}
    behind = trunk[ends[-1] + 1 :]
    if not behind:
        return outputs
    head = behind[-1].output
    outputs["head"] = head
    pooled = next((node.output for node in graph.consumers.get(head, ()) if node.kind in POOLS), None)
    logits = before_softmax(graph)[0]
    if pooled is None:
        return outputs
    return outputs | {"pooled": pooled} | ({"logits": logits} if _is_dense(graph, logits) else {})


def _is_dense(graph: Graph, name: str) -> bool:
    """Return whether a value is the result of a classifier, and not of the pooling itself."""
    while (producer := graph.producers.get(name)) is not None and producer.inputs:
        if producer.kind in _DENSE:
            return True
        if producer.kind not in PASSES | _AFFINE:
            return False
        name = producer.inputs[0]
    return False


def _is_behind_pool(graph: Graph, node: Node, squeezing: set[int]) -> bool:
    """Return whether the convolution reads pooled features, perhaps through the other one of squeeze and excite."""
    name = node.inputs[0]
    while (producer := graph.producers.get(name)) is not None:
        if producer.kind in POOLS or id(producer) in squeezing:
            return True
        if producer.kind in PASSES or producer.kind in ACTIVATIONS:
            name = producer.inputs[0]
            continue
        inner = _value_of_swish(graph, producer)
        if inner is None and producer.kind in _AFFINE:
            inner = _variable_input(graph, producer)
        if inner is None:
            return False
        name = inner
    return False


def _activated(graph: Graph, node: Node) -> tuple[str, str]:
    """Return the value behind a convolution, its BatchNorm and its activation, and the activation's word."""
    name = node.output
    if applied := node.attributes.get(ACTIVATION):
        return name, _WORDS.get(applied, "other")
    while (following := _following(graph, name)) is not None:
        name = following
    for consumer in graph.consumers.get(name, ()):
        if consumer.kind in _GATES:
            products = graph.consumers.get(consumer.output, ())
            gated = next((one for one in products if one.kind == "Mul" and name in one.inputs), None)
            if gated is not None:
                return gated.output, _GATES[consumer.kind]
        elif consumer.kind in _WORDS:
            return consumer.output, _WORDS[consumer.kind]
    swish = _by_hand(graph, name)
    return (swish, "hswish") if swish else (name, "")


def _following(graph: Graph, name: str) -> str | None:
    """Return the value behind `name` that is still of the same convolution: behind a BatchNorm, or a bias."""
    consumers = graph.consumers.get(name, ())
    for consumer in consumers:
        if consumer.kind in ("BatchNormalization", "Identity") and consumer.inputs[0] == name:
            return consumer.output
    if len(consumers) == 1 and consumers[0].kind in _AFFINE | {"Cast", "QuantizeLinear", "DequantizeLinear"}:
        only = consumers[0]
        if only.kind not in _AFFINE or _variable_input(graph, only) == name:
            return only.output
    return None


def _by_hand(graph: Graph, name: str) -> str | None:
    """Return the value of x * clip(x + 3) / 6, hard-swish in parts, for x called `name`; None if it is not there."""
    consumers = graph.consumers.get(name, ())
    shifted = [one.output for one in consumers if one.kind == "Add" and _variable_input(graph, one) == name]
    clipped = [
        one.output for start in shifted for one in graph.consumers.get(start, ()) if one.kind in ("Clip", "Relu")
    ]
    for value in _reached(graph, clipped):
        for one in graph.consumers.get(value, ()):
            if one.kind == "Mul" and name in one.inputs and value in one.inputs:
                return _scaled(graph, one.output)
    return None


def _reached(graph: Graph, names: Sequence[str]) -> Iterator[str]:
    """Yield `names`, and each one's value after it was multiplied or divided by a constant."""
    for name in names:
        yield name
        yield _scaled(graph, name)


def _scaled(graph: Graph, name: str) -> str:
    consumers = graph.consumers.get(name, ())
    if len(consumers) == 1 and consumers[0].kind in ("Mul", "Div") and _variable_input(graph, consumers[0]) == name:
        return consumers[0].output
    return name


def _sum_with(graph: Graph, name: str, end: str) -> str | None:
    """Return the value that is `name` plus `end`, the output of the block before; None without such a sum."""
    for consumer in graph.consumers.get(name, ()):
        if consumer.kind in ("Add", "QLinearAdd") and end in consumer.inputs:
            return consumer.output
    return None


def _value_of_swish(graph: Graph, node: Node) -> str | None:
    """Return x if `node` computes x * sigmoid(x)."""
    if node.kind != "Mul" or len(node.inputs) != 2:
        return None
    for value, other in (node.inputs, reversed(node.inputs)):
        producer = graph.producers.get(other)
        if producer is not None and producer.kind in ("Sigmoid", "HardSigmoid") and producer.inputs[0] == value:
            return value
    return None


def _variable_input(graph: Graph, node: Node) -> str | None:
    """Return the input of a node with two that is computed, where the other is a constant."""
    computed = [name for name in node.inputs if name not in graph.constants]
    return computed[0] if len(computed) == 1 and len(node.inputs) == 2 else None
