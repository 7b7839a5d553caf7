"""Blocks of the official EfficientNets, with names and shapes of their variables; TensorFlow is not imported.

Source: tensorflow/tpu, models/official/efficientnet, revision 7dc921f.
"""

import math
import re
from dataclasses import dataclass
from itertools import count

AVERAGE = "/ExponentialMovingAverage"
STEM, HEAD = 32, 1280

# The official builder's notation: repeats, kernel, stride, expansion, filters in and out; c1 is a fused block. In
# CondConv's networks the last three stages have experts.
MOBILE = (
    "r1_k3_s1_e1_i32_o16 r2_k3_s2_e6_i16_o24 r2_k5_s2_e6_i24_o40 r3_k3_s2_e6_i40_o80 "
    "r3_k5_s1_e6_i80_o112 r4_k5_s2_e6_i112_o192 r1_k3_s1_e6_i192_o320"
)
EDGETPU = (
    "r1_k3_s1_e4_i24_o24_c1_noskip r2_k3_s2_e8_i24_o32_c1 r4_k3_s2_e8_i32_o48_c1 "
    "r5_k5_s2_e8_i48_o96 r4_k5_s1_e8_i96_o144 r2_k5_s2_e8_i144_o192"
)
# Width and depth of every official network; its scope is "efficientnet-" and this name.
SCALES = {
    "b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4), "b4": (1.4, 1.8), "b5": (1.6, 2.2),
    "b6": (1.8, 2.6), "b7": (2.0, 3.1), "b8": (2.2, 3.6), "l2": (4.3, 5.3),
    "condconv-b0-4e": (1.0, 1.0), "condconv-b0-8e": (1.0, 1.0), "condconv-b0-8e-depth": (1.0, 1.1),
    "edgetpu-S": (1.0, 1.0), "edgetpu-M": (1.0, 1.1), "edgetpu-L": (1.2, 1.4),
    "lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2), "lite3": (1.2, 1.4), "lite4": (1.4, 1.8),
}  # fmt: skip


def activation_of(name):
    """Return the name of the activation."""
    return "relu6" if "lite" in name else "relu" if "edgetpu" in name else "silu"


@dataclass(frozen=True)
class Block:
    """One block.

    expanded, reduced: channels after the expansion and in squeeze-and-excite, 0 without. experts: of CondConv, 0
    without; routed: the number of CondConv blocks before this one.
    """

    index: int
    kernel: int
    stride: int
    expands: bool
    fused: bool
    skip: bool
    in_channels: int
    expanded: int
    out_channels: int
    reduced: int
    experts: int
    routed: int


@dataclass(frozen=True)
class Layer:
    """The variables of one call: scope, kind, kernel size, input and output channels, experts."""

    scope: str
    kind: str
    in_channels: int
    out_channels: int
    kernel: int = 1
    experts: int = 0


def round_filters(filters, width):
    """Return `filters` times `width`, rounded to a multiple of eight that is at most 10 % lower."""
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def blocks(name):
    """Return the blocks of the network, for instance of `edgetpu-S`."""
    width, depth = SCALES[name]
    lite, edgetpu, experts = "lite" in name, "edgetpu" in name, re.search(r"condconv-b\d-(\d)e", name)
    stages = (EDGETPU if edgetpu else MOBILE).split()
    in_channels = STEM if lite else round_filters(STEM, width)
    found, routed = [], count()
    for number, stage in enumerate(stages):
        value = {letter: int(digits) for letter, digits in re.findall(r"([rkseio])(\d+)", stage)}
        condconv = experts is not None and number >= len(stages) - 3
        inputs, out_channels = round_filters(value["i"], width), round_filters(value["o"], width)
        for repeat in range(value["r"] if lite and number in (0, len(stages) - 1) else math.ceil(depth * value["r"])):
            found.append(
                Block(
                    index=len(found),
                    kernel=value["k"],
                    stride=1 if repeat else value["s"],
                    expands=value["e"] != 1,
                    fused="_c1" in stage,
                    skip="noskip" not in stage,
                    in_channels=in_channels,
                    expanded=in_channels if value["e"] == 1 else (out_channels if repeat else inputs) * value["e"],
                    out_channels=out_channels,
                    reduced=0 if lite or edgetpu else in_channels // 4,
                    experts=int(experts[1]) if condconv else 0,
                    routed=next(routed) if condconv else 0,
                )
            )
            in_channels = out_channels
    return found


def block_layers(block):
    """Return {layer: its variables}; calls of one kind are numbered in call order within each block."""
    scope = f"blocks_{block.index}/"
    conv, norm = numbered(scope + "conv2d"), numbered(scope + "tpu_batch_normalization")
    in_channels, expanded, out_channels, experts = block.in_channels, block.expanded, block.out_channels, block.experts
    layers = {}
    if block.expands:
        layers["expand"] = Layer(next(conv), "conv", in_channels, expanded, block.kernel if block.fused else 1)
        layers["expand_norm"] = Layer(next(norm), "norm", expanded, expanded)
    if not block.fused:
        layers["depthwise"] = Layer(scope + "depthwise_conv2d", "depthwise", expanded, expanded, block.kernel)
        layers["depthwise_norm"] = Layer(next(norm), "norm", expanded, expanded)
    if block.reduced:
        layers["se_reduce"] = Layer(scope + "se/conv2d", "biased", expanded, block.reduced)
        layers["se_expand"] = Layer(scope + "se/conv2d_1", "biased", block.reduced, expanded)
    layers["project"] = Layer(next(conv), "conv", expanded, out_channels)
    layers["project_norm"] = Layer(next(norm), "norm", out_channels, out_channels)
    if experts:
        # Experts have their own scope and are numbered through the whole graph; each block's first number belongs to a
        # fused convolution that is created but never called.
        own, number = "model/" + scope, block.routed
        depthwise = own + "depthwise_cond_conv2d" + (f"_{number}" if number else "")
        layers["routing"] = Layer(scope + "dense", "dense", in_channels, experts)
        layers["expand"] = Layer(
            own + "cond_conv2d_%s" % (3 * number + 1), "experts", in_channels, expanded, 1, experts
        )
        layers["depthwise"] = Layer(depthwise, "depthwise_experts", expanded, expanded, block.kernel, experts)
        layers["project"] = Layer(
            own + "cond_conv2d_%s" % (3 * number + 2), "experts", expanded, out_channels, 1, experts
        )
    return layers


def end_layers(name, classes, head_conv=True, channels=3):
    """Return {layer: its variables} of stem and head; 0 classes means no classifier."""
    width, last = 1.0 if "lite" in name else SCALES[name][0], blocks(name)[-1].out_channels
    stem, head = round_filters(STEM, width), round_filters(HEAD, width)
    layers = {"stem": Layer("stem/conv2d", "conv", channels, stem, 3)}
    layers["stem_norm"] = Layer("stem/tpu_batch_normalization", "norm", stem, stem)
    if head_conv:
        layers["head"] = Layer("head/conv2d", "conv", last, head)
        layers["head_norm"] = Layer("head/tpu_batch_normalization", "norm", head, head)
    if classes:
        layers["classifier"] = Layer("head/dense", "dense", head, classes)
    return layers


def variables_of(layer):
    """Return {variable: shape} of a layer."""
    size, inputs, outputs = layer.kernel, layer.in_channels, layer.out_channels
    shapes = {
        "conv": {"kernel": (size, size, inputs, outputs)},
        "biased": {"kernel": (size, size, inputs, outputs), "bias": (outputs,)},
        "depthwise": {"depthwise_kernel": (size, size, outputs, 1)},
        "dense": {"kernel": (inputs, outputs), "bias": (outputs,)},
        "norm": dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (outputs,)),
        "experts": {"condconv_kernel": (layer.experts, size * size * inputs * outputs)},
        "depthwise_experts": {"depthwise_condconv_kernel": (layer.experts, size * size * outputs)},
    }
    return {f"{layer.scope}/{leaf}": shape for leaf, shape in shapes[layer.kind].items()}


def variables(name, classes, head_conv=True, channels=3):
    """Return {variable: shape} of the network, with names without its scope."""
    groups = [end_layers(name, classes, head_conv, channels)] + [block_layers(block) for block in blocks(name)]
    return {key: shape for group in groups for layer in group.values() for key, shape in variables_of(layer).items()}


def numbered(name):
    """Yield `name`, `name`_1, `name`_2 and so on."""
    yield name
    for number in count(1):
        yield f"{name}_{number}"
