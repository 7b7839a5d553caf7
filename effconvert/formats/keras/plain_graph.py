"""Simplified graphs of Keras models: networks with the same function, but other layers, become equal."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from effconvert.formats.keras.graph import Call, Graph

WEIGHTED = ("Conv2D", "DepthwiseConv2D", "BatchNormalization", "Dense")
POOLING = "GlobalAveragePooling2D"
ACTIVATION = "Activation"

# Layers with an effect only in training. FixedDropout is a layer of the package `efficientnet` for Keras.
_INERT = re.compile(
    "Dropout|SpatialDropout2D|AlphaDropout|Gaussian(Dropout|Noise)|ActivityRegularization|Identity|(.*>)?FixedDropout"
)
# Augmentation, only in training. Keras 3 records each as called in training, which is their default.
_AUGMENTING = re.compile("Random(?!Crop)[A-Z][A-Za-z]+|AugMix|RandAugment|MixUp|CutMix")
_NORM = re.compile("(Sync|Tpu)?BatchNormalization(V[12])?")
# Layers that do not change the values of one vector for each image.
_SHAPING = ("Reshape", "Flatten")
_VECTORS = ("GlobalAveragePooling2D", "GlobalMaxPooling2D", "Dense")
_FUNCTIONS = {"Silu": "silu", "Sigmoid": "sigmoid", "Relu": "relu", "Relu6": "relu6", "Swish": "silu"}


def simplify_graph(graph: Graph) -> Graph:
    """Return `graph` without layers that have no effect in inference, and with each activation as a separate call.

    Dropout, noise and augmentation, the inputs of nested models, linear activations, and reshapes of a pooled vector
    are left out. A layer that is called as in training stays, except augmentation. A convolution includes the
    ZeroPadding2D before it: its setting `pads` is ((above, below), (left, right)), or `same` for TensorFlow's padding.
    """
    made: dict[Call, Call] = {}
    calls: list[Call] = []
    vectors: set[Call] = set()
    for call in graph.calls:
        inputs = tuple(made[before] for before in call.inputs)
        if _does_nothing(call) or (call.kind in _SHAPING and set(inputs) <= vectors):
            made[call] = inputs[0]
            continue
        kind = "BatchNormalization" if _NORM.fullmatch(call.kind) else call.kind
        activation = activation_of(kind, call.settings)
        plain = replace(call, kind=ACTIVATION if activation and kind not in WEIGHTED else kind, inputs=inputs)
        if plain.kind == ACTIVATION:
            plain = replace(plain, settings={"activation": activation})
        elif kind in ("Conv2D", "DepthwiseConv2D"):
            plain = _padded(plain)
        calls.append(plain)
        if kind in WEIGHTED and activation not in ("", "linear"):
            plain = replace(plain, kind=ACTIVATION, settings={"activation": activation}, inputs=(plain,))
            calls.append(plain)
        if kind in _VECTORS or (plain.kind == ACTIVATION and set(inputs) <= vectors):
            vectors.add(plain)
        made[call] = plain
    return Graph(tuple(calls), tuple(made[call] for call in graph.outputs))


def is_inert(kind: str) -> bool:
    """Return whether a layer of the class `kind`, in upper or lower case, has an effect only in training."""
    return any(re.fullmatch(inert.pattern, kind, re.IGNORECASE) for inert in (_INERT, _AUGMENTING))


def activation_of(kind: str, settings: Mapping[str, Any]) -> str:
    """Return Keras's name of the activation in a layer of the class `kind`; "" if there is none."""
    if kind == "ReLU":
        plain = not settings.get("negative_slope") and not settings.get("threshold")
        return {"None": "relu", "6.0": "relu6", "6": "relu6"}.get(str(settings.get("max_value")) if plain else "", kind)
    if kind == "Softmax":
        return "softmax" if settings.get("axis", -1) in (-1, [-1]) else ""
    if kind in (ACTIVATION, "Conv2D", "DepthwiseConv2D", "Dense"):
        found = settings.get("activation", "linear")
        if isinstance(found, dict) and str(found.get("module")).startswith("keras"):
            found = found.get("config")
        found = "linear" if found is None and kind != ACTIVATION else found
        return {"swish": "silu"}.get(found, found) if isinstance(found, str) else str(found)[:60]
    return _FUNCTIONS.get(kind, "")


def _does_nothing(call: Call) -> bool:
    if len(call.inputs) != 1 or call.further:
        return False
    if _AUGMENTING.fullmatch(call.kind):
        return True
    if _INERT.fullmatch(call.kind):
        return not call.training
    linear = call.kind == ACTIVATION and activation_of(ACTIVATION, call.settings) == "linear"
    return linear or call.kind == "InputLayer"


def _padded(conv: Call) -> Call:
    """Return a convolution with its padding, from its own setting or from a layer before it."""
    settings, inputs = dict(conv.settings), conv.inputs
    padding, kernel, strides = (settings.get(key) for key in ("padding", "kernel_size", "strides"))
    pads: Any = ((0, 0), (0, 0)) if padding == "valid" else padding
    if padding == "valid" and len(inputs) == 1 and inputs[0].kind == "ZeroPadding2D":
        pads, inputs = pairs(inputs[0].settings.get("padding")), inputs[0].inputs
    elif padding == "same" and strides == [1, 1] and isinstance(kernel, list) and all(map(_is_odd, kernel)):
        pads = tuple((size // 2, size // 2) for size in kernel)
    return replace(conv, settings={**settings, "pads": pads}, inputs=inputs)


def pairs(padding: Any) -> Any:
    """Return a padding in any form of Keras as ((above, below), (left, right))."""
    both = [padding, padding] if isinstance(padding, int) else padding
    if not isinstance(both, list) or len(both) != 2 or not all(isinstance(side, int | list) for side in both):
        return padding
    return tuple((side, side) if isinstance(side, int) else tuple(side) for side in both)


def _is_odd(value: Any) -> bool:
    return isinstance(value, int) and value % 2 == 1
