"""Needs of a deployed file: the images that it takes, and the answers that it gives, learnt from its graph."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effconvert.deployed.graph import PASSES, Graph, Node, Quantization
from effconvert.deployed.layers import CONVOLUTIONS, answer_of, before_softmax

NCHW, NHWC = "NCHW", "NHWC"
_SHAPE_READERS = frozenset({"Shape", "Size"})
_AFFINE = frozenset({"Add", "Sub", "Mul", "Div"})
_ENDS = {"Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid", "ArgMax": "the class alone"}


@dataclass(frozen=True)
class Normalization:
    """The graph computes (x - mean) / std of its input; one number, or one for each channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Needs:
    """The input and the output of a graph.

    layout: NCHW or NHWC. batch, height, width: None if any is taken. channels: of the images, None if unknown.
    normalization: what the graph itself does with its input, None for nothing. before: operators in front of the first
    convolution that are not understood. ends: what the graph does with its logits, "" for nothing. classes: None if
    unknown.
    """

    input: str
    dtype: str
    layout: str
    batch: int | None
    height: int | None
    width: int | None
    channels: int | None
    quantization: Quantization | None
    normalization: Normalization | None
    before: tuple[str, ...]
    output: str
    output_dtype: str
    output_quantization: Quantization | None
    ends: str
    classes: int | None


def needs_of(graph: Graph) -> Needs:
    """Return what `graph` wants and answers; it has one input with four axes (see `check_ends`)."""
    image, answer = graph.inputs[0], answer_of(graph)
    shape = image.shape or (None,) * 4
    channels = _first_channels(graph)
    layout = NHWC if graph.channels_last else _layout(graph, shape, channels)
    axes = {"N": shape[0], **dict(zip(layout[1:], shape[1:], strict=True))}
    sizes = {name: axis if isinstance(axis, int) and axis > 0 else None for name, axis in axes.items()}
    scale, offset, before = _in_front(graph)
    classes = answer.shape[-1] if answer.shape else None
    return Needs(
        input=image.label,
        dtype=image.dtype,
        layout=layout,
        batch=sizes["N"],
        height=sizes["H"],
        width=sizes["W"],
        channels=sizes["C"] or channels,
        quantization=image.quantization,
        normalization=_normalization(scale, offset),
        before=before,
        output=answer.label,
        output_dtype=answer.dtype,
        output_quantization=answer.quantization,
        ends=_ENDS.get(before_softmax(graph)[1], ""),
        classes=classes if isinstance(classes, int) else None,
    )


def problem_of(graph: Graph) -> str | None:
    """Return why a graph is not an image classifier with one input and one output; None if it is one."""
    if len(graph.inputs) != 1:
        names = ", ".join(one.label for one in graph.inputs[:5])
        return f"has {len(graph.inputs)} inputs ({names}); a classifier of images has one"
    shape = graph.inputs[0].shape
    if shape is None or len(shape) != 4:
        return f"its input {graph.inputs[0].label} has shape {shape}; images have four axes"
    return None


def _layout(graph: Graph, shape: tuple[int | str | None, ...], channels: int | None) -> str:
    """Return the order of the axes of an ONNX file's input: NHWC if only the last one can be its channels."""
    if shape[1] == channels and channels is not None and shape[3] != channels:
        return NCHW
    if shape[3] == channels and channels is not None and shape[1] != channels:
        return NHWC
    first = next(_path(graph), None)
    turned = first is not None and first.kind == "Transpose" and tuple(first.attributes.get("perm", ())) == (0, 3, 1, 2)
    return NHWC if turned else NCHW


def _path(graph: Graph) -> Iterator[Node]:
    """Yield the nodes from the input to the first convolution, as long as there is one way."""
    name = graph.inputs[0].name
    while True:
        consumers = [one for one in graph.consumers.get(name, ()) if one.kind not in _SHAPE_READERS]
        if len(consumers) != 1:
            return
        yield consumers[0]
        if consumers[0].kind in CONVOLUTIONS:
            return
        name = consumers[0].output


def _first_channels(graph: Graph) -> int | None:
    for node in graph.nodes:
        if node.kind in CONVOLUTIONS and len(node.inputs) > 1:
            kernel = graph.constant_of(node.inputs[1])
            return kernel.shape[3 if graph.channels_last else 1] if kernel and len(kernel.shape) == 4 else None
    return None


def _in_front(graph: Graph) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[str, ...]]:
    """Return scale and offset that the graph applies to its input, and the operators that are not understood."""
    scale, offset = np.ones(1), np.zeros(1)
    unknown: list[str] = []
    for node in _path(graph):
        if node.kind in CONVOLUTIONS:
            break
        if node.kind in _AFFINE and (step := _affine(graph, node)) is not None:
            scale, offset = scale * step[0], offset * step[0] + step[1]
        elif node.kind not in PASSES | {"Pad", "DynamicQuantizeLinear"}:
            unknown.append(node.kind)
    return scale, offset, tuple(unknown)


def _affine(graph: Graph, node: Node) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return (a, b) of a node that computes a x + b with numbers for all pixels, or for each channel."""
    if len(node.inputs) != 2:
        return None
    constants = [graph.numbers_of(name) for name in node.inputs]
    place = next((number for number, one in enumerate(constants) if one is not None), None)
    if place is None:
        return None
    found = constants[place]
    if found is None or found.size not in (1, max(found.shape, default=1)):
        return None
    number = found.reshape(-1)
    nothing, one = np.zeros(1), np.ones(1)
    if node.kind == "Add":
        return one, number
    if node.kind == "Mul":
        return number, nothing
    if node.kind == "Sub":
        return (one, -number) if place == 1 else (-one, number)
    return (one / number, nothing) if place == 1 else None


def _normalization(scale: NDArray[np.float64], offset: NDArray[np.float64]) -> Normalization | None:
    if np.all(scale == 1) and np.all(offset == 0):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, std = -offset / scale, 1 / scale + 0 * offset
    return Normalization(tuple(map(float, np.broadcast_to(mean, std.shape))), tuple(map(float, std)))
