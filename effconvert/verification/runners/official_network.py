"""Official EfficientNet in TensorFlow's own operations, for evaluation with given weights.

The code of the official graph is not on a package index, so the network is reimplemented here. Source: tensorflow/tpu,
models/official/efficientnet, revision 7dc921f.
"""

from .official_variables import activation_of, block_layers, blocks, end_layers, variables_of
from .tensorflow_base import channels_first, channels_last

EPSILON = 1e-3


class OfficialNetwork:
    """The network with given weights, computed in their dtype.

    values: {variable: array}, with names without the scope. fused_stride: `project` as in the official code until
    2020-12-27, `expand` as in the code since then.
    """

    def __init__(self, name, values, fused_stride="project"):
        import tensorflow as tf

        self.name, self.fused_stride = name, fused_stride
        self.values = {variable: tf.constant(value) for variable, value in values.items()}
        self.activation = getattr(tf.nn, activation_of(name))

    def __call__(self, images, feed=None):
        """Return {layer: array} for images [N, C, H, W]; a layer in `feed` gets that array as its input.

        Feature maps are [N, C, H, W] outside, [N, H, W, C] inside.
        """
        import tensorflow as tf

        x = tf.constant(channels_last(images))
        outputs = {}
        for layer, step in self.steps():
            if feed and layer in feed:
                x = tf.constant(channels_last(feed[layer]))
            x = step(x)
            outputs[layer] = channels_first(x.numpy())
        return outputs

    def steps(self):
        """Return [(layer, function from its input to its output)]."""
        import tensorflow as tf

        layers = end_layers(self.name, "head/dense/kernel" in self.values)
        steps = [("stem", lambda x: self.activated(self.convolved(x, layers["stem"], 2), layers["stem_norm"]))]
        for block in blocks(self.name):
            steps.append((f"blocks.{block.index}", lambda x, block=block: self.block(x, block)))
        if "head/conv2d/kernel" in self.values:
            steps.append(("head", lambda x: self.activated(self.convolved(x, layers["head"]), layers["head_norm"])))
            steps.append(("pooled", lambda x: tf.reduce_mean(x, axis=(1, 2))))
        if "classifier" in layers:
            steps.append(("logits", lambda x: self.dense(x, layers["classifier"])))
        return steps

    def block(self, inputs, block):
        """Return the output of the block."""
        import tensorflow as tf

        layers = block_layers(block)
        on_expand = block.fused and self.fused_stride == "expand"
        routing = None
        if block.experts:
            routing = tf.sigmoid(self.dense(tf.reduce_mean(inputs, axis=(1, 2)), layers["routing"]))
        x = inputs
        if block.expands:
            x = self.convolved(x, layers["expand"], block.stride if on_expand else 1, routing)
            x = self.activated(x, layers["expand_norm"])
        if not block.fused:
            x = self.activated(self.convolved(x, layers["depthwise"], block.stride, routing), layers["depthwise_norm"])
        if block.reduced:
            x = x * self.gates(x, layers)
        x = self.convolved(x, layers["project"], block.stride if block.fused and not on_expand else 1, routing)
        x = self.normalised(x, layers["project_norm"])
        residual = block.skip and block.stride == 1 and block.in_channels == block.out_channels
        return x + inputs if residual else x

    def gates(self, x, layers):
        """Return the gates of squeeze-and-excite [N, 1, 1, C]."""
        import tensorflow as tf

        reduced = self.biased(tf.reduce_mean(x, axis=(1, 2), keepdims=True), layers["se_reduce"])
        return tf.sigmoid(self.biased(self.activation(reduced), layers["se_expand"]))

    def convolved(self, x, layer, stride=1, routing=None):
        """Return the convolution; `routing` [N, experts] mixes the experts into a kernel for each image."""
        import tensorflow as tf

        kernel = self.variables(layer)[0]
        depthwise = layer.kind.startswith("depthwise")
        convolve = tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d
        strides = [1, stride, stride, 1]
        if routing is None:
            return convolve(x, kernel, strides, "SAME")
        shape = (layer.kernel, layer.kernel, layer.in_channels, 1 if depthwise else layer.out_channels)
        each = zip(tf.split(x, len(x)), tf.split(routing, len(x)))
        return tf.concat([convolve(i, tf.reshape(tf.matmul(r, kernel), shape), strides, "SAME") for i, r in each], 0)

    def biased(self, x, layer):
        """Return the convolution with its bias."""
        return self.convolved(x, layer) + self.variables(layer)[1]

    def activated(self, x, norm):
        """Return BatchNorm and activation of `x`."""
        return self.activation(self.normalised(x, norm))

    def normalised(self, x, norm):
        """Return BatchNorm of `x` with the moving statistics."""
        import tensorflow as tf

        gamma, beta, mean, variance = self.variables(norm)
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, EPSILON)

    def dense(self, x, layer):
        """Return the dense layer applied to [N, C]."""
        import tensorflow as tf

        kernel, bias = self.variables(layer)
        return tf.matmul(x, kernel) + bias

    def variables(self, layer):
        """Return the values of a layer's variables."""
        return [self.values[name] for name in variables_of(layer)]
