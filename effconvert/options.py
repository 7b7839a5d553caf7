"""Options of a conversion, beside its source and its target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def patterns(leave: str | Sequence[str]) -> tuple[str, ...]:
    """Return the patterns of `leave`; a string is one pattern, not a sequence of letters."""
    return (leave,) if isinstance(leave, str) else tuple(leave)


@dataclass(frozen=True)
class Options:
    """The options of the same names on the command line.

    layout: the only layout to read the file as; None tries all. classifier: the name of the classifier's layer in the
    file. leave: patterns of tensors to leave behind. recipe: a name in reference/recipes.toml.
    """

    layout: str | None = None
    variant: str | None = None
    weights: str | None = None
    recipe: str | None = None
    raw: bool = False
    root: str | None = None
    backbone: bool = False
    classifier: str | None = None
    leave: tuple[str, ...] = ()
    facts: Mapping[str, Any] | None = None
    dtype: str | None = None
    drop_background_class: bool = False
    names: str | None = None
    fold_eps: bool = False
    allow_inexact: bool = False
