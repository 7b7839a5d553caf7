"""The network that a graph is: its variant by the channels of its convolutions, and the facts that a graph tells."""

from collections.abc import Sequence
from dataclasses import dataclass

from effconvert.architecture.variants import VARIANTS, Block, Variant, blocks, head_channels, stem_channels
from effconvert.deployed.graph import Graph, Node
from effconvert.deployed.layers import Layers

# A kernel: output channels, height and width, whether each channel has its own.
Kernel = tuple[int, int, bool]


@dataclass(frozen=True)
class Padding:
    """How strided convolutions pad. word: of the facts, None where it makes no difference. fixed: pads of one size."""

    word: str | None
    fixed: bool


def kernel_of(graph: Graph, node: Node) -> Kernel | None:
    """Return the kernel of a convolution, None if it is computed, as CondConv's."""
    found = graph.constant_of(node.inputs[1] if len(node.inputs) > 1 else "")
    if found is None or len(found.shape) != 4:
        return None
    if not graph.channels_last:  # [out, in of a group, height, width]
        return found.shape[0], found.shape[2], found.shape[1] == 1 and int(node.attributes.get("group", 1)) > 1
    depthwise = bool(node.attributes.get("depthwise"))
    return found.shape[3 if depthwise else 0], found.shape[1], depthwise


def expected_kernels(variant: Variant, head: bool = True) -> list[Kernel]:
    """Return the kernels of the convolutions of `variant` in order, without squeeze and excite."""
    kernels: list[Kernel] = [(stem_channels(variant), 3, False)]
    for block in blocks(variant):
        kernels += _kernels_of_block(block)
    return kernels + ([(head_channels(variant), 1, False)] if head else [])


def variants_of(graph: Graph, layers: Layers) -> list[str]:
    """Return the names of the variants that have exactly the convolutions of `graph`; [] for another network."""
    found = [kernel_of(graph, convolution.node) for convolution in layers.trunk]
    return [
        name
        for name, variant in VARIANTS.items()
        if not variant.experts
        and found == expected_kernels(variant, "head" in layers.outputs)
        and bool(layers.gates) == bool(variant.se_ratio)
    ]


def activation_of(layers: Layers) -> str | None:
    """Return the activation of every convolution of the trunk; None if they differ."""
    words = {convolution.activation for convolution in layers.trunk if convolution.activation}
    return words.pop() if len(words) == 1 else None


def padding_of(graph: Graph, layers: Layers, size: int | None) -> Padding:
    """Return how the strided convolutions pad. size: height and width in pixels of the images, None if they are free.

    TensorFlow's rule pads k - 2 pixels in all where a stride of 2 meets an even size, one less at the start; symmetric
    padding is k - 1 at every size. Where the sizes are odd both are the same.
    """
    words: set[str | None] = set()
    fixed = False
    for convolution in layers.trunk:
        stride = _pair(convolution.node.attributes.get("strides"))
        kernel = kernel_of(graph, convolution.node)
        if stride[0] > 1 and kernel is not None and kernel[1] > 1:
            pads = _pads(graph, convolution.node)
            if pads is None:
                words.add("tf-same")
            else:
                fixed = fixed or pads[0] != pads[1]
                words.add("tf-same" if pads[0] != pads[1] else None if size is None or size % 2 else "symmetric")
        size = None if size is None else -(-size // stride[0])
    known = words - {None}
    if not known and words and all(pads_are_symmetric(graph, one.node) for one in layers.trunk):
        known = {"symmetric"} if size is None else set()
    return Padding(known.pop() if len(known) == 1 else None, fixed)


def pads_are_symmetric(graph: Graph, node: Node) -> bool:
    """Return whether a convolution has pads of its own, equal on both sides."""
    pads = _pads(graph, node)
    return pads is not None and pads[0] == pads[1]


def _kernels_of_block(block: Block) -> list[Kernel]:
    kernels: list[Kernel] = []
    if block.expanded:
        kernels.append((block.expanded_channels, block.kernel if block.fused else 1, False))
    if not block.fused:
        kernels.append((block.expanded_channels, block.kernel, True))
    return [*kernels, (block.out_channels, 1, False)]


def _pads(graph: Graph, node: Node) -> tuple[int, int] | None:
    """Return the pixels before and after the height, None if they follow from the size as TensorFlow's do."""
    if node.attributes.get("auto_pad") in ("SAME_UPPER", "SAME_LOWER"):
        return None
    own = _ends(node.attributes.get("pads"), 0)
    producer = graph.producers.get(node.inputs[0])
    if producer is None or producer.kind != "Pad":
        return own
    axis = 1 if graph.channels_last else 2
    given = producer.attributes.get("pads")
    if given is None:
        found = graph.constant_of(producer.inputs[1] if len(producer.inputs) > 1 else "")
        if found is None:
            return None  # computed from the size
        given = found.read().reshape(-1).tolist()
        if graph.channels_last:  # [[before, after], …] for each axis
            given = [*given[0::2], *given[1::2]]
    outer = _ends(given, axis)
    return own[0] + outer[0], own[1] + outer[1]


def _ends(pads: Sequence[int] | None, axis: int) -> tuple[int, int]:
    if not pads or len(pads) < 2:
        return 0, 0
    half = len(pads) // 2
    return (int(pads[axis]), int(pads[axis + half])) if axis < half else (0, 0)


def _pair(strides: Sequence[int] | None) -> tuple[int, int]:
    return (int(strides[0]), int(strides[-1])) if strides else (1, 1)
