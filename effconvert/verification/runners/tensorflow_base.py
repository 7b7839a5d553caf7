"""Base of the runners with TensorFlow: CPU only, no log messages, strict comparison of shapes, channels last."""

import os

import numpy as np

GIVEN = "given tensors"


def keep_tensorflow_quiet():
    """Set, before TensorFlow is imported, that it uses the CPU and does not log to stderr."""
    for variable, value in (("TF_CPP_MIN_LOG_LEVEL", "2"), ("TF_ENABLE_ONEDNN_OPTS", "0")):
        os.environ.setdefault(variable, value)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def channels_last(array):
    """Return [N, C, H, W] as [N, H, W, C]; [N, C] stays."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1))


def channels_first(array):
    """Return [N, H, W, C] as [N, C, H, W]; [N, C] stays."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def shapes_of(arrays):
    """Return {name: shape} of {name: array or variable}."""
    return {name: tuple(array.shape) for name, array in arrays.items()}


def differences(found, expected):
    """Return a line for each name in {name: shape} that is missing, unexpected or has another shape."""
    problems = [f"{name}: missing" for name in expected if name not in found]
    for name in expected:
        if name in found and found[name] != expected[name]:
            problems.append(f"{name}: {list(found[name])}, expected {list(expected[name])}")
    return problems + [f"{name}: unexpected" for name in sorted(set(found) - set(expected))]
