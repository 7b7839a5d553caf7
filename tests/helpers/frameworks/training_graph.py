"""A training graph as in the official code: variables, averages, RMSProp and a step, all TensorFlow's own."""

from pathlib import Path

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1

_STATISTICS = ("moving_mean", "moving_variance")


def declare(shapes: dict[str, tuple[int, ...]]) -> list[tf.Variable]:
    """Declare a variable of each name in the default graph; moving statistics are not trainable."""
    return [
        v1.get_variable(
            name,
            shape,
            trainable=not name.endswith(_STATISTICS),
            initializer=v1.random_uniform_initializer(0.1, 1.0, seed=number),
            use_resource=False,
        )
        for number, (name, shape) in enumerate(shapes.items())
    ]


def train_and_save(
    folder: Path, shapes: dict[str, tuple[int, ...]], version: int = v1.train.SaverDef.V2
) -> dict[str, np.ndarray]:
    """Train one step and have TensorFlow's Saver write everything to `folder`; return {name: value} of what was saved.

    Beside the variables there are their averages, RMSProp's slots and `global_step`.
    """
    with tf.Graph().as_default(), v1.Session() as session:
        variables = declare(shapes)
        step = v1.train.get_or_create_global_step()
        loss = tf.add_n([tf.reduce_sum(variable**2) for variable in v1.trainable_variables()])
        train = v1.train.RMSPropOptimizer(0.01, 0.9, 0.9, 1e-3).minimize(loss, step)
        average = tf.train.ExponentialMovingAverage(0.9).apply(variables)
        session.run(v1.variables_initializer(variables))  # first, as an average begins with the value of its variable
        others = [variable for variable in v1.global_variables() if variable.op.name not in shapes]
        session.run(v1.variables_initializer(others))
        session.run(train)
        session.run(average)
        v1.train.Saver(write_version=version).save(session, str(folder / "model.ckpt"))
        held = session.run({variable.op.name: variable for variable in v1.global_variables()})
        return {name: np.asarray(value) for name, value in held.items()}


def restored_averages(folder: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Restore the latest checkpoint of `folder` as the official evaluation does; return {raw name: its value then}.

    The Saver gets TensorFlow's own mapping from the averages' names to the variables.
    """
    with tf.Graph().as_default(), v1.Session() as session:
        variables = declare(shapes)
        step = v1.train.get_or_create_global_step()
        average = tf.train.ExponentialMovingAverage(0.9999)
        mapping = {average.average_name(variable): variable for variable in variables}
        v1.train.Saver({**mapping, "global_step": step}).restore(session, tf.train.latest_checkpoint(str(folder)))
        return dict(zip(shapes, session.run(variables), strict=True))


def restored(folder: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Restore the latest checkpoint of `folder` by the variables' own names; return {name: value}."""
    with tf.Graph().as_default(), v1.Session() as session:
        variables = declare(shapes)
        v1.train.Saver(variables).restore(session, tf.train.latest_checkpoint(str(folder)))
        return dict(zip(shapes, session.run(variables), strict=True))


def export_saved_model(folder: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Export a SavedModel with these variables as the official exporter does; return {name: value}."""
    with tf.Graph().as_default(), v1.Session() as session:
        variables = declare(shapes)
        session.run(v1.global_variables_initializer())
        images = v1.placeholder(tf.float32, [None, 8], "images")
        v1.saved_model.simple_save(session, str(folder), {"input": images}, {"output": tf.nn.softmax(images)})
        return dict(zip(shapes, session.run(variables), strict=True))
