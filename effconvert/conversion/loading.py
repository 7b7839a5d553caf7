"""Loading of a file as a PyTorch network."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from effconvert.architecture.canonical import CANONICAL
from effconvert.conversion.transfer import check_digest
from effconvert.errors import NumericMismatch
from effconvert.formats import Array, open_checkpoint
from effconvert.formats.checkpoint import BFLOAT16
from effconvert.identify.coverage import read_network
from effconvert.identify.identification import Identity
from effconvert.identify.preprocessing import recipe_of
from effconvert.model.network import EfficientNet
from effconvert.options import Options


def load_model(
    path: str | Path, dtype: torch.dtype | None = torch.float32, facts: Mapping[str, Any] | None = None
) -> EfficientNet:
    """Return the network in the file at `path`, of any layout, in eval mode, on the CPU.

    Its facts and its `recipe`, the preprocessing for its input, come from the file. A file without a description (a
    state dict saved by torch) gets the official facts of its variant, with a warning unless `facts` are given, which
    replace single facts. dtype: the dtype of the weights; None keeps the file's.

    Raises MissingPath, UnreadableCheckpoint if the file is damaged or was changed after it was written, LayoutMismatch
    if its layout is not known, NumericMismatch if a value does not fit `dtype`.

    Example: `effconvert.load_model("b0.safetensors")(images)` with images [N, C, H, W], normalised.
    """
    with open_checkpoint(path) as checkpoint:
        identity, coverage = read_network(checkpoint, Options(facts=facts))
        check_digest(checkpoint)
        if _is_surprising(identity, facts):
            words = "; ".join(identity.doubts)
            warnings.warn(f"{path}: {words}; use load_model(…, facts=…) if that is wrong", stacklevel=2)
        with torch.device("meta"):
            network = EfficientNet(identity.variant, identity.facts)
        state = {move.target: _tensor(move.apply(checkpoint.read(move.source))) for move in coverage.moves}
    network.load_state_dict({name: _cast(name, tensor, dtype) for name, tensor in state.items()}, assign=True)
    network.recipe = recipe_of(identity)
    return network.requires_grad_(True).eval()


def _is_surprising(identity: Identity, given: Mapping[str, Any] | None) -> bool:
    """Return whether a user must be told that facts are assumed.

    Not for a state dict with canonical names if some facts are given, nor for a file converted from one: such a network
    was made with this project, so its facts are known to the user.
    """
    before = identity.description
    own = before.layout == CANONICAL if before else identity.layout is None and given is not None
    return bool(identity.assumed) and not own


def _cast(name: str, tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    result = tensor.to(dtype or tensor.dtype)
    if bool(torch.isfinite(tensor).all()) and not bool(torch.isfinite(result).all()):
        raise NumericMismatch(f"{name}: {float(tensor.abs().max()):g} does not fit {dtype}")
    return result


def _tensor(array: Array) -> torch.Tensor:
    if array.dtype == BFLOAT16:  # torch does not know numpy's bfloat16
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())
