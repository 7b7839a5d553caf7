"""The words of the map language: what a mapping file holds once it is read."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from typing import Any

from effconvert.architecture.facts import Facts, changed
from effconvert.maps.axes import Axes

ANY = "any"
RECIPE_VALUES = ("mean", "variance")

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_DRAW = re.compile(r"<([^<>]*)>")


@dataclass(frozen=True)
class Row:
    """One layer of a map: where it is in the canonical network, its kind, its name in the source, its flags."""

    layer: str
    kind: str
    source: str
    flags: frozenset[str]


@dataclass(frozen=True)
class Fill:
    """A tensor that canonical lacks: left behind on reading, written with `value` on writing.

    value: a number, or `mean` or `variance`: the recipe's, for each channel and pixels from 0 to 1. channels: of the
    network's images.
    """

    dtype: str
    value: int | float | str
    reason: str
    channels: int = 3

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor."""
        return (self.channels,) if self.value in RECIPE_VALUES else ()


@dataclass(frozen=True)
class Slot:
    """Where a kind's tensor goes: a canonical tensor, axes permuted, or nowhere, when it is filled by `fill`."""

    canonical: str
    axes: Axes | None = None
    fill: str = ""


@dataclass(frozen=True)
class Leaving:
    """Tensors that a training leaves in its files and that no network computes with.

    pattern: of the end of a name, after any boundary (`*` is any text). axes: the most that such a tensor has. alone:
    it stands at the top of the file, in no layer. within: it may stand within a layer of the network.
    """

    pattern: str
    reason: str
    axes: int
    alone: bool = False
    within: bool = False

    def takes(self, name: str, shape: Sequence[int]) -> bool:
        """Return whether the tensor `name` is one of these."""
        if len(shape) > self.axes or (self.alone and set(name) & set("./:|")):
            return False
        return bool(_compiled_pattern(self.pattern).fullmatch(name))


@dataclass(frozen=True)
class Build:
    """One of the library's networks that a file of a layout may be for.

    facts: what differs from the layout's; `any` takes every value. variants: which have it, all where empty. names: how
    the library calls it. code: Python that builds it and loads a file. channels: in place of the layout's, None where
    that holds.
    """

    facts: Mapping[str, Any]
    variants: tuple[str, ...]
    names: tuple[str, ...]
    code: str
    channels: str | None = None


@dataclass(frozen=True)
class Preprocessing:
    """A way in which the library itself prepares images, in the words of reference/recipes.toml.

    decode, crop: what it does. resize: {filter that it has: the library's own words for it}. code: Python that makes
    `transform`. gray: what stands at `{gray}` in it to make images gray, as `pil-gray` does; None where it cannot.
    """

    decode: str
    crop: str
    resize: Mapping[str, str]
    code: str
    gray: str | None = None


@dataclass(frozen=True)
class Library:
    """What the rest of the program must know of the library whose layout a map describes.

    title, url: what people call it, and where its source is. runner: which of the runners runs its files, "" where they
    are converted and not run. packages: what pip calls it; install: how it comes into an environment, "" for the extra
    of the runner's name. family: a name that
    several layouts share. containers: suffixes of the files that it loads, the usual one first, empty where it loads
    any. folder: the format of the folder that it is written as, "" for one file. dtypes: that its networks take, all
    where empty. side_file: what beside the weights tells more of the network. caution: what a user should know of every
    file. names_of: the layout that names the same tensors, "" where this one does. official: it is of the network's
    authors. recipe: the table of recipes.toml that its images are prepared by, where none names the layout. hub_tag:
    how Hugging Face's hub calls it. configs: where it keeps the networks that builds name.
    """

    title: str
    url: str = ""
    runner: str = ""
    packages: tuple[str, ...] = ()
    install: str = ""
    family: str = ""
    containers: tuple[str, ...] = ()
    folder: str = ""
    dtypes: tuple[str, ...] = ()
    side_file: str = ""
    caution: str = ""
    names_of: str = ""
    official: bool = False
    recipe: str = ""
    hub_tag: str = ""
    configs: str = ""


@dataclass(frozen=True)
class Layout:
    """A mapping file, checked.

    library: whose layout it is. variants: canonical name -> the layout's own. refused: {variant that it cannot hold:
    reason}. kinds: {kind: {tensor: where it goes}}. average: how an averaged tensor is named after its raw one, ""
    where a layout has none. average_read: as `average`, of files that may hold averages and are not written with them.
    backbone: the prefix that a file of the network without its classifier may lack; bare: it is then written without.
    features: the prefix that a file of the layers before the pooling lacks. leavings: what trainings leave beside the
    weights. write: False for a layout that is only read. synonyms: {what other versions of the library call the tensor
    of a layer: what it is here}. aliases: {other name of a network: the name that `builds` has}. same_tensors: {network
    that holds the same tensors and computes otherwise: how}. other_tensors: {pattern of names of its other networks:
    what they are}. channels: what stands at `{channels}` in the code of a build where images do not have three; None
    for a library whose networks all take three. sha256: of the file and what it includes.
    """

    name: str
    library: Library
    root: str
    separator: str
    average: str
    average_read: str
    backbone: str
    features: str
    bare: bool
    write: bool
    variants: Mapping[str, str]
    refused: Mapping[str, str]
    facts: Mapping[str, Any]
    variant_facts: Mapping[str, Mapping[str, Any]]
    synonyms: Mapping[str, str]
    series: Mapping[str, tuple[str, ...]]
    network_series: frozenset[str]
    kinds: Mapping[str, Mapping[str, Slot]]
    layers: Mapping[str, tuple[Row, ...]]
    ignore: Mapping[str, str]
    leavings: tuple[Leaving, ...]
    fill: Mapping[str, Fill]
    builds: tuple[Build, ...]
    preprocessings: tuple[Preprocessing, ...]
    aliases: Mapping[str, str]
    same_tensors: Mapping[str, str]
    other_tensors: Mapping[str, str]
    channels: str | None
    sha256: str

    @property
    def whole_fills(self) -> dict[str, Fill]:
        """The filled tensors that are named in full, not by a kind."""
        named = {slot.fill for kind in self.kinds.values() for slot in kind.values()}
        return {name: fill for name, fill in self.fill.items() if name not in named}

    def average_in(self, names: Iterable[str]) -> str:
        """Return how averages are named in a file with the tensors `names`, "" where it is not one that has them."""
        before, _, after = self.average_read.partition("{name}")
        held = self.average_read and any(name.startswith(before) and name.endswith(after) for name in names)
        return self.average_read if held else self.average

    def facts_of(self, variant: str, base: Facts) -> Facts:
        """Return `base` with what this layout says of its networks in general, and of `variant` in particular."""
        return changed(changed(base, self.facts), self.variant_facts.get(variant, {}))


@cache
def _compiled_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:.*[./:|])?{translate(pattern)}", re.DOTALL)


def placeholders(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield (as written, name, added number) of each placeholder: `{stage+1}` is ("{stage+1}", "stage", 1)."""
    for match in PLACEHOLDER.finditer(text):
        name, _, number = match[1].partition("+")
        yield match[0], name, int(number) if number.isdigit() else 0


def draws(text: str) -> Iterator[tuple[str, str, str, int]]:
    """Yield (as written, text before, series, names used up) of each draw: `b/<at:2>` is ("<at:2>", "b/", "at", 2)."""
    for match in _DRAW.finditer(text):
        name, colon, count = match[1].partition(":")
        yield match[0], text[: match.start()], name, int(count) if colon and count.isdigit() else 1
