"""The official network of TensorFlow's runner, for the tests: in this process, in any precision."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from effconvert.verification.runners.official_network import OfficialNetwork
from effconvert.verification.runners.official_variables import SCALES, variables
from effconvert.verification.runners.run_tensorflow import load_file

MODELS = tuple(f"efficientnet-{name}" for name in SCALES)


def own_name(model: str) -> str:
    """Return the name that the runner has for `model`, for instance `edgetpu-S`."""
    return model.removeprefix("efficientnet-")


def all_variables(model: str) -> dict[str, tuple[int, ...]]:
    """Return {variable: shape} of `model`, the names with its scope."""
    classes = 1001 if "edgetpu" in model else 1000
    return {f"{model}/{name}": shape for name, shape in variables(own_name(model), classes).items()}


def official_network(
    checkpoint: Path, model: str, *, average: bool = True, dtype: type = np.float32, **facts: str
) -> OfficialNetwork:
    """Return the network with the averages or the raw weights of a checkpoint, which computes in `dtype`."""
    expected = {name.removeprefix(f"{model}/"): shape for name, shape in all_variables(model).items()}
    values = load_file(str(checkpoint), own_name(model), expected, raw=not average)
    return OfficialNetwork(own_name(model), {name: tf.cast(value, dtype) for name, value in values.items()}, **facts)
