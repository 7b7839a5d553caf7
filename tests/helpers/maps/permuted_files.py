"""Files whose names, or whose order, were permuted or replaced: what a draft must see through, or be unsure of.

A way of permuting takes {name: tensor} and a source of chance, and returns {new name: tensor} in the new order.
"""

import random
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

Tensors = dict[str, np.ndarray]
Value = TypeVar("Value")
_LAYER = re.compile(r"(.*[./])([^./]*)")


def in_any_order(tensors: Tensors, chance: random.Random) -> Tensors:
    """The file's order is lost."""
    names = list(tensors)
    chance.shuffle(names)
    return {name: tensors[name] for name in names}


def by_name(tensors: Tensors) -> Tensors:
    """The order is that of the names, as in a TensorFlow checkpoint."""
    return {name: tensors[name] for name in sorted(tensors)}


def with_other_words(tensors: Tensors, chance: random.Random) -> Tensors:
    """Every word becomes another, the same everywhere; numbers and signs stay."""
    table: dict[str, str] = {}

    def other(match: re.Match[str]) -> str:
        word = match[0]
        if len(word) > 1 and word not in table:
            table[word] = "".join(chance.choice("bcdfghjklmnpqrstvwxz") for _ in range(5))
        return table.get(word, word)

    return {re.sub(r"[A-Za-z]+", other, name): tensor for name, tensor in tensors.items()}


def with_names_of_any(tensors: Tensors, chance: random.Random) -> Tensors:
    """Every name goes to another tensor, whatever its shape."""
    names = list(tensors)
    chance.shuffle(names)
    return dict(zip(names, tensors.values(), strict=True))


def with_names_of_equal_shape(tensors: Tensors, chance: random.Random) -> Tensors:
    """Every name goes to another tensor of its shape."""
    return _exchanged(tensors, chance, {name: tensor.shape for name, tensor in tensors.items()})


def with_names_of_equal_layers(tensors: Tensors, chance: random.Random) -> Tensors:
    """Every layer's name goes to another layer with tensors of the same shapes."""
    layers: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for name, tensor in tensors.items():
        layer, tail = _parted(name)
        layers.setdefault(layer, []).append((tail, tensor.shape))
    table = dict(
        zip(layers, _exchanged(layers, chance, {key: str(sorted(held)) for key, held in layers.items()}), strict=True)
    )
    return {table[_parted(name)[0]] + _parted(name)[1]: tensor for name, tensor in tensors.items()}


def with_meaningless_names(tensors: Tensors, chance: random.Random) -> Tensors:
    """Every name is a number by chance."""
    return {f"t{chance.getrandbits(32):08x}": tensor for tensor in tensors.values()}


def with_meaningless_layers(tensors: Tensors, chance: random.Random) -> Tensors:
    """Every layer's name is a number by chance; its tensors keep their own."""
    table: dict[str, str] = {}
    for name in tensors:
        table.setdefault(_parted(name)[0], f"t{chance.getrandbits(32):08x}.")
    return {table[_parted(name)[0]] + _parted(name)[1]: tensor for name, tensor in tensors.items()}


def with_mean_and_bias_exchanged(tensors: Tensors) -> Tensors:
    """Every BatchNorm calls its mean its bias, and its bias its mean."""
    words = {"running_mean": "bias", "bias": "running_mean", "moving_mean": "beta", "beta": "moving_mean"}
    norms = {_parted(name)[0] for name in tensors if name.endswith(("running_var", "moving_variance"))}
    return {
        layer + (words.get(tail, tail) if layer in norms else tail): tensor
        for (layer, tail), tensor in ((_parted(name), tensor) for name, tensor in tensors.items())
    }


WAYS: dict[str, Callable[[Tensors, random.Random], Tensors]] = {
    "as it is": lambda tensors, chance: tensors,
    "any order": in_any_order,
    "sorted": lambda tensors, chance: by_name(tensors),
    "other words": with_other_words,
    "other words, sorted": lambda tensors, chance: by_name(with_other_words(tensors, chance)),
    "names of any": with_names_of_any,
    "names of any, sorted": lambda tensors, chance: by_name(with_names_of_any(tensors, chance)),
    "names of equal shape": with_names_of_equal_shape,
    "names of equal shape, sorted": lambda tensors, chance: by_name(with_names_of_equal_shape(tensors, chance)),
    "meaningless names": with_meaningless_names,
    "meaningless names, sorted": lambda tensors, chance: by_name(with_meaningless_names(tensors, chance)),
    "names of equal layers": with_names_of_equal_layers,
    "meaningless layers": with_meaningless_layers,
    "meaningless layers, sorted": lambda tensors, chance: by_name(with_meaningless_layers(tensors, chance)),
    "mean and bias exchanged": lambda tensors, chance: with_mean_and_bias_exchanged(tensors),
}
# What no one can see in values that were never trained: the names are in order, and nothing speaks against them.
INVISIBLE: dict[str, Callable[[Tensors, random.Random], Tensors]] = {
    "names of equal layers, sorted": lambda tensors, chance: by_name(with_names_of_equal_layers(tensors, chance)),
    "mean and bias exchanged, sorted": lambda tensors, chance: by_name(with_mean_and_bias_exchanged(tensors)),
}


def _parted(name: str) -> tuple[str, str]:
    """A name as that of its layer, with the sign behind it, and that of the tensor."""
    match = _LAYER.fullmatch(name)
    return (match[1], match[2]) if match else (name, "")


def _exchanged(values: Mapping[str, Value], chance: random.Random, alike: Mapping[str, object]) -> dict[str, Value]:
    """The same values, their keys exchanged among those that are `alike`."""
    groups: dict[object, list[str]] = {}
    for key in values:
        groups.setdefault(alike[key], []).append(key)
    table: dict[str, str] = {}
    for keys in groups.values():
        shuffled = list(keys)
        chance.shuffle(shuffled)
        table |= dict(zip(keys, shuffled, strict=True))
    return {table[key]: value for key, value in values.items()}
