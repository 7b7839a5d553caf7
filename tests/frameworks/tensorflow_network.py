"""The official EfficientNets written once more, from TensorFlow's own operations: what effconvert is held against.

Shares no code with effconvert. It reads a checkpoint by the official names and computes as the official graph does in
evaluation. Source: tensorflow/tpu, models/official/efficientnet, revision 7dc921f.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import tensorflow as tf

AVERAGE = "/ExponentialMovingAverage"
_EPSILON = 1e-3

# The builder's own notation: repeats, kernel, stride, expansion; `c1` is a fused block, `cc` a CondConv one.
_MOBILE = "r1_k3_s1_e1 r2_k3_s2_e6 r2_k5_s2_e6 r3_k3_s2_e6 r3_k5_s1_e6 r4_k5_s2_e6 r1_k3_s1_e6"
_ROUTED = "r1_k3_s1_e1 r2_k3_s2_e6 r2_k5_s2_e6 r3_k3_s2_e6 r3_k5_s1_e6_cc r4_k5_s2_e6_cc r1_k3_s1_e6_cc"
_EDGETPU = "r1_k3_s1_e4_c1_noskip r2_k3_s2_e8_c1 r4_k3_s2_e8_c1 r5_k5_s2_e8 r4_k5_s1_e8 r2_k5_s2_e8"

_DEPTHS = {
    **dict(zip([f"b{number}" for number in range(9)], [1.0, 1.1, 1.2, 1.4, 1.8, 2.2, 2.6, 3.1, 3.6], strict=True)),
    **dict.fromkeys(["condconv-b0-4e", "condconv-b0-8e", "edgetpu-S", "lite0"], 1.0),
    **dict.fromkeys(["condconv-b0-8e-depth", "edgetpu-M", "lite1"], 1.1),
    **dict.fromkeys(["edgetpu-L", "lite3"], 1.4),
    "lite2": 1.2,
    "lite4": 1.8,
    "l2": 5.3,
}
MODELS = tuple(f"efficientnet-{name}" for name in _DEPTHS)


@dataclass(frozen=True)
class Block:
    """One block; `routed` counts the CondConv blocks before it, and is None where it is not one."""

    index: int
    kernel: int
    stride: int
    expanded: bool
    fused: bool
    skip: bool
    squeezed: bool
    routed: int | None


def blocks(model: str) -> list[Block]:
    """Return the blocks of `model`, for instance `efficientnet-edgetpu-S`."""
    lite, edgetpu = "lite" in model, "edgetpu" in model
    stages = (_EDGETPU if edgetpu else _ROUTED if "condconv" in model else _MOBILE).split()
    found: list[Block] = []
    routed = count()
    for number, stage in enumerate(stages):
        value = {letter: int(digits) for letter, digits in re.findall(r"([rkse])(\d+)", stage)}
        depth = 1 if lite and number in (0, len(stages) - 1) else _DEPTHS[model.removeprefix("efficientnet-")]
        for repeat in range(math.ceil(depth * value["r"])):
            found.append(
                Block(
                    index=len(found),
                    kernel=value["k"],
                    stride=value["s"] if repeat == 0 else 1,
                    expanded=value["e"] != 1,
                    fused="_c1" in stage,
                    skip="noskip" not in stage,
                    squeezed=not (lite or edgetpu),
                    routed=next(routed) if "_cc" in stage else None,
                )
            )
    return found


def block_layers(model: str, block: Block) -> dict[str, str]:
    """Return {layer: the scope of its variables}; calls of one kind are numbered in call order, in each block anew."""
    scope = f"{model}/blocks_{block.index}"
    convs, norms = _numbered(f"{scope}/conv2d"), _numbered(f"{scope}/tpu_batch_normalization")
    layers = {}
    if block.expanded:
        layers |= {"expand": next(convs), "expand_norm": next(norms)}
    if not block.fused:
        layers |= {"depthwise": f"{scope}/depthwise_conv2d", "depthwise_norm": next(norms)}
    if block.squeezed:
        layers |= {"se_reduce": f"{scope}/se/conv2d", "se_expand": f"{scope}/se/conv2d_1"}
    layers |= {"project": next(convs), "project_norm": next(norms)}
    if block.routed is not None:
        # Experts stand under a scope of their own and are numbered through the whole graph; each block's first number
        # is drawn by a fused convolution that is never called.
        experts, number = f"{model}/model/blocks_{block.index}", block.routed
        layers |= {
            "routing": f"{scope}/dense",
            "expand": f"{experts}/cond_conv2d_{3 * number + 1}",
            "depthwise": f"{experts}/depthwise_cond_conv2d" + (f"_{number}" if number else ""),
            "project": f"{experts}/cond_conv2d_{3 * number + 2}",
        }
    return layers


def end_layers(model: str) -> dict[str, str]:
    """Return {layer: the scope of its variables} of the stem and the head."""
    return {
        "stem": f"{model}/stem/conv2d",
        "stem_norm": f"{model}/stem/tpu_batch_normalization",
        "head": f"{model}/head/conv2d",
        "head_norm": f"{model}/head/tpu_batch_normalization",
        "classifier": f"{model}/head/dense",
    }


def variables_of(layer: str, scope: str) -> list[str]:
    """Return the names of the variables that the layer `layer` has under `scope`."""
    if layer.endswith("_norm"):
        leaves = ["gamma", "beta", "moving_mean", "moving_variance"]
    elif layer in ("routing", "classifier", "se_reduce", "se_expand"):
        leaves = ["kernel", "bias"]
    elif "cond_conv2d" in scope:
        leaves = ["depthwise_condconv_kernel" if layer == "depthwise" else "condconv_kernel"]
    else:
        leaves = ["depthwise_kernel" if layer == "depthwise" else "kernel"]
    return [f"{scope}/{leaf}" for leaf in leaves]


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(1):
        yield f"{name}_{number}"


class OfficialNetwork:
    """The network `model` with the weights of a checkpoint.

    average: the averages, else the raw weights. fused_stride: `project` as the official code was until 2020-12-27,
    `expand` as it is since. dtype: what the weights are cast to and everything is computed in.
    """

    def __init__(
        self,
        checkpoint: Path | str,
        model: str,
        *,
        average: bool = True,
        fused_stride: str = "project",
        dtype: tf.DType = tf.float32,
    ) -> None:
        self.reader = tf.train.load_checkpoint(str(checkpoint))
        self.model, self.average, self.fused_stride, self.dtype = model, average, fused_stride, dtype
        self.activation = tf.nn.relu6 if "lite" in model else tf.nn.relu if "edgetpu" in model else tf.nn.silu

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return {endpoint: value} for `images` [N, H, W, 3], every map as [N, H, W, C].

        The endpoints are stem, block_<i>, head_1x1, pooled_features [N, C] and logits [N, classes].
        """
        layers = end_layers(self.model)
        x = self._convolve(tf.cast(images, self.dtype), layers["stem"], stride=2)
        x = self.activation(self._normalise(x, layers["stem_norm"]))
        ends = {"stem": x}
        for block in blocks(self.model):
            x = ends[f"block_{block.index}"] = self._block(x, block)
        x = self.activation(self._normalise(self._convolve(x, layers["head"]), layers["head_norm"]))
        pooled = tf.reduce_mean(x, axis=(1, 2))
        ends |= {"head_1x1": x, "pooled_features": pooled, "logits": self._dense(pooled, layers["classifier"])}
        return {name: value.numpy() for name, value in ends.items()}

    def _block(self, entering: tf.Tensor, block: Block) -> tf.Tensor:
        layers = block_layers(self.model, block)
        if block.routed is not None:
            return self._routed_block(entering, block, layers)
        x = entering
        expand_stride = project_stride = 1
        if block.fused:
            at_expand = self.fused_stride == "expand"
            expand_stride, project_stride = (block.stride, 1) if at_expand else (1, block.stride)
        if block.expanded:
            x = self._convolve(x, layers["expand"], stride=expand_stride)
            x = self.activation(self._normalise(x, layers["expand_norm"]))
        if not block.fused:
            kernel = self._variable(layers["depthwise"], "depthwise_kernel")
            x = tf.nn.depthwise_conv2d(x, kernel, [1, block.stride, block.stride, 1], "SAME")
            x = self.activation(self._normalise(x, layers["depthwise_norm"]))
        if block.squeezed:
            x = self._squeeze_and_excite(x, layers)
        x = self._normalise(self._convolve(x, layers["project"], stride=project_stride), layers["project_norm"])
        return self._add(entering, x, block)

    def _routed_block(self, entering: tf.Tensor, block: Block, layers: dict[str, str]) -> tf.Tensor:
        routing = tf.sigmoid(self._dense(tf.reduce_mean(entering, axis=(1, 2)), layers["routing"]))
        x = self._convolve_each(entering, routing, layers["expand"], 1)
        x = self.activation(self._normalise(x, layers["expand_norm"]))
        x = self._convolve_each(x, routing, layers["depthwise"], block.kernel, block.stride, depthwise=True)
        x = self.activation(self._normalise(x, layers["depthwise_norm"]))
        x = self._squeeze_and_excite(x, layers)
        x = self._normalise(self._convolve_each(x, routing, layers["project"], 1), layers["project_norm"])
        return self._add(entering, x, block)

    def _add(self, entering: tf.Tensor, leaving: tf.Tensor, block: Block) -> tf.Tensor:
        same = block.stride == 1 and entering.shape[3] == leaving.shape[3]
        return entering + leaving if block.skip and same else leaving

    def _squeeze_and_excite(self, x: tf.Tensor, layers: dict[str, str]) -> tf.Tensor:
        gates = tf.reduce_mean(x, axis=(1, 2), keepdims=True)
        gates = self.activation(
            self._convolve(gates, layers["se_reduce"]) + self._variable(layers["se_reduce"], "bias")
        )
        gates = self._convolve(gates, layers["se_expand"]) + self._variable(layers["se_expand"], "bias")
        return x * tf.sigmoid(gates)

    def _convolve(self, x: tf.Tensor, scope: str, stride: int = 1) -> tf.Tensor:
        return tf.nn.conv2d(x, self._variable(scope, "kernel"), stride, "SAME")

    def _convolve_each(
        self, x: tf.Tensor, routing: tf.Tensor, scope: str, size: int, stride: int = 1, *, depthwise: bool = False
    ) -> tf.Tensor:
        """Convolve each image with its own mixture of the experts [experts, flattened kernel]."""
        experts = self._variable(scope, "depthwise_condconv_kernel" if depthwise else "condconv_kernel")
        results = []
        for image, mixture in zip(tf.split(x, x.shape[0]), tf.split(routing, x.shape[0]), strict=True):
            kernel = tf.reshape(tf.matmul(mixture, experts), (size, size, x.shape[3], 1 if depthwise else -1))
            if depthwise:
                results.append(tf.nn.depthwise_conv2d(image, kernel, [1, stride, stride, 1], "SAME"))
            else:
                results.append(tf.nn.conv2d(image, kernel, stride, "SAME"))
        return tf.concat(results, axis=0)

    def _normalise(self, x: tf.Tensor, scope: str) -> tf.Tensor:
        names = ("moving_mean", "moving_variance", "beta", "gamma")
        return tf.nn.batch_normalization(x, *(self._variable(scope, name) for name in names), _EPSILON)

    def _dense(self, x: tf.Tensor, scope: str) -> tf.Tensor:
        return tf.matmul(x, self._variable(scope, "kernel")) + self._variable(scope, "bias")

    def _variable(self, scope: str, leaf: str) -> tf.Tensor:
        value = self.reader.get_tensor(f"{scope}/{leaf}" + (AVERAGE if self.average else ""))
        return tf.cast(value, self.dtype)
