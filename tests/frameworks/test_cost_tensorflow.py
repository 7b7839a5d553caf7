"""TensorFlow's profiler counts each operation as in the convention named after it."""

from collections.abc import Callable

import pytest
import tensorflow as tf

from effconvert.costs.conventions import CONVENTIONS

v1 = tf.compat.v1
SHAPE = (1, 10, 10, 7)
VALUES = 700


def constant(*shape: int) -> tf.Tensor:
    return tf.constant(1.0, shape=shape)


def normalised(x: tf.Tensor) -> tf.Tensor:
    return v1.nn.fused_batch_norm(x, *[constant(7)] * 4, is_training=False)[0]


OPERATIONS = {
    "convolution": (lambda x: tf.nn.conv2d(x, constant(3, 3, 7, 5), 1, "SAME"), 100 * 5 * 9 * 7),
    "strided": (lambda x: tf.nn.depthwise_conv2d(x, constant(3, 3, 7, 1), [1, 2, 2, 1], "SAME"), 25 * 7 * 9),
    "classifier": (lambda x: tf.reshape(x, (1, VALUES)) @ constant(VALUES, 3), VALUES * 3),
    "gate_biases": (lambda x: tf.nn.bias_add(x, constant(7)), VALUES),
    "swish": (lambda x: x * tf.sigmoid(x), VALUES),
    "gating": (lambda x: x * constant(1, 1, 1, 7), VALUES),
    "residual": (lambda x: x + x, VALUES),
    "pooling": (lambda x: tf.reduce_mean(x, (1, 2)), VALUES),
    "batch_norm": (normalised, VALUES),
}


@pytest.mark.parametrize(("quantity", "operation", "amount"), [(name, *case) for name, case in OPERATIONS.items()])
def test_the_profiler_counts_as_the_convention_does(
    quantity: str, operation: Callable[[tf.Tensor], tf.Tensor], amount: int
) -> None:
    with tf.Graph().as_default() as graph:
        operation(v1.placeholder(tf.float32, SHAPE))
        options = v1.profiler.ProfileOptionBuilder(v1.profiler.ProfileOptionBuilder.float_operation())
        counted = v1.profiler.profile(graph, options=options.with_empty_output().build()).total_float_ops
    assert counted == 2 * CONVENTIONS["tensorflow-profile"].weights.get(quantity, 0) * amount
