"""Data classes of the map language: the content of a mapping file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache, cached_property, lru_cache
from typing import Any

from effconvert.architecture.facts import Facts, changed
from effconvert.maps.axes import Axes

ANY = "any"
RECIPE_VALUES = ("mean", "variance")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of a layout; map.schema.json says the same
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_DRAW = re.compile(r"<([^<>]*)>")


@dataclass(frozen=True)
class Row:
    """One layer of a map: its canonical name, its kind, its name in the source, its flags."""

    layer: str
    kind: str
    source: str
    flags: frozenset[str]


@dataclass(frozen=True)
class Fill:
    """A tensor that the canonical layout lacks: ignored on reading, written with `value` on writing.

    value: a number; or `mean` or `variance`: that of the recipe, for each channel, with pixels from 0 to 1. channels:
    the number of channels of the images.
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
    """The target of a kind's tensor: a canonical tensor and its axes, or none for a tensor that `fill` writes."""

    canonical: str
    axes: Axes | None = None
    fill: str = ""


@dataclass(frozen=True)
class Leaving:
    """Tensors of a training that are in its files, but in no network.

    pattern: the end of a name, after any separator (`*` is any text). axes: the largest number of axes of such a
    tensor. alone: it is at the top of the file, in no layer. within: it may be inside a layer of the network.
    """

    pattern: str
    reason: str
    axes: int
    alone: bool = False
    within: bool = False

    def takes(self, name: str, shape: Sequence[int]) -> bool:
        """Return whether the tensor `name` matches."""
        if len(shape) > self.axes or (self.alone and set(name) & set("./:|")):
            return False
        return bool(_compiled_pattern(self.pattern).fullmatch(name))


@dataclass(frozen=True)
class Build:
    """One network of the library that a file of the layout may be for, with the code that builds it.

    facts: those that differ from the layout's facts; `any` takes every value. variants: the variants that have it;
    empty means all. names: the library's names of it. code: Python that builds it and loads a file. channels: replaces
    the layout's `channels`; None keeps it.
    """

    facts: Mapping[str, Any]
    variants: tuple[str, ...]
    names: tuple[str, ...]
    code: str
    channels: str | None = None


@dataclass(frozen=True)
class Preprocessing:
    """A preprocessing of the library, in the terms of reference/recipes.toml.

    decode, crop: the steps. resize: {filter: the library's name of it}. code: Python that makes `transform`. gray: the
    text for `{gray}` in the code that makes images gray, as `pil-gray` does; None if the library cannot.
    """

    decode: str
    crop: str
    resize: Mapping[str, str]
    code: str
    gray: str | None = None


@dataclass(frozen=True)
class Library:
    """The library whose layout a map describes.

    title, url: its name for people, and its source code. names: other names that users type. runner: the runner for its
    files; "" if they cannot be run. packages: its names in pip. install: how to install it; "" means the extra with the
    runner's name. family: a name that several layouts share. containers: suffixes of the files that it loads, the usual
    one first; empty means any. folder: the format of the folder that is written; "" means a single file. dtypes: the
    dtypes of its networks; empty means all. side_file: the reader of a file beside the weights that says more about the
    network. caution: a warning for every file. names_of: the layout that has names for the same tensors; "" if this one
    has them. official: the library of the network's authors. recipe: the table in recipes.toml for its images, if no
    table names the layout. hub_tag: its tag on Hugging Face's hub. configs: the path of its configs of networks, for
    the names in builds.
    """

    title: str
    url: str = ""
    names: tuple[str, ...] = ()
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
    """A checked mapping file.

    library: the library that has this layout. variants: {canonical name: the layout's name}. refused: {variant that it
    cannot hold: reason}. kinds: {kind: {tensor: its target}}. average: the name of the average of the tensor `{name}`;
    "" if there are none. average_read: the same for files that may hold averages, but are not written with them.
    backbone: the prefix that a file without the classifier may lack; bare: it is then written without it. features: the
    prefix that a file of the layers before the pooling lacks. leavings: what a training leaves beside the weights.
    write: False for a layout that is only read. synonyms: {name of a layer's tensor in other versions of the library:
    its name here}. aliases: {other name of a network: the name in `builds`}. same_tensors: {network that has the same
    tensors and computes something else: the difference}. other_tensors: {pattern of names in its other networks: what
    they are}. channels: the text for `{channels}` in the code of a build, for images that do not have three; None if
    all networks of the library take three. sha256: the hash of the file and of the files that it includes.
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

    def __hash__(self) -> int:
        """Hash the map's file, so that what is computed of a layout can be kept for it."""
        return hash(self.sha256)

    @cached_property
    def whole_fills(self) -> dict[str, Fill]:
        """The filled tensors that have a full name, not one from a kind."""
        named = {slot.fill for kind in self.kinds.values() for slot in kind.values()}
        return {name: fill for name, fill in self.fill.items() if name not in named}

    def average_in(self, names: Iterable[str]) -> str:
        """Return how averages are named in a file with the tensors `names`; "" if it has none."""
        before, _, after = self.average_read.partition("{name}")
        held = self.average_read and any(name.startswith(before) and name.endswith(after) for name in names)
        return self.average_read if held else self.average

    def facts_of(self, variant: str, base: Facts) -> Facts:
        """Return `base` with the facts of this layout's networks in general, and of `variant`."""
        return changed(changed(base, self.facts), self.variant_facts.get(variant, {}))


@cache
def _compiled_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:.*[./:|])?{translate(pattern)}", re.DOTALL)


# A map is compiled for many networks until one fits a file, each time from the same few texts.
@lru_cache(maxsize=4096)
def placeholders(text: str) -> tuple[tuple[str, str, int], ...]:
    """Return each placeholder as (text, name, added number): `{stage+1}` is ("{stage+1}", "stage", 1)."""
    found = []
    for match in PLACEHOLDER.finditer(text):
        name, _, number = match[1].partition("+")
        found.append((match[0], name, int(number) if number.isdigit() else 0))
    return tuple(found)


@lru_cache(maxsize=4096)
def draws(text: str) -> tuple[tuple[str, str, str, int], ...]:
    """Return each draw as (text, text before it, series, names used up): `b/<at:2>` is ("<at:2>", "b/", "at", 2)."""
    found = []
    for match in _DRAW.finditer(text):
        name, colon, count = match[1].partition(":")
        found.append((match[0], text[: match.start()], name, int(count) if colon and count.isdigit() else 1))
    return tuple(found)
