"""Files of the libraries for tests: tensors under a library's own names, written without it."""

from functools import cache
from pathlib import Path

import numpy as np
import torch

from effconvert.architecture.canonical import default_facts, tensor_shapes
from effconvert.architecture.facts import Facts, changed
from effconvert.architecture.variants import VARIANTS
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_layout, invert

Tensors = dict[str, np.ndarray]


def facts_of(layout: str, variant: str, **changes: object) -> Facts:
    """The facts of the library's network."""
    return changed(find_layout(layout).facts_of(variant, default_facts(VARIANTS[variant])), changes)


@cache
def canonical_values(
    variant: str, classes: int, head_conv: bool = True, seed: int = 0, in_channels: int = 3
) -> Tensors:
    """Arbitrary values of every canonical tensor, variances well above 0."""
    changes = {"classes": classes, "head_conv": head_conv, "in_channels": in_channels}
    facts = changed(default_facts(VARIANTS[variant]), changes)
    random = np.random.default_rng(seed)
    values = {name: random.normal(0, 0.1, shape) for name, shape in tensor_shapes(VARIANTS[variant], facts).items()}
    return {
        name: (np.abs(value) + 0.5 if name.endswith("running_var") else value).astype(np.float32)
        for name, value in values.items()
    }


def library_tensors(
    layout: str, variant: str = "b0", *, bare: bool = False, seed: int = 0, **changes: object
) -> Tensors:
    """What a file of the library holds, in its order, the filled tensors included; `changes` are of facts."""
    facts = facts_of(layout, variant, **{"classes": 2, **changes})
    compiled = compile_layout(find_layout(layout), VARIANTS[variant], facts, bare=bare)
    values = canonical_values(variant, facts.classes, facts.head_conv, seed, facts.in_channels)
    moved = {move.target: move.apply(values[move.source]) for move in invert(compiled.moves)}
    filled = {name: np.zeros(fill.shape, fill.dtype) for name, fill in compiled.fills.items()}
    # Copies: a test may change what it gets, and the values are drawn once for all.
    return {name: np.ascontiguousarray((moved | filled)[name]).copy() for name in compiled.order}


def save(path: Path, content: object) -> Path:
    """Write `content`, whose arrays become tensors, as torch.save does; return the path."""
    torch.save(_with_tensors(content), path)
    return path


def under(prefix: str, tensors: Tensors) -> Tensors:
    """The same tensors under a prefix."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _with_tensors(value: object) -> object:
    if isinstance(value, dict):
        return {key: _with_tensors(item) for key, item in value.items()}
    return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value
