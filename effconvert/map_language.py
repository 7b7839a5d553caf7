"""The words of the map language: what a mapping file holds once it is read."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from effconvert.axes import Axes
from effconvert.facts import Facts, changed

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
    """A tensor that canonical lacks: left behind on reading, written with `value` on writing."""

    dtype: str
    value: int | float
    reason: str


@dataclass(frozen=True)
class Layout:
    """A mapping file, checked.

    variants: canonical name -> the layout's own. kinds: {kind: {tensor: (canonical tensor, axes or None)}}.
    average: how an averaged tensor is named after its raw one, "" where a layout has none. sha256: of the file.
    """

    name: str
    root: str
    separator: str
    average: str
    variants: Mapping[str, str]
    facts: Mapping[str, Any]
    variant_facts: Mapping[str, Mapping[str, Any]]
    series: Mapping[str, tuple[str, ...]]
    network_series: frozenset[str]
    kinds: Mapping[str, Mapping[str, tuple[str, Axes | None]]]
    layers: Mapping[str, tuple[Row, ...]]
    ignore: Mapping[str, str]
    fill: Mapping[str, Fill]
    sha256: str

    def facts_of(self, variant: str, base: Facts) -> Facts:
        """Return `base` with what this layout says of its networks in general, and of `variant` in particular."""
        return changed(changed(base, self.facts), self.variant_facts.get(variant, {}))


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
