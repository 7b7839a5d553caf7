"""Known causes of a difference, and the changes of the canonical network that correct each.

Each is a mistake of a published converter or a possible mistake of a user. All names and shapes stay the same, except
perhaps the number of classes.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.facts import changed
from effconvert.architecture.variants import VARIANTS, has_fused_strides
from effconvert.formats import Array
from effconvert.formats.checkpoint import BFLOAT16
from effconvert.identify.weight_sets import RAW
from effconvert.maps.layouts import known_layouts
from effconvert.model.layers import ACTIVATIONS
from effconvert.option_words import flag
from effconvert.verification.mismatch import WITH_AND_WITHOUT_BACKGROUND, Change, Mismatch

_CLASSIFIER = ("head.fc.weight", "head.fc.bias")
# An exchange is accepted for a layer if at most this share of the layer's difference remains. With two causes the right
# one does not correct the layer completely, but a wrong one hardly ever halves its difference.
_HELPS = 0.5
_NAMED = 3


def _epsilons(mismatch: Mismatch) -> Iterator[Change]:
    """Yield every epsilon of the layouts, also ten times larger and smaller."""
    facts = {
        layout.facts_of(name, default_facts(VARIANTS[name])) for layout in known_layouts() for name in layout.variants
    }
    known = {each.bn_eps for each in facts}
    near = {float(f"{eps * factor:.3g}") for eps in known for factor in (0.1, 1, 10)}
    return _fact(mismatch, "bn_eps", sorted(near))


def _paddings(mismatch: Mismatch) -> Iterator[Change]:
    return _fact(mismatch, "padding", ["tf-same", "symmetric"])


def _activations(mismatch: Mismatch) -> Iterator[Change]:
    return _fact(mismatch, "activation", ACTIVATIONS)


def _fused_strides(mismatch: Mismatch) -> Iterator[Change]:
    if has_fused_strides(mismatch.variant):
        yield from _fact(mismatch, "fused_stride", ["project", "expand"])


def _fact(mismatch: Mismatch, name: str, values: Iterable[str | float]) -> Iterator[Change]:
    present = getattr(mismatch.facts, name)
    for value in values:
        if value != present:
            words, facts = f"{name}: {present} -> {value}", changed(mismatch.facts, {name: value})
            yield Change(words, facts=facts, options={"facts": {name: value}})


def _weight_sets(mismatch: Mismatch) -> Iterator[Change]:
    """Yield the source's other set of weights, if every tensor of the file is in one of its sets."""
    sets = {
        chosen: {name: _classes_of(mismatch, name, array) for name, array in tensors.items()}
        for chosen, tensors in mismatch.sets.items()
        if mismatch.tensors.keys() <= tensors.keys()
    }
    other = {
        chosen: [name for name, tensor in mismatch.tensors.items() if not _equal(tensor.numpy(), tensors[name])]
        for chosen, tensors in sets.items()
    }
    if not sets or set.intersection(*map(set, other.values())):
        return
    for chosen, names in other.items():
        foreign, remedy = ("averages", "with") if chosen == RAW else ("raw weights", "without")
        said = f"the source's {foreign}: convert it {remedy} {flag('raw')}"
        words = f"{len(names)} of {len(mismatch.tensors)} tensors are {said}"
        if names:
            tensors = {name: torch.from_numpy(sets[chosen][name]) for name in names}
            yield Change(words, tensors=tensors, options={"raw": chosen == RAW})


def _classes_of(mismatch: Mismatch, name: str, array: Array) -> NDArray[np.float32]:
    """Return the source's tensor, without the background class if the file has none."""
    dropped = name in _CLASSIFIER and len(array) == len(mismatch.tensors[name]) + 1
    return (
        np.array(array[1:] if dropped else array, np.float32) if name in mismatch.tensors else np.empty(0, np.float32)
    )


def _equal(tensor: NDArray[np.float32], source: NDArray[np.float32]) -> bool:
    """Return whether `tensor` equals `source`, perhaps rounded to half precision."""
    with np.errstate(over="ignore"):
        rounded = (source.astype(dtype).astype(np.float32) for dtype in (np.float32, np.float16, BFLOAT16))
        return any(np.array_equal(tensor, each) for each in rounded)


def _channels(mismatch: Mismatch) -> Iterator[Change]:
    if mismatch.facts.in_channels != 3:
        return
    kernel = mismatch.tensors["stem.conv.weight"]
    words = "reverse the input channels of stem.conv.weight, or give the images in the other order"
    yield Change(words, "stem", tensors={"stem.conv.weight": kernel.flip(1)}, options={})


def _backgrounds(mismatch: Mismatch) -> Iterator[Change]:
    """Yield the other end at which a background class was dropped, and all classes shifted by one."""
    if "logits" not in mismatch.reference or "logits" not in mismatch.layers:
        return
    there, here = mismatch.reference["logits"].shape[1], mismatch.facts.classes

    def rows(function: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        return {name: function(mismatch.tensors[name]) for name in _CLASSIFIER}

    if there == here + 1:
        words = "the source's {} class was dropped: drop its {}"
        dropped, first = {"drop_background_class": True}, f"first ({flag('drop_background_class')})"
        yield Change(words.format("last", first), "logits", logits=slice(here), options=dropped)
        if (there, here) != WITH_AND_WITHOUT_BACKGROUND:
            yield Change(words.format("first", "last, or none"), "logits", logits=slice(1, None))
    elif there == here:
        words = "the classes are shifted by one: move each row of head.fc one class {}"
        yield Change(words.format("up, the last to the front"), "logits", tensors=rows(lambda each: each.roll(1, 0)))
        yield Change(words.format("down, the first to the end"), "logits", tensors=rows(lambda each: each.roll(-1, 0)))
    elif there == here - 1:
        facts = changed(mismatch.facts, {"classes": there})
        words = "the file has one class more than the source: drop its {} class"
        yield Change(words.format("first"), "logits", facts, rows(lambda each: each[1:]))
        yield Change(words.format("last"), "logits", facts, rows(lambda each: each[:-1]))


def _transposed_kernels(mismatch: Mismatch) -> Iterator[Change]:
    def exchanges(layer: str) -> dict[str, dict[str, Tensor]]:
        own = {name: tensor for name, tensor in mismatch.tensors.items() if name.startswith(f"{layer}.")}
        return {
            name: {name: tensor.transpose(-1, -2).contiguous()}
            for name, tensor in own.items()
            if tensor.ndim >= 4 and tensor.shape[-1] > 1
        }

    return _mending(mismatch, exchanges, "exchange the last two axes of")


def _swapped_statistics(mismatch: Mismatch) -> Iterator[Change]:
    def exchanges(layer: str) -> dict[str, dict[str, Tensor]]:
        names = [name for name in mismatch.tensors if name.startswith(f"{layer}.") and name.endswith(".bn.weight")]
        pairs = {name.removesuffix(".weight"): (name, name.replace(".weight", ".running_var")) for name in names}
        return {
            bn: {gamma: mismatch.tensors[variance], variance: mismatch.tensors[gamma]}
            for bn, (gamma, variance) in pairs.items()
        }

    return _mending(mismatch, exchanges, "exchange weight and running_var of")


def _mending(
    mismatch: Mismatch, exchanges: Callable[[str], dict[str, dict[str, Tensor]]], words: str
) -> Iterator[Change]:
    """Yield one change with the best of `exchanges` for every diverging layer."""
    tensors: dict[str, Tensor] = {}
    layers: list[str] = []
    names: list[str] = []
    for layer in mismatch.diverging_layers:
        possible = exchanges(layer)
        subsets = [some for count in range(1, len(possible) + 1) for some in combinations(possible, count)]
        replaced = [{name: tensor for each in some for name, tensor in possible[each].items()} for some in subsets]
        left = [mismatch.left_in(layer, each) for each in replaced]
        best = int(np.argmin(left)) if left else 0
        if left and left[best] <= _HELPS * mismatch.left_in(layer, {}) and math.isfinite(left[best]):
            tensors |= replaced[best]
            layers.append(layer)
            names += subsets[best]
    if tensors:
        yield Change(f"{words} {_listed(names)}", _listed(layers), tensors=tensors, options={})


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


# {cause: (description, the changes that correct it)}
CAUSES: dict[str, tuple[str, Callable[[Mismatch], Iterator[Change]]]] = {
    "bn_eps": ("another epsilon in BatchNorm", _epsilons),
    "padding": ("another padding in convolutions with a stride", _paddings),
    "weights": ("raw weights instead of their averages, or averages instead of raw weights", _weight_sets),
    "channels": ("RGB instead of BGR, or BGR instead of RGB", _channels),
    "background": ("the background class", _backgrounds),
    "fused_stride": ("the stride of fused blocks on another convolution", _fused_strides),
    "activation": ("another activation", _activations),
    "transposed_kernels": ("kernels with height and width exchanged", _transposed_kernels),
    "swapped_statistics": ("gamma and variance exchanged", _swapped_statistics),
}
