"""Loads a canonical file as the network that it describes."""

from pathlib import Path

import numpy as np
import torch

from effconvert.coverage import check_coverage
from effconvert.errors import LayoutMismatch
from effconvert.formats import Array, open_checkpoint
from effconvert.formats.checkpoint import BFLOAT16
from effconvert.identification import CANONICAL, identify
from effconvert.model.network import EfficientNet
from effconvert.transfer import check_digest
from effconvert.validate.recipes import official_recipe


def load_model(path: str | Path, dtype: torch.dtype | None = torch.float32) -> EfficientNet:
    """Return the network in the canonical file at `path`, in eval mode, on the CPU.

    Its facts are those that the file carries, and so is its `recipe`, the preprocessing that its input needs; a file
    without a description (a state dict saved by torch) gets the official ones of its variant. dtype: what the weights
    become; None keeps the file's.

    Raises MissingPath, UnreadableCheckpoint when the file is damaged or was changed after it was written, and
    LayoutMismatch when it is not canonical: convert it first.

    Example: `effconvert.load_model("b0.safetensors")(images)` with images [N, 3, H, W], normalised.
    """
    with open_checkpoint(path) as checkpoint:
        identity = identify(checkpoint)
        if identity.layout_name != CANONICAL:
            raise LayoutMismatch(
                f"{path}: is in the layout {identity.layout_name}; convert it first: "
                f"effconvert tf2pt --checkpoint {path} --out {identity.variant.name}.safetensors"
            )
        check_coverage(checkpoint, identity)
        check_digest(checkpoint)
        with torch.device("meta"):
            network = EfficientNet(identity.variant, identity.facts)
        state = {name: _tensor(checkpoint.read(name)) for name in checkpoint.tensors}
    network.load_state_dict({name: tensor.to(dtype or tensor.dtype) for name, tensor in state.items()}, assign=True)
    description = identity.description
    network.recipe = description.recipe if description else official_recipe(identity.variant.name, None)
    return network.requires_grad_(True).eval()


def _tensor(array: Array) -> torch.Tensor:
    if array.dtype == BFLOAT16:  # torch does not know numpy's bfloat16
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())
