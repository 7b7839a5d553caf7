"""Roles of a BatchNorm's four vectors, told by the words in their names and by the signs of their values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from effconvert.drafting.contents import Contents
from effconvert.drafting.network_layers import NORM

# The frameworks' names: PyTorch, TensorFlow and Keras, MindSpore, JAX, Paddle, MXNet, Caffe2.
_WORDS = {
    "weight": ("weight", "gamma", "scale", "w"),
    "bias": ("bias", "beta", "offset", "shift", "b"),
    "running_mean": ("running_mean", "moving_mean", "mean", "mu", "population_mean", "global_mean", "_mean"),
    "running_var": (
        "running_var", "running_variance", "moving_variance", "moving_var", "variance", "var", "population_variance",
        "global_variance", "_variance",
    ),
}  # fmt: skip
_FRAMEWORK_ORDERS = {
    ("weight", "bias", "running_mean", "running_var"),  # PyTorch, Keras
    ("running_mean", "running_var", "weight", "bias"),  # MindSpore
}
_ROLE_OF = {word: role for role, words in _WORDS.items() for word in words}


@dataclass(frozen=True)
class Roles:
    """The candidates for each of a BatchNorm's tensors, the same in every layer of the file.

    possible: {name in the layer, or place: the canonical tensors that it may be}. told_by: the evidence.
    """

    possible: Mapping[str, tuple[str, ...]]
    told_by: str

    @property
    def are_known(self) -> bool:
        """Whether each tensor has one candidate."""
        return all(len(roles) == 1 for roles in self.possible.values())


@dataclass(frozen=True)
class Signs:
    """The signs of a vector's values: whether none is negative, and the share of those above zero."""

    never_negative: bool
    positive: float


def signs_of(contents: Contents, name: str) -> Signs:
    """Return the signs of the tensor `name`."""
    values = contents.vector(name)
    return Signs(bool(np.all(values >= 0)), float(np.mean(values > 0)))


def is_framework_order(tensors: Sequence[str]) -> bool:
    """Return whether a framework writes a BatchNorm's tensors in this order."""
    return tuple(tensors) in _FRAMEWORK_ORDERS


def roles_by_words(names: Iterable[str]) -> Roles | None:
    """Return the roles by the words in the names of a BatchNorm's tensors; None if they do not tell all."""
    roles = {name: _ROLE_OF.get(_plain(name)) for name in names}
    if set(roles.values()) != set(NORM) or len(roles) != len(NORM):
        return None
    return Roles({name: (role,) for name, role in roles.items() if role}, "words")


def roles_by_signs(contents: Contents, layers: Sequence[Mapping[str, str]]) -> Roles:
    """Return the roles by signs: a variance is never negative.

    layers: {name in the layer, or place: name in the file} of each BatchNorm, all with the same keys.
    """
    never = {key for key in layers[0] if all(signs_of(contents, layer[key]).never_negative for layer in layers)}
    if len(never) == 1:
        (variance,) = never
        others = tuple(role for role in NORM if role != "running_var")
        return Roles({key: ("running_var",) if key == variance else others for key in layers[0]}, "signs")
    possible = {key: tuple(NORM) if key in never or not never else tuple(NORM[:3]) for key in layers[0]}
    return Roles(possible, "signs")


def contradicted(contents: Contents, roles: Roles, layers: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the tensors that are called variances and have negative values."""
    (variance,) = (key for key, possible in roles.possible.items() if possible == ("running_var",))
    return [layer[variance] for layer in layers if not signs_of(contents, layer[variance]).never_negative]


def _plain(name: str) -> str:
    """Return a name without its number: `gamma:0` and `gamma_1` become `gamma`."""
    return re.sub(r"(?::|_)\d+$", "", name.rsplit("/", 1)[-1].rsplit(".", 1)[-1]).lower()
