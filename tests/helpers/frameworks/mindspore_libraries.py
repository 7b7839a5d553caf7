"""Shared helpers of the tests with the real MindSpore: mindvision made importable, and runs on synthetic images.

mindvision 0.1.0 wants two modules of data sets that MindSpore dropped after 2.0; none of its networks uses them.
"""

import sys

import mindspore
import mindspore.dataset.transforms as transforms
import mindspore.dataset.vision as vision
import numpy as np
import torch
from mindspore import nn
from torch import Tensor

from effconvert.formats.checkpoint import BFLOAT16
from effconvert.model import EfficientNet
from effconvert.model.calibration import sensitivity, synthetic_images
from helpers.frameworks.figures import distance, record

for _module in (vision, transforms):
    for _dropped in ("c_transforms", "py_transforms"):
        sys.modules.setdefault(f"{_module.__name__}.{_dropped}", _module)
        setattr(_module, _dropped, _module)

mindspore.set_context(mode=mindspore.PYNATIVE_MODE, device_target="CPU")

TOLERANCE = 2e-5


def logits(network: nn.Cell, images: Tensor) -> Tensor:
    """Return what the MindSpore network computes of `images` [N, 3, H, W]."""
    return torch.from_numpy(network(mindspore.Tensor(images.numpy())).asnumpy())


def assert_same_numbers(case: str, ours: EfficientNet, theirs: nn.Cell, size: tuple[int, int]) -> None:
    """Assert that both networks compute the same of two images of `size`, and that the images matter."""
    images = synthetic_images(2, *size, seed=3, channels=ours.facts.in_channels)
    with torch.no_grad():
        reference = ours(images)
    assert sensitivity(reference) > 0.1
    error = distance(logits(theirs, images), reference)
    assert record(case, f"{size[0]} x {size[1]}", error, f"<= {TOLERANCE:.0e}") <= TOLERANCE


def bits(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    """Return what two arrays must have in common to be the same bit for bit."""
    return array.dtype.name, array.shape, np.ascontiguousarray(array).tobytes()


def values(parameter: mindspore.Parameter) -> np.ndarray:
    """Return the value of a parameter, bfloat16 included, which MindSpore does not hand to NumPy."""
    if parameter.dtype == mindspore.bfloat16:
        return np.frombuffer(parameter.get_bytes(), BFLOAT16).reshape(parameter.shape)
    return parameter.asnumpy()
