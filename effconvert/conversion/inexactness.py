"""Measurement of the error of a network that computes with other facts than those of its weights."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Variant
from effconvert.errors import NumericMismatch
from effconvert.formats.checkpoint import Array, Checkpoint
from effconvert.maps.moves import Move

_IMAGES = 2
_LARGEST = 320  # pixels: differences of padding are largest on small images, and L2 at 800 would take minutes


def measured_difference(
    checkpoint: Checkpoint, moves: tuple[Move, ...], variant: Variant, own: Facts, other: Facts, eps_shift: float
) -> float:
    """Return max |difference| / max |logit| between the network with its `own` facts and with the `other` ones.

    moves: from `checkpoint` to canonical. eps_shift: what is added to the other network's variances. Both get two
    structured images, at the variant's resolution or 320 pixels; without a classifier, pooled features are compared.
    Raises NumericMismatch if the outputs are not finite.
    """
    import torch

    from effconvert.model import create_model
    from effconvert.model.calibration import synthetic_images

    size = min(variant.resolution, _LARGEST)
    images = synthetic_images(_IMAGES, size, size, channels=own.in_channels)
    tensors = {move.target: move.apply(checkpoint.read(move.source)).astype(np.float32) for move in moves}
    with torch.no_grad():
        with torch.device("meta"):
            networks = create_model(variant, own), create_model(variant, other)
        networks[0].load_state_dict(_state(tensors, lambda name, array: array), assign=True)
        expected = networks[0].eval()(images)
        networks[1].load_state_dict(
            _state(tensors, lambda name, array: array + eps_shift if name.endswith("running_var") else array),
            assign=True,
        )
        found = networks[1].eval()(images)
    difference = float((found - expected).abs().max() / expected.abs().max())
    if not math.isfinite(difference):
        raise NumericMismatch(f"{checkpoint.path}: its logits are not finite, so no difference can be measured")
    return difference


def _state(tensors: Mapping[str, Array], change: Callable[[str, Array], Array]) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(np.array(change(name, array), np.float32)) for name, array in tensors.items()}
