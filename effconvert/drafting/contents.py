"""The contents of a file: tensors that may be weights, what a training left beside them, and single values."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.drafting.names import natural
from effconvert.errors import LayoutMismatch, listing
from effconvert.formats import Checkpoint
from effconvert.formats.checkpoint import FLOATS, Shape, TensorInfo
from effconvert.option_words import option

SEPARATORS = ("/", ".", ":")
_AVERAGE_WORDS = re.compile(r"(?:^|[^a-z])(?:ema|averaged?|shadow)(?:[^a-z]|$)|MovingAverage", re.IGNORECASE)
_SLOT_WORDS = re.compile(
    r"adam|momentum|moment|rmsprop|mean_square|mean_grad|accum|exp_avg|velocity|ftrl|adagrad|adadelta|lamb|lion|slot|"
    r"optim",
    re.IGNORECASE,
)
_PARALLEL = "module."  # what DataParallel puts before every name
# An affix marks copies if this many names exist both with and without it.
_FEWEST_COPIES = 10
_FEWEST_TENSORS = 100  # of a dict that holds a whole network


@dataclass(frozen=True)
class Copies:
    """Tensors that repeat others with an affix in their names, such as optimizer slots.

    pattern: the pattern of their names. reason: why they stay behind; "" if that is not certain.
    """

    pattern: str
    reason: str


@dataclass(frozen=True)
class Contents:
    """The sorted contents of a file.

    tensors: {name: shape} of possible weights, in file order, without the affix of averages and without the wrapper.
    single: {name: info} of integers and single values. average: the name of the average of `{name}`; "" if there are
    none. unsure_average: the same for copies that may be averages or slots. wrapper: the prefix of every name that is
    not part of a layout, such as `state_dict/module.`.
    """

    checkpoint: Checkpoint
    tensors: Mapping[str, Shape]
    single: Mapping[str, TensorInfo]
    average: str = ""
    unsure_average: str = ""
    copies: tuple[Copies, ...] = ()
    wrapper: str = ""
    _vectors: dict[str, NDArray[np.float64]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_ordered(self) -> bool:
        """Whether the order of the file is evidence: it is not if the names are sorted."""
        names = list(self.tensors)
        return names not in (sorted(names), sorted(names, key=natural))

    def values(self, name: str) -> NDArray[np.float64]:
        """Return the tensor `name`, or its average if there is one."""
        stored = self.wrapper + name
        average = self.average.replace("{name}", stored)
        array: NDArray[Any] = self.checkpoint.read(average if average in self.checkpoint.tensors else stored)
        return array.astype(np.float64)

    def vector(self, name: str) -> NDArray[np.float64]:
        """Return the tensor `name` as a vector; at most one axis is longer than one. It is read once."""
        if name not in self._vectors:
            self._vectors[name] = self.values(name).reshape(-1)
        return self._vectors[name]


def contents_of(checkpoint: Checkpoint, root: str = "", leave: Sequence[str] = ()) -> Contents:
    """Sort the contents of `checkpoint`, by names, shapes and dtypes only.

    root: the prefix of the network, if the file holds several. leave: patterns of names that are not looked at.

    Raises LayoutMismatch if there are several networks, if `root` or `leave` fits no name, and for names that the map
    language cannot write.
    """
    wrapper = root or _wrapper(checkpoint)
    held = {name.removeprefix(wrapper): info for name, info in checkpoint.tensors.items() if name.startswith(wrapper)}
    if not held:
        raise LayoutMismatch(f"{checkpoint.path}: no tensor's name begins with {wrapper!r}")
    held = _without(checkpoint, held, leave)
    if unsaid := [name for name in held if "{" in name or "}" in name]:
        heading = f"{checkpoint.path}: names with {{ or }}, which the map language keeps for placeholders:"
        raise LayoutMismatch(listing(heading, unsaid))
    one_output = any(len(info.shape) == 2 and min(info.shape) == 1 < max(info.shape) for info in held.values())
    floats = {
        name: info.shape
        for name, info in held.items()
        if info.dtype in FLOATS and (max(info.shape, default=0) > 1 or (one_output and info.shape == (1,)))
    }
    single = {name: info for name, info in held.items() if name not in floats}
    asked = tuple(Copies(pattern, "left out of the draft, as asked") for pattern in leave)
    if average := _common_average(floats):
        floats = {name.removesuffix(average): shape for name, shape in floats.items()}
        return Contents(checkpoint, floats, single, "{name}" + average, copies=asked, wrapper=wrapper)
    copies = list(asked)
    average = unsure = ""
    for affix, owners in _affixes(floats).items():
        word = affix.replace("{name}", "").strip("".join(SEPARATORS))
        floats = {name: shape for name, shape in floats.items() if name not in owners}
        if _AVERAGE_WORDS.search(word):
            average = affix
            continue
        is_slot = bool(_SLOT_WORDS.search(word))
        copies.append(Copies(affix.replace("{name}", "*"), "optimizer slot" if is_slot else ""))
        unsure = unsure if is_slot else affix
    return Contents(checkpoint, floats, single, average, unsure, tuple(copies), wrapper)


def _without(checkpoint: Checkpoint, held: dict[str, TensorInfo], leave: Sequence[str]) -> dict[str, TensorInfo]:
    """Return `held` without the names that a pattern of `leave` fits."""
    for pattern in leave:
        kept = {name: info for name, info in held.items() if not fnmatchcase(name, pattern)}
        if len(kept) == len(held):
            raise LayoutMismatch(f"{checkpoint.path}: {option('leave', [pattern])}: no tensor has such a name")
        held = kept
    return held


def _wrapper(checkpoint: Checkpoint) -> str:
    """Return the prefix of the network, that of its averages if there are any, with `module.`; "" without one.

    Raises LayoutMismatch if several networks are as likely.
    """
    names = list(checkpoint.tensors)
    dicts = _by_prefix(names, lambda name: name[: name.rfind("/") + 1] if checkpoint.nested else "")
    prefix = _chosen(checkpoint.path, _whole(dicts))
    names = [name for name in names if name.startswith(prefix)]
    parts = _whole(_by_prefix(names, lambda name: prefix + _first(name.removeprefix(prefix))))
    if len(parts) > 1 and len({frozenset(held) for held in parts.values()}) == 1:  # else parts of one network
        prefix = _chosen(checkpoint.path, parts)
    return prefix + _PARALLEL if all(name.startswith(prefix + _PARALLEL) for name in names) else prefix


def _by_prefix(names: Iterable[str], prefix_of: Callable[[str], str]) -> dict[str, list[str]]:
    """Return {prefix: the rest of the names that begin with it}."""
    parts: dict[str, list[str]] = {}
    for name in names:
        prefix = prefix_of(name)
        parts.setdefault(prefix, []).append(name.removeprefix(prefix))
    return parts


def _whole(parts: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return those parts of a file that may each hold a whole network."""
    weights = {prefix: names for prefix, names in parts.items() if not _SLOT_WORDS.search(prefix)} or parts
    least = max(0.9 * max(map(len, weights.values()), default=0), _FEWEST_TENSORS)
    return {prefix: names for prefix, names in weights.items() if len(names) > least}


def _chosen(path: Path, parts: Mapping[str, list[str]]) -> str:
    """Return the prefix of the one part, or of the averages. Raises LayoutMismatch if several are as likely."""
    prefixes = [prefix for prefix in parts if _AVERAGE_WORDS.search(prefix)] or list(parts)
    if len(prefixes) > 1:
        shown = ", ".join(map(repr, prefixes))
        raise LayoutMismatch(f"{path}: holds several networks, under {shown}; give one with {option('root')}")
    return "".join(prefixes)


def _first(name: str) -> str:
    """Return the first component of a name with its separator; "" for a name of one component."""
    return name[: min((name.find(separator) + 1 for separator in SEPARATORS if separator in name), default=0)]


def _common_average(floats: Mapping[str, Shape]) -> str:
    """Return the suffix `/ExponentialMovingAverage` if every name has it, else ""."""
    ends = {_last(name) for name in floats}
    return next((end for end in ends if len(ends) == 1 and _AVERAGE_WORDS.search(end)), "")


def _last(name: str) -> str:
    """Return the last component of a name with its separator."""
    cut = max(name.rfind(separator) for separator in SEPARATORS)
    return name[cut:] if cut > 0 else ""


def _affixes(floats: Mapping[str, Shape]) -> dict[str, set[str]]:
    """Return {affix such as `moments.{name}`: the names that have it}, for names that repeat other tensors."""
    found: dict[str, set[str]] = {}
    for name, shape in floats.items():
        for affix, plain in _without_affix(name):
            if floats.get(plain) == shape:
                found.setdefault(affix, set()).add(name)
                break
    return {affix: names for affix, names in found.items() if len(names) >= _FEWEST_COPIES}


def _without_affix(name: str) -> Iterator[tuple[str, str]]:
    last = _last(name)
    if last:
        yield "{name}" + last, name.removesuffix(last)
    for place, character in enumerate(name):
        if character in SEPARATORS:
            yield name[: place + 1] + "{name}", name[place + 1 :]
