"""Weights of calibrated networks for verifications, and the images that they are shown."""

from pathlib import Path
from typing import Any

import torch

from effconvert.model import create_model
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from effconvert.verification.inputs import Images

IMAGES = Images(size=64)
WRONG = "blocks.3.depthwise.bn.weight"
ASSUMED = "; but bn_eps and padding are only assumed (facts=… tells)"
State = dict[str, torch.Tensor]


def state_of(variant: str = "b0", **facts: Any) -> State:
    """A calibrated network's weights."""
    return calibrate(random_weights(create_model(variant, **facts)), synthetic_images(8, 64, 64)).state_dict()


def saved(path: Path, state: State) -> Path:
    torch.save({name: tensor.clone() for name, tensor in state.items()}, path)
    return path
