"""The network as operators of ONNX between named values, from a variant and its facts; no values of weights are needed.

The outputs of layers have the names of `effconvert.model.capture`: stem, blocks.0, …, head, pooled, logits.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from effconvert.architecture.canonical import Shape, tensor_shapes
from effconvert.architecture.facts import Facts
from effconvert.architecture.padding import same_padding
from effconvert.architecture.variants import Block, Variant
from effconvert.graphs.folding import BIAS, WEIGHT

_BN_TENSORS = ("weight", "bias", "running_mean", "running_var")


class Nodes:
    """Nodes of a graph, added in order. parameters: {name: shape} of the values that the weights give.

    size: height and width of the images, None where any; it becomes that of the last feature map. batch: the number of
    images, None where any. folded: each BatchNorm is part of the convolution before it.
    """

    def __init__(self, variant: Variant, facts: Facts, *, size: int | None, batch: int | None, folded: bool) -> None:
        self.facts, self.size, self.batch, self.folded = facts, size, batch, folded
        self.all: list[NodeProto] = []
        self.parameters: dict[str, Shape] = {}
        self._shapes = tensor_shapes(variant, facts)
        self._constants: set[str] = set()

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add an operator with one output, and return the output's name."""
        self.all.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: Any, dtype: type[np.generic] = np.float32) -> str:
        """Add a constant unless it is there, and return its name."""
        if name not in self._constants:
            self._constants.add(name)
            self.add("Constant", [], name, value=numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def given(self, *names: str) -> list[str]:
        """Return canonical `names`, which become parameters."""
        self.parameters |= {name: self._shapes[name] for name in names}
        return list(names)

    def block(self, block: Block, x: str) -> str:
        """Add a block to the value `x`, and return its output."""
        output, given = f"blocks.{block.index}", x
        mixing = self._routing(f"{output}.routing", x, block.experts) if block.experts else None
        main: dict[str, Any] = {"kernel": block.kernel, "stride": block.stride, "padding": self.facts.padding}
        if block.fused and self.facts.fused_stride == "project":
            main["padding"] = "symmetric"  # why: in `effconvert.model.network`
        if block.expanded:
            x = self.layer(f"{output}.expand", x, mixing=mixing, **(main if block.fused else {}))
        if not block.fused:
            x = self.layer(f"{output}.depthwise", x, mixing=mixing, groups=block.expanded_channels, **main)
        if block.se_channels:
            x = self._squeeze_excite(f"{output}.se", x)
        end = f"{output}.projected" if block.residual else output
        x = self.layer(f"{output}.project", x, mixing=mixing, activation="", output=end)
        return self.add("Add", [given, x], output) if block.residual else x

    def layer(
        self,
        layer: str,
        x: str,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        padding: str = "symmetric",
        mixing: "_Mixing | None" = None,
        activation: str | None = None,
        output: str | None = None,
    ) -> str:
        """Add a convolution, its BatchNorm and its activation ("" for none), and return the output."""
        activation = self.facts.activation if activation is None else activation
        output = output or layer
        end = f"{layer}.normalised" if activation else output
        shape = self._shapes[f"{layer}.conv.weight"]
        options: dict[str, Any] = {"kernel_shape": [kernel, kernel], "strides": [stride, stride], "group": groups}
        options |= self._pads(kernel, stride, padding)
        if self.folded:
            weight, bias = layer + WEIGHT, layer + BIAS
            self.parameters |= {weight: shape, bias: self._shapes[f"{layer}.bn.bias"]}
        else:
            (weight,) = self.given(f"{layer}.conv.weight")
        if mixing:
            x = mixing.convolution(self, f"{layer}.conv", x, weight, shape, options)
            if self.folded:
                column = self.constant("column", [-1, 1, 1], np.int64)
                x = self.add("Add", [x, self.add("Reshape", [bias, column], f"{layer}.bias")], end)
        elif self.folded:
            x = self.add("Conv", [x, weight, bias], end, **options)
        else:
            x = self.add("Conv", [x, weight], f"{layer}.conv", **options)
        if not self.folded:
            values = self.given(*(f"{layer}.bn.{tensor}" for tensor in _BN_TENSORS))
            x = self.add("BatchNormalization", [x, *values], end, epsilon=self.facts.bn_eps)
        return self._activated(x, activation, output) if activation else x

    def dense(self, layer: str, x: str, output: str) -> str:
        """Add a dense layer to `x` [N, I], and return its output [N, O]."""
        return self.add("Gemm", [x, *self.given(f"{layer}.weight", f"{layer}.bias")], output, transB=1)

    def averages(self, x: str, output: str) -> str:
        """Add the average of each channel of `x` [N, C, H, W], and return it [N, C]."""
        return self.add("ReduceMean", [x], output, axes=[2, 3], keepdims=0)

    def _pads(self, kernel: int, stride: int, padding: str) -> dict[str, Any]:
        """Return the padding of a convolution as its attributes, and go on to the size of its output."""
        before = after = (kernel - 1) // 2
        if padding == "tf-same" and stride > 1:
            if self.size is None:
                return {"auto_pad": "SAME_UPPER"}  # TensorFlow's formula; an odd pixel comes after
            before, after = same_padding(self.size, kernel, stride)
        if self.size is not None:
            self.size = -(-self.size // stride)
        return {"pads": [before, before, after, after]}

    def _activated(self, x: str, activation: str, output: str) -> str:
        if activation == "silu":  # two operators: every runtime fuses them, and few know the newer Swish
            return self.add("Mul", [x, self.add("Sigmoid", [x], f"{output}.sigmoid")], output)
        if activation == "relu6":
            return self.add("Clip", [x, self.constant("zero", 0), self.constant("six", 6)], output)
        return self.add({"relu": "Relu", "hswish": "HardSwish"}[activation], [x], output)

    def _squeeze_excite(self, layer: str, x: str) -> str:
        squeezed = self.add("GlobalAveragePool", [x], f"{layer}.squeezed")
        reduced = self._biased(f"{layer}.reduce", squeezed)
        expanded = self._biased(f"{layer}.expand", self._activated(reduced, self.facts.activation, f"{layer}.reduced"))
        return self.add("Mul", [x, self.add("Sigmoid", [expanded], f"{layer}.gates")], layer)

    def _biased(self, layer: str, x: str) -> str:
        return self.add("Conv", [x, *self.given(f"{layer}.weight", f"{layer}.bias")], layer, kernel_shape=[1, 1])

    def _routing(self, layer: str, x: str, experts: int) -> "_Mixing":
        """Add the weights [N, experts] of the experts for each image."""
        dense = self.dense(layer, self.averages(x, f"{layer}.pooled"), f"{layer}.dense")
        return _Mixing(self, self.add("Sigmoid", [dense], layer), experts)


class _Mixing:
    """CondConv: a convolution of each image with its own mixture of kernels [experts, O, I, k, k].

    With a known number of images, their kernels are mixed, and the images are groups of one convolution. With any
    number, which no attribute of ONNX can follow, each expert convolves, and its outputs are weighted and added: as
    convolutions are linear, the same.
    """

    def __init__(self, nodes: Nodes, routing: str, experts: int) -> None:
        self._routing = routing  # [N, experts]
        self._shares = [f"{routing}.{expert}" for expert in range(experts)] if nodes.batch is None else []
        if self._shares:
            axes = nodes.constant("image_axes", [2, 3], np.int64)
            column = nodes.add("Unsqueeze", [routing, axes], f"{routing}.column")
            nodes.all.append(helper.make_node("Split", [column], self._shares, name=f"{routing}.shares", axis=1))

    def convolution(self, nodes: Nodes, layer: str, x: str, weight: str, shape: Shape, options: dict[str, Any]) -> str:
        """Add the convolution, and return its output [N, O, H, W]."""
        experts, channels, *kernel = shape
        if self._shares:
            weighted = []
            for expert, share in enumerate(self._shares):
                index = nodes.constant(f"expert.{expert}", expert, np.int64)
                own = nodes.add("Gather", [weight, index], f"{layer}.weight.{expert}", axis=0)
                output = nodes.add("Conv", [x, own], f"{layer}.{expert}", **options)
                weighted.append(nodes.add("Mul", [output, share], f"{layer}.share.{expert}"))
            return nodes.add("Sum", weighted, layer)
        count = nodes.batch or 1
        rows = nodes.constant(f"{layer}.rows", [experts, -1], np.int64)
        mixed = nodes.add(
            "MatMul", [self._routing, nodes.add("Reshape", [weight, rows], f"{layer}.experts")], f"{layer}.mixed"
        )
        own_shape = nodes.constant(f"{layer}.shape", [count * channels, *kernel], np.int64)
        own = nodes.add("Reshape", [mixed, own_shape], f"{layer}.kernels")
        if count == 1:
            return nodes.add("Conv", [x, own], layer, **options)
        # In a Reshape, 0 is the size that the axis has.
        side_by_side = nodes.constant(f"{layer}.groups", [1, options["group"] * kernel[0] * count, 0, 0], np.int64)
        x = nodes.add("Reshape", [x, side_by_side], f"{layer}.images")
        x = nodes.add("Conv", [x, own], f"{layer}.together", **options | {"group": options["group"] * count})
        return nodes.add("Reshape", [x, nodes.constant(f"{layer}.apart", [count, channels, 0, 0], np.int64)], layer)
