"""Which of a BatchNorm's four vectors is which: by the words of their names, and by their signs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from effconvert.drafting.contents import Contents
from effconvert.drafting.network_layers import NORM

# What frameworks call them: PyTorch, TensorFlow and Keras, MindSpore, JAX, Paddle, MXNet, Caffe2.
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
    """What each of a BatchNorm's tensors may be, alike in every layer of the file.

    possible: {how it is called, or its place: the canonical tensors that it may be}. told_by: what says so.
    """

    possible: Mapping[str, tuple[str, ...]]
    told_by: str

    @property
    def are_known(self) -> bool:
        """Whether each is one canonical tensor."""
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
    """Return the roles that the words in the names of a BatchNorm's tensors say; None where they do not say all."""
    roles = {name: _ROLE_OF.get(_plain(name)) for name in names}
    if set(roles.values()) != set(NORM) or len(roles) != len(NORM):
        return None
    return Roles({name: (role,) for name, role in roles.items() if role}, "words")


def roles_by_signs(contents: Contents, layers: Sequence[Mapping[str, str]]) -> Roles:
    """Return what signs tell: a variance is never negative.

    layers: {how it is called, or its place: name in the file} of each BatchNorm, all with the same keys.
    """
    never = {key for key in layers[0] if all(signs_of(contents, layer[key]).never_negative for layer in layers)}
    if len(never) == 1:
        (variance,) = never
        others = tuple(role for role in NORM if role != "running_var")
        return Roles({key: ("running_var",) if key == variance else others for key in layers[0]}, "signs")
    possible = {key: tuple(NORM) if key in never else tuple(NORM[:3]) for key in layers[0]}
    return Roles(possible, "signs")


def contradicted(contents: Contents, roles: Roles, layers: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the tensors that the names say are variances, and that have negative values."""
    (variance,) = (key for key, possible in roles.possible.items() if possible == ("running_var",))
    return [layer[variance] for layer in layers if not signs_of(contents, layer[variance]).never_negative]


def _plain(name: str) -> str:
    """Return a name without what numbers it: `gamma:0` and `gamma_1` are `gamma`."""
    return re.sub(r"(?::|_)\d+$", "", name.rsplit("/", 1)[-1].rsplit(".", 1)[-1]).lower()
