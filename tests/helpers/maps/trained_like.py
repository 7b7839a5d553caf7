"""Networks whose BatchNorms recorded what a training records: the statistics of batches, which they normalised with."""

from functools import cache

import numpy as np
import torch

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_layout, invert
from effconvert.model.calibration import random_weights, synthetic_images
from effconvert.model.network import create_model

Tensors = dict[str, np.ndarray]


@cache
def trained_like(variant: str) -> Tensors:
    """The canonical tensors of a network that saw one batch in training mode."""
    network = random_weights(create_model(variant)).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(synthetic_images(16, 64, 64))
    return {name: tensor.numpy() for name, tensor in network.state_dict().items() if tensor.is_floating_point()}


def as_library(layout: str, variant: str) -> Tensors:
    """The same under a library's names, in its order, counters left out."""
    network = VARIANTS[variant]
    moves = compile_layout(find_layout(layout), network, default_facts(network)).moves
    values = trained_like(variant)
    return {move.target: np.ascontiguousarray(move.apply(values[move.source])) for move in invert(moves)}
