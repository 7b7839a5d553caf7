"""Loading of a file as a PyTorch network."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from effconvert.architecture.canonical import CANONICAL
from effconvert.conversion.plan import DTYPES
from effconvert.conversion.transfer import check_digest
from effconvert.errors import LayoutMismatch, NumericMismatch
from effconvert.formats import Array, open_checkpoint
from effconvert.formats.checkpoint import BFLOAT16
from effconvert.identify.coverage import read_network
from effconvert.identify.identification import Identity
from effconvert.identify.preprocessing import recipe_of
from effconvert.model.network import EfficientNet
from effconvert.options import Options, patterns


def load_model(
    path: str | Path,
    dtype: str | torch.dtype | None = torch.float32,
    facts: Mapping[str, Any] | None = None,
    *,
    variant: str | None = None,
    weights: str | None = None,
    recipe: str | None = None,
    raw: bool = False,
    root: str | None = None,
    backbone: bool = False,
    classifier: str | None = None,
    leave: str | Sequence[str] = (),
    key: bytes | None = None,
) -> EfficientNet:
    """Return the network in the file at `path`, of any layout, in eval mode, on the CPU.

    Its facts and its `recipe`, the preprocessing for its input, come from the file. A file without a description (a
    state dict saved by torch) gets the official facts of its variant, with a warning unless `facts` are given, which
    replace single facts. dtype: the dtype of the weights, e.g. `float16`; None keeps the file's. The other options are
    as in `effconvert.convert`.

    Raises MissingPath, UnreadableCheckpoint if the file is damaged or was changed after it was written, LayoutMismatch
    if its layout is not known, NumericMismatch if a value does not fit `dtype`.

    Example: `effconvert.load_model("b0.safetensors")(images)` gives logits [N, classes] for normalised images
    [N, C, H, W].
    """
    options = Options(
        variant=variant,
        weights=weights,
        recipe=recipe,
        raw=raw,
        root=root,
        backbone=backbone,
        classifier=classifier,
        leave=patterns(leave),
        facts=facts,
    )
    wanted = _dtype(dtype)
    with open_checkpoint(path, key) as checkpoint:
        identity, coverage = read_network(checkpoint, options)
        check_digest(checkpoint)
        if _is_surprising(identity, facts):
            words = "; ".join(identity.doubts)
            warnings.warn(f"{path}: {words}; use load_model(…, facts=…) if that is wrong", stacklevel=2)
        with torch.device("meta"):
            network = EfficientNet(identity.variant, identity.facts)
        state = {move.target: _tensor(move.apply(checkpoint.read(move.source))) for move in coverage.moves}
    network.load_state_dict({name: _cast(name, tensor, wanted) for name, tensor in state.items()}, assign=True)
    network.recipe = recipe_of(identity, weights, recipe)
    return network.requires_grad_(True).eval()


def _dtype(given: str | torch.dtype | None) -> torch.dtype | None:
    """Return the dtype of that name. Raises LayoutMismatch for another word than `convert` takes."""
    if not isinstance(given, str):
        return given
    if given not in DTYPES:
        raise LayoutMismatch(f"dtype {given!r} is unknown; known are {', '.join(DTYPES)}")
    named: torch.dtype = getattr(torch, given)
    return named


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
