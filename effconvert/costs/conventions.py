"""Conventions for the published cost of a network: the quantities that each tool counts, and their weights.

One network has many published figures: BatchNorm may count or not, a multiply-add may be one operation or two, and a
counter may miss layers. Each convention here is a table of weights over the quantities of `costs/quantities.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Quantity = Literal[
    "convolution",  # multiply-adds of plain convolutions with stride 1
    "strided",  # multiply-adds of plain convolutions with a larger stride
    "routed",  # of CondConv's convolutions, after mixing their kernels
    "gates",  # of squeeze-and-excite's two convolutions
    "routing",  # of CondConv's dense layers
    "mixing",  # of mixing the experts into the kernels of one image
    "classifier",  # of the last layer
    "gate_biases",  # additions, like all biases
    "routing_biases",
    "classifier_biases",
    "batch_norm",  # output values
    "swish",  # output values of x * sigmoid(x)
    "gating",  # values multiplied by gates
    "residual",  # values added to a block's input
    "gate_pooling",  # values averaged for gates
    "routing_pooling",  # values averaged for routing
    "pooling",  # values averaged before the classifier
    "pooled",  # inputs of the classifier
]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)

_MMPRETRAIN = ("b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "l2", "edgetpu-s", "edgetpu-m")


@dataclass(frozen=True)
class Convention:
    """One way to count a network's operations.

    weights: how often each quantity counts. variants: the variants that the tool has; () is all. sides: height and
    width of the image, as a ratio. counter: the tool or publication, in a few words. source: what it leaves out or
    adds, and how that is known.
    """

    name: str
    counter: str
    weights: Mapping[Quantity, float]
    source: str
    variants: tuple[str, ...] = ()
    sides: tuple[int, int] = (1, 1)

    def covers(self, variant: str) -> bool:
        """Return whether the tool has `variant`."""
        return not self.variants or variant in self.variants

    def image(self, size: int) -> tuple[int, int]:
        """Return height and width of the counted image for `size` pixels."""
        height, width = self.sides
        return size, size * width // height

    def count(self, quantities: Mapping[Quantity, int]) -> int:
        """Return the figure of this convention for the quantities of one network and image."""
        return round(sum(weight * quantities.get(name, 0) for name, weight in self.weights.items()))


def _all(names: tuple[Quantity, ...], weight: float = 1) -> dict[Quantity, float]:
    return dict.fromkeys(names, weight)


_PLAIN: tuple[Quantity, ...] = ("convolution", "strided", "gates")
_ROUTED: tuple[Quantity, ...] = ("routed", "routing", "mixing")
_MACS: tuple[Quantity, ...] = (*_PLAIN, *_ROUTED, "classifier")
_BIASES: tuple[Quantity, ...] = ("gate_biases", "routing_biases", "classifier_biases")
_ELEMENTWISE: tuple[Quantity, ...] = ("swish", "gating", "residual", "gate_pooling", "routing_pooling", "pooling")

MULTIPLY_ADDS = "multiply-adds"
CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention(
            MULTIPLY_ADDS,
            "the official graphs, torchvision's _ops",
            _all(_MACS),
            "convolutions, dense layers and CondConv's mixing of kernels, as in the official graphs; torchvision's "
            "_ops are these in thousand millions, though its documents call them GFLOPS",
        ),
        Convention(
            "tensorflow-profile",
            "TensorFlow's profiler, halved: the paper and CondConv's README",
            _all(_MACS) | _all((*_BIASES, *_ELEMENTWISE), 0.5),
            "half of the float operations that TensorFlow's profiler counts: products, sums and means count, BatchNorm "
            "and the sigmoid do not. The rules were measured with TensorFlow 2.21; that the published figures follow "
            "them is inferred from the figures",
        ),
        Convention(
            "mmpretrain-table",
            "mmpretrain's table: its counter in training mode",
            _all(_PLAIN) | _all(("gate_pooling", "pooling")) | {"batch_norm": 5},
            "mmengine's counter on extract_feat in training mode, where BatchNorm counts 5; no classifier. It gives "
            "every figure of the published table",
            _MMPRETRAIN,
        ),
        Convention(
            "mmpretrain-get-flops",
            "mmpretrain's get_flops.py",
            _all(_PLAIN) | _all(("gate_pooling", "pooling")) | {"batch_norm": 2},
            "mmpretrain's tools/analysis_tools/get_flops.py: the same in eval mode, where BatchNorm counts 2",
            _MMPRETRAIN,
        ),
        Convention(
            "fvcore-mmpretrain",
            "fvcore on mmpretrain's whole model",
            _all((*_PLAIN, "classifier")) | _all(("gate_pooling", "pooling")) | {"batch_norm": 2},
            "fvcore 0.1.5, or mmengine's copy of it, on mmpretrain's whole model in eval mode",
            _MMPRETRAIN,
        ),
        Convention(
            "fvcore-timm",
            "fvcore on timm's model",
            _all(_MACS) | _all(("routing_pooling", "pooling")) | {"batch_norm": 2},
            "fvcore 0.1.5 on timm 1.0.31 in eval mode; it does not see the means of squeeze-and-excite",
        ),
        Convention(
            "torch-flop-counter",
            "torch.utils.flop_counter",
            _all(_MACS, 2),
            "torch.utils.flop_counter: a multiply-add is two operations, and nothing else counts",
        ),
        Convention(
            "timm-documents",
            "timm's documents: thop on an image that is not square",
            _all(("convolution", "gates", "gate_biases", "routing", "pooling", "pooled")) | {"batch_norm": 2},
            "thop 0.0.31 on timm 0.4.5 in eval mode. It knows a layer by its exact class, and so misses timm's own: "
            "convolutions with SAME padding and a stride, CondConv's, and the classifier. The image is not square: its "
            "shorter side is the size, and its sides are as 1213 to 1546",
            sides=(1213, 1546),
        ),
    )
}
