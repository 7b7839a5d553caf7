"""Tensors outside the network: counters, optimizer slots, and those that a person must look at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from effconvert.drafting.candidates import Item
from effconvert.drafting.contents import Contents
from effconvert.drafting.names import Mark, pattern, split

_PIXELS = {"mean", "variance", "moving_mean", "moving_variance", "var", "std"}
_COUNTER = "counter of training batches"
_SINGLE = "single value that a training kept"
_WITHIN = "the network's own normalization of pixels"
_ZEROS = "zeros, which change nothing"


@dataclass(frozen=True)
class Leftovers:
    """Tensors that stay behind.

    counters: {what every BatchNorm has beside its tensors, such as `num_batches_tracked`: reason}. ignore: {pattern:
    reason}; "" if the reason is not known.
    """

    counters: Mapping[str, str]
    ignore: Mapping[str, str]

    @property
    def normalizes(self) -> bool:
        """Whether the network normalises pixels itself."""
        return _WITHIN in self.ignore.values()


def leftovers_of(
    contents: Contents, taken: Iterable[str], norms: Sequence[Item], channels: int, separator: str
) -> Leftovers:
    """Return which tensors of a file stay behind.

    taken: the names of the network's tensors. norms: the tensors of each BatchNorm. channels: those of the images.
    """
    taken = set(taken)
    counters, counted = _counters(contents, norms, separator)
    reasons = {name: _SINGLE for name in contents.single if name not in counted}
    for name, shape in contents.tensors.items():
        if name not in taken:
            pixels = name.replace("/", ".").rpartition(".")[2] in _PIXELS and shape == (channels,)
            reasons[name] = _WITHIN if pixels else "" if np.any(contents.values(name)) else _ZEROS
    copies = {copies.pattern: copies.reason for copies in contents.copies}
    return Leftovers(counters, copies | _patterns(reasons))


def _counters(contents: Contents, norms: Sequence[Item], separator: str) -> tuple[dict[str, str], set[str]]:
    """Return the integers that every BatchNorm has beside its tensors, and their full names in the file."""
    parents = [{name.rpartition(separator)[0] for name in item.values()} if separator else set() for item in norms]
    if any(len(each) != 1 for each in parents):
        return {}, set()
    scopes = [each.pop() + separator for each in parents]
    whole = {name for name, info in contents.single.items() if info.dtype.kind in "iu"}
    found, counted = {}, set()
    for tensor in sorted(name.removeprefix(scopes[0]) for name in whole if name.startswith(scopes[0])):
        named = {scope + tensor for scope in scopes}
        if named <= whole:
            found[tensor] = _COUNTER
            counted |= named
    return found, counted


def _patterns(reasons: Mapping[str, str]) -> dict[str, str]:
    """Return `reasons` with one pattern for names that differ only in numbers."""
    families: dict[tuple[str, str], list[str]] = {}
    for name, reason in reasons.items():
        families.setdefault((pattern(split(name)), reason), []).append(name)
    return {_pattern(names): reason for (_, reason), names in families.items()}


def _pattern(names: Sequence[str]) -> str:
    """Return the pattern of names that differ only in numbers, with `*` where they differ."""
    parts = []
    for column in zip(*map(split, names), strict=True):
        texts = {part.raw if isinstance(part, Mark) else part for part in column}
        parts.append(texts.pop() if len(texts) == 1 else "*")
    return "".join(parts)
