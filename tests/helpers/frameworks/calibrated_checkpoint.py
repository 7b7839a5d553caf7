"""Checkpoints of calibrated test networks under the official names, written by TensorFlow.

The way from canonical tensors to official variables is written by hand, apart from the maps of the project, so that a
fault in a map shows as other numbers.
"""

from pathlib import Path

import numpy as np
import torch

from effconvert.model import create_model
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from effconvert.verification.runners.official_variables import AVERAGE, block_layers, blocks, end_layers
from helpers.frameworks.tensorflow_files import save
from helpers.frameworks.tensorflow_network import own_name

_CANONICAL = {
    "stem": "stem.conv",
    "stem_norm": "stem.bn",
    "head": "head.conv",
    "head_norm": "head.bn",
    "classifier": "head.fc",
    "expand": "expand.conv",
    "expand_norm": "expand.bn",
    "depthwise": "depthwise.conv",
    "depthwise_norm": "depthwise.bn",
    "se_reduce": "se.reduce",
    "se_expand": "se.expand",
    "project": "project.conv",
    "project_norm": "project.bn",
    "routing": "routing",
}
_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def calibrated_state(variant: str, size: tuple[int, int], seed: int, **facts: object) -> dict[str, np.ndarray]:
    """Return the canonical tensors of `variant` with random weights, calibrated on eight images of `size` (H, W)."""
    network = random_weights(create_model(variant, **facts), seed)
    images = synthetic_images(8, *size, seed=100 + seed, channels=network.facts.in_channels)
    calibrate(network, images, seed=seed)
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def official_variables(model: str, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return {official raw name: value in TensorFlow's axes} of the canonical tensors `state`."""
    name, classes = own_name(model), len(state.get("head.fc.bias", ()))
    places = [("", end_layers(name, classes, "head.conv.weight" in state))]
    places += [(f"blocks.{block.index}.", block_layers(block)) for block in blocks(name)]
    variables: dict[str, np.ndarray] = {}
    for prefix, layers in places:
        for layer, of in layers.items():
            variables |= _layer_variables(layer, f"{model}/{of.scope}", prefix + _CANONICAL[layer], state)
    assert len(variables) == len(state)
    return variables


def write_checkpoint(folder: Path, model: str, averages: dict[str, np.ndarray], raw: dict[str, np.ndarray]) -> Path:
    """Write raw weights, their averages and the step to `folder`, as training leaves them; return `folder`."""
    tensors = official_variables(model, raw)
    tensors |= {name + AVERAGE: value for name, value in official_variables(model, averages).items()}
    return save(folder, {**tensors, "global_step": np.array(218949, np.int64)})


def _layer_variables(layer: str, scope: str, canonical: str, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if layer.endswith("_norm"):
        return {f"{scope}/{leaf}": state[f"{canonical}.{tensor}"] for leaf, tensor in _NORM.items()}
    weight = torch.from_numpy(state[f"{canonical}.weight"])
    depthwise = layer == "depthwise"
    if layer in ("routing", "classifier"):
        variables = {f"{scope}/kernel": weight.T}
    elif weight.ndim == 5:  # experts: E, then one expert in TensorFlow's axes, flattened
        axes = (0, 3, 4, 1, 2) if depthwise else (0, 3, 4, 2, 1)
        name = "depthwise_condconv_kernel" if depthwise else "condconv_kernel"
        variables = {f"{scope}/{name}": weight.permute(axes).reshape(len(weight), -1)}
    elif depthwise:
        variables = {f"{scope}/depthwise_kernel": weight.permute(2, 3, 0, 1)}
    else:
        variables = {f"{scope}/kernel": weight.permute(2, 3, 1, 0)}
    if f"{canonical}.bias" in state:
        variables[f"{scope}/bias"] = torch.from_numpy(state[f"{canonical}.bias"])
    return {name: np.ascontiguousarray(value.numpy()) for name, value in variables.items()}
