"""Shared by the runners that compute with TensorFlow: on the CPU and without a word, strict loading, channels last."""

import os

import numpy as np

GIVEN = "given tensors"


def keep_tensorflow_quiet():
    """Say, before TensorFlow is imported, that it computes on the CPU and says nothing on stderr."""
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
    """Return a line for each name in {name: shape} that is missing, of another shape than expected, or unexpected."""
    problems = [f"{name}: missing" for name in expected if name not in found]
    for name in expected:
        if name in found and found[name] != expected[name]:
            problems.append(f"{name}: {list(found[name])}, expected {list(expected[name])}")
    return problems + [f"{name}: unexpected" for name in sorted(set(found) - set(expected))]
