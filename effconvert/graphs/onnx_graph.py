"""The network as an ONNX model, exactly: from canonical tensors, with the padding and the constants of its facts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from effconvert.architecture.canonical import Shape, tensor_shapes
from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Variant, blocks
from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.checkpoint import TensorInfo
from effconvert.graphs.folding import Array, folding, place_of
from effconvert.graphs.onnx_nodes import Nodes
from effconvert.version import VERSION

IMAGES = "images"
LOGITS, PROBABILITIES, POOLED = "logits", "probabilities", "pooled"
PRODUCER = "effconvert"
OPSET, IR_VERSION = 17, 8  # what every runtime since 2022 reads
_NOTHING: Mapping[str, str] = MappingProxyType({})

# (mean, std) of each channel, for (pixel - mean) / std with pixels of 0 to 255.
Normalisation = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class NetworkGraph:
    """A graph whose parameters have no values yet; infos: all of them, in the order of the canonical tensors."""

    graph: GraphProto
    infos: tuple[TensorInfo, ...]


def build_model(
    variant: Variant,
    facts: Facts,
    tensors: Mapping[str, Array],
    *,
    image_size: int | None,
    batch: int | None = None,
    fold: bool = False,
    normalisation: Normalisation | None = None,
    softmax: bool = False,
    metadata: Mapping[str, str] = _NOTHING,
) -> ModelProto:
    """Return the network of `variant` with the canonical `tensors` as an ONNX model; see `network_graph`.

    Values become float32. metadata: words that the model holds, in their order. The same input gives the same bytes of
    `SerializeToString(deterministic=True)`. Raises LayoutMismatch for tensors that are missing, unknown or of another
    shape, and for what the network cannot have.
    """
    _check_tensors(tensors, tensor_shapes(variant, facts))
    network = network_graph(
        variant, facts, image_size=image_size, batch=batch, fold=fold, normalisation=normalisation, softmax=softmax
    )
    read = tensors.__getitem__
    values: Callable[[str], Array] = folding(read, facts.bn_eps) if fold else read
    for info in network.infos:
        network.graph.initializer.append(numpy_helper.from_array(np.asarray(values(info.name), info.dtype), info.name))
    return wrapped(network.graph, metadata)


def network_graph(
    variant: Variant,
    facts: Facts,
    *,
    image_size: int | None,
    batch: int | None = None,
    fold: bool = False,
    normalisation: Normalisation | None = None,
    softmax: bool = False,
) -> NetworkGraph:
    """Return the graph from `images` float32 [N, in_channels, H, W] to `logits` [N, classes], without values.

    image_size: height and width, for which padding is written as numbers; with None the graph takes any height and
    width, and padding is SAME_UPPER. batch: N; None for any. fold: each BatchNorm becomes part of the convolution
    before it, and parameters have other names than the weights. normalisation: the images are pixels, 0 to 255, and the
    graph normalises them. softmax: the output is `probabilities`. Without a classifier the output is `pooled` [N, C].
    """
    if softmax and not facts.classes:
        raise LayoutMismatch("facts: classes=0: a softmax needs a classifier")
    nodes = Nodes(variant, facts, size=image_size, batch=batch, folded=fold)
    x = IMAGES if normalisation is None else _normalised(nodes, facts, normalisation)
    x = nodes.layer("stem", x, kernel=3, stride=2, padding=facts.padding)
    for block in blocks(variant):
        x = nodes.block(block, x)
    channels = blocks(variant)[-1].out_channels
    if facts.head_conv:
        x = nodes.layer("head", x)
        channels = nodes.parameters["head.folded.bias" if fold else "head.bn.bias"][0]
    x = nodes.averages(x, POOLED)
    if facts.classes:
        x = nodes.dense("head.fc", x, LOGITS)
    if softmax:
        x = nodes.add("Softmax", [x], PROBABILITIES, axis=-1)
    count = "batch" if batch is None else batch
    sides = ("height", "width") if image_size is None else (image_size, image_size)
    images = _value(IMAGES, (count, facts.in_channels, *sides))
    result = _value(x, (count, facts.classes or channels))
    places = {name: place for place, name in enumerate(tensor_shapes(variant, facts))}
    names = sorted(nodes.parameters, key=lambda name: places[place_of(name)])
    infos = tuple(TensorInfo(name, nodes.parameters[name], np.dtype(np.float32)) for name in names)
    return NetworkGraph(helper.make_graph(nodes.all, variant.name, [images], [result]), infos)


def wrapped(graph: GraphProto, metadata: Mapping[str, str]) -> ModelProto:
    """Return the model with this graph."""
    model = helper.make_model(
        graph,
        producer_name=PRODUCER,
        producer_version=VERSION,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return model


def _value(name: str, shape: Sequence[int | str]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _normalised(nodes: Nodes, facts: Facts, normalisation: Normalisation) -> str:
    mean, std = normalisation
    if {len(mean), len(std)} != {facts.in_channels}:
        raise LayoutMismatch(
            f"normalisation: {len(mean)} means and {len(std)} stds, but the network's images have "
            f"{facts.in_channels} channels"
        )
    column = [[[number]] for number in mean], [[[number]] for number in std]
    centred = nodes.add("Sub", [IMAGES, nodes.constant("normalisation.mean", column[0])], "normalisation.centred")
    return nodes.add("Div", [centred, nodes.constant("normalisation.std", column[1])], "normalisation")


def _check_tensors(tensors: Mapping[str, Array], shapes: Mapping[str, Shape]) -> None:
    problems = [f"{name}: is missing" for name in shapes if name not in tensors]
    problems += [f"{name}: is not a tensor of the network" for name in tensors if name not in shapes]
    problems += [
        f"{name}: is {list(np.shape(tensors[name]))}, must be {list(shape)}"
        for name, shape in shapes.items()
        if name in tensors and np.shape(tensors[name]) != shape
    ]
    if problems:
        raise LayoutMismatch(listing("these are not the tensors of the network:", problems))
