"""What a user asks of a conversion beyond the source and the target."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Options:
    """The command line's options of the same names.

    layout: the only one that a file is read as, where that is given. classifier: the layer that is the classifier, as
    the file names it. leave: patterns of tensors that stay behind. recipe: a name in reference/recipes.toml.
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
