"""The configuration of keras.applications' EfficientNets: the graph in a `.keras` file, layer by layer.

Source: keras/src/applications/efficientnet.py (Keras 3.15). Values for training only are left out: Keras has defaults.
"""

import math
from collections.abc import Iterable
from typing import Any

from effconvert.architecture.variants import Block, Variant, blocks, head_channels, stem_channels

CONFIG_RECORD, WEIGHTS_RECORD = "config.json", "model.weights.h5"  # of a .keras file
KERAS, KERAS_IMAGENET = "keras", "keras-imagenet"
# What the published files hold as the variance. keras.applications divides by its root once more when it builds the
# network for them, and so by the standard deviation after all (https://github.com/tensorflow/tensorflow/issues/49930).
IMAGENET_STD = (0.229, 0.224, 0.225)

_EPS, _MOMENTUM = 1e-3, 0.99
_DROP_CONNECT = 0.2

Layer = dict[str, Any]
Shape = list[int | None]


def model_config(variant: Variant, classes: int, topology: str, in_channels: int = 3) -> dict[str, Any]:
    """Return a loadable `config.json` of `variant`: its input has the variant's resolution in pixels.

    classes: 0 for a network without a classifier, which ends after the last activation. topology: `keras`, or
    `keras-imagenet` with the second Rescaling.
    """
    graph = _Graph(variant.resolution, in_channels)
    graph.stem(variant, topology)
    table = blocks(variant)
    for block in table:
        graph.block(block, _DROP_CONNECT * block.index / len(table))
    graph.head(variant, classes)
    name = f"efficientnet{variant.name}"
    ends = {"input_layers": [["input_layer", 0, 0]], "output_layers": [[graph.last, 0, 0]]}
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {"name": name, "trainable": True, "layers": graph.layers, **ends},
        "registered_name": "Functional",
    }


class _Graph:
    """Layers in Keras's order; the input of each is the layer before it, or those that are named.

    size: height and width of the current feature map. shapes: the shape of each layer's output.
    """

    def __init__(self, size: int, in_channels: int) -> None:
        self.size = size
        self.last = "input_layer"
        self.shapes: dict[str, Shape] = {self.last: [None, size, size, in_channels]}
        config = {"batch_shape": self.shapes[self.last], "dtype": "float32"}
        self.layers: list[Layer] = [_layer("InputLayer", self.last, config, [])]

    def add(self, kind: str, name: str, *inputs: str, shape: Shape | None = None, **config: Any) -> None:
        """Add a layer; its output has the shape of its input if no other is given."""
        inputs = inputs or (self.last,)
        self.layers.append(_layer(kind, name, config, [self.node(inputs)]))
        self.shapes[name] = shape or self.shapes[inputs[0]]
        self.last = name

    def node(self, inputs: Iterable[str]) -> dict[str, Any]:
        """Return the call of a layer on the outputs of `inputs`; several are passed as one list."""
        tensors = []
        for name in inputs:
            history = {"shape": self.shapes[name], "dtype": "float32", "keras_history": [name, 0, 0]}
            tensors.append({"class_name": "__keras_tensor__", "config": history})
        return {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}

    def stem(self, variant: Variant, topology: str) -> None:
        self.add("Rescaling", "rescaling", scale=1 / 255, offset=0.0)
        self.add("Normalization", "normalization", axis=[3])
        if topology == KERAS_IMAGENET:
            scale = [1 / math.sqrt(std) for std in IMAGENET_STD]
            self.add("Rescaling", "rescaling_1", scale=scale, offset=0.0)
        self.pad("stem_conv_pad", 3)
        self.conv("stem_conv", stem_channels(variant), kernel_size=[3, 3], strides=[2, 2], padding="valid")
        self.norm("stem_bn", "stem_activation")

    def block(self, block: Block, drop: float) -> None:
        name = f"block{block.stage + 1}{chr(ord('a') + block.repeat)}_"
        entering = self.last
        if block.expanded:
            self.conv(f"{name}expand_conv", block.expanded_channels)
            self.norm(f"{name}expand_bn", f"{name}expand_activation")
        self.depthwise(name, block)
        self.squeeze_and_excite(name, block)
        self.conv(f"{name}project_conv", block.out_channels)
        self.norm(f"{name}project_bn")
        if block.residual:
            if drop:
                self.add("Dropout", f"{name}drop", rate=drop, noise_shape=[None, 1, 1, 1])
            self.add("Add", f"{name}add", self.last, entering)

    def depthwise(self, name: str, block: Block) -> None:
        strided = block.stride == 2
        if strided:
            self.pad(f"{name}dwconv_pad", block.kernel)
        config = {
            "kernel_size": [block.kernel, block.kernel],
            "strides": [block.stride, block.stride],
            "padding": "valid" if strided else "same",
            "depth_multiplier": 1,
            "use_bias": False,
        }
        self.add("DepthwiseConv2D", f"{name}dwconv", shape=self.picture(block.expanded_channels), **config)
        self.norm(f"{name}bn", f"{name}activation")

    def squeeze_and_excite(self, name: str, block: Block) -> None:
        entering, channels = self.last, block.expanded_channels
        self.add("GlobalAveragePooling2D", f"{name}se_squeeze", shape=[None, channels])
        self.add("Reshape", f"{name}se_reshape", shape=[None, 1, 1, channels], target_shape=[1, 1, channels])
        for part, filters, activation in (("reduce", block.se_channels, "silu"), ("expand", channels, "sigmoid")):
            config = {"shape": [None, 1, 1, filters], "use_bias": True, "activation": activation}
            self.conv(f"{name}se_{part}", filters, **config)
        self.add("Multiply", f"{name}se_excite", entering, self.last)

    def head(self, variant: Variant, classes: int) -> None:
        channels = head_channels(variant)
        self.conv("top_conv", channels)
        self.norm("top_bn", "top_activation")
        if classes:
            self.add("GlobalAveragePooling2D", "avg_pool", shape=[None, channels])
            self.add("Dropout", "top_dropout", rate=variant.dropout)
            self.add("Dense", "predictions", shape=[None, classes], units=classes, activation="softmax")

    def picture(self, channels: int) -> Shape:
        """Return the shape of a feature map of the current size."""
        return [None, self.size, self.size, channels]

    def pad(self, name: str, kernel: int) -> None:
        """Pad for a convolution of stride 2, and set the size to that of its output."""
        before, after = kernel // 2 - (1 - self.size % 2), kernel // 2
        padded = self.size + before + after
        shape = [None, padded, padded, self.shapes[self.last][-1]]
        self.add("ZeroPadding2D", name, shape=shape, padding=[[before, after], [before, after]])
        self.size = (self.size + 1) // 2

    def conv(self, name: str, filters: int, **config: Any) -> None:
        plain = {"kernel_size": [1, 1], "strides": [1, 1], "padding": "same", "use_bias": False, "activation": "linear"}
        self.add("Conv2D", name, **{"shape": self.picture(filters), "filters": filters, **plain, **config})

    def norm(self, name: str, activation: str = "") -> None:
        self.add("BatchNormalization", name, axis=3, momentum=_MOMENTUM, epsilon=_EPS)
        if activation:
            self.add("Activation", activation, activation="silu")


def _layer(kind: str, name: str, config: dict[str, Any], nodes: list[Any]) -> Layer:
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, **config},
        "registered_name": None,
        "name": name,
        "inbound_nodes": nodes,
    }
