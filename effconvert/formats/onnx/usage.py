"""What an ONNX model wants and gives, learnt from its graph: axes, normalisation, softmax, quantisation."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from effconvert.formats.onnx.model import Node, OnnxModel, Value

NCHW, NHWC, UNKNOWN = "NCHW", "NHWC", "unknown"
_CONVOLUTIONS = ("Conv", "QLinearConv", "ConvInteger")
_ARITHMETIC = ("Sub", "Mul", "Div", "Add")
_MOVES = ("Transpose", "Cast", "Identity", "Reshape", "Pad", "QuantizeLinear", "DequantizeLinear")
_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger")
_NORMS = ("BatchNormalization",)


@dataclass(frozen=True)
class Usage:
    """What a model wants of images, and what it gives.

    axes: NCHW, NHWC or unknown. normalises: whether there is arithmetic between the images and the first convolution;
    a convolution that holds the normalisation itself does not show. softmax: whether the last operator is one.
    quantised: whether it computes with integers. batch_norms, convolutions: numbers of operators. outside: the files
    that hold values.
    """

    axes: str
    normalises: bool
    softmax: bool
    quantised: bool
    batch_norms: int
    convolutions: int
    outside: tuple[str, ...]


def learn(model: OnnxModel) -> Usage:
    """Return the usage of `model`. No value is read."""
    kinds = Counter(node.kind for node in model.nodes)
    return Usage(
        axes=_axes(model.inputs[0]) if model.inputs else UNKNOWN,
        normalises=any(node.kind in _ARITHMETIC for node in _before_convolution(model)),
        softmax=_ends_in_softmax(model),
        quantised=any(kinds[kind] for kind in _QUANTISED),
        batch_norms=sum(kinds[kind] for kind in _NORMS),
        convolutions=sum(kinds[kind] for kind in _CONVOLUTIONS),
        outside=tuple(dict.fromkeys(tensor.outside for tensor in model.tensors if tensor.outside)),
    )


def _axes(images: Value) -> str:
    if len(images.shape) != 4:
        return UNKNOWN
    channels_first, channels_last = (images.shape[axis] in (1, 3) for axis in (1, 3))
    if channels_first == channels_last:
        return UNKNOWN
    return NCHW if channels_first else NHWC


def _before_convolution(model: OnnxModel) -> Iterator[Node]:
    """Yield the operators on the way from the images to the first convolution."""
    reached = {value.name for value in model.inputs[:1]}
    for node in model.nodes:
        if reached.isdisjoint(node.inputs):
            continue
        if node.kind in _CONVOLUTIONS:
            return
        if node.kind in (*_ARITHMETIC, *_MOVES):
            reached |= set(node.outputs)
            yield node


def _ends_in_softmax(model: OnnxModel) -> bool:
    makers = {name: node for node in model.nodes for name in node.outputs}
    node = makers.get(model.outputs[0].name) if model.outputs else None
    while node and node.kind in _MOVES and node.inputs:
        node = makers.get(node.inputs[0])
    return node is not None and node.kind == "Softmax"
