"""The contents of a pickled value: tensors, named by the path of keys to them, and other values.

The other values are short strings, and objects that are not read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from effconvert.budget import ENTRY, Budget
from effconvert.errors import UnreadableCheckpoint, listing, some
from effconvert.formats.checkpoint import INNER_KEYS, NETWORK_KEYS, OTHER_KEYS, Withheld, check_name
from effconvert.formats.torch.arrays import Array
from effconvert.formats.torch.keys import Key
from effconvert.formats.torch.objects import Found, count_inside, refusal
from effconvert.formats.torch.tensors import Inert, InertName, StorageView, Tensor, Unread

_DEEPEST = 40
_LONGEST_NAME = 4096
_STEPS_OF_VALUE = 3  # a pickle can put one list in 2**40 places
_TEXT_LEVELS = 2  # `arch`, `args/model`; deeper ones are mostly an optimizer's state
_NAME_KEYS = frozenset((*NETWORK_KEYS, *OTHER_KEYS, *INNER_KEYS))  # `config/model/name`
_MOST_TEXTS = 200
_LONGEST_TEXT = 500
_MOST_OBJECTS = 1000
_MOST_SHOWN = 10

_LEAVES = (Tensor, Unread, StorageView)
_NESTS = (dict, list, tuple)
_PLAIN = (str, int, float)
# Objects that are dicts with attribute access; their tensors are read like those of a dict.
_NAMESPACES = ("argparse.Namespace", "types.SimpleNamespace")

# Keys of this project's own description (description.py): other files' values must not look like it.
OUR_TEXTS = frozenset(
    "format schema effconvert variant weights layout taken map_sha256 facts recipe options source target labels"
    " coverage digest".split()
)


@dataclass
class Content:
    """The tensors, the skipped values with a reason, the skipped objects that hold tensors, and the strings."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    withheld: dict[str, Withheld] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


def find_content(value: Any, path: Path, budget: Budget, names: Sequence[str] = ()) -> Content:
    """Return the contents of the pickled `value` of the file at `path`; names of nested levels are joined by `/`.

    budget: that of the file. names: the unknown classes and functions in the pickle. Raises UnreadableCheckpoint if
    there is no tensor outside of objects, if two have the same name, if the nesting is too deep, or if the values are
    too much for the budget.
    """
    found = _Search(path, budget)
    if _is_nest(value):
        found.enter("", value, ())
    elif isinstance(value, Inert):
        found.add_object("", value, ())
    content = found.content
    if found.problems:
        raise UnreadableCheckpoint(listing(f"{path}: two tensors have the same name:", found.problems))
    if not content.tensors:
        reason = refusal(path, value, list(found.objects.values()))
        raise UnreadableCheckpoint(reason or f"{path}: holds no dict of tensors: {_in_words(value, content)}")
    content.skipped |= found.objects_in_words(names)
    content.withheld = {name: held.withheld(path) for name, held in found.objects.items() if held.tensors}
    return content


class _Search:
    """A walk through nested values."""

    def __init__(self, path: Path, budget: Budget) -> None:
        self.path = path
        self.budget = budget
        self.content = Content()
        self.objects: dict[str, Found] = {}
        self.more_objects = 0
        self.problems: list[str] = []
        self.seen: set[int] = set()

    def enter(self, prefix: str, nest: Any, keys: tuple[Any, ...]) -> None:
        """Walk through the values in `nest`; their names begin with `prefix`; `keys` is the path to it."""
        if len(keys) > _DEEPEST:
            raise UnreadableCheckpoint(f"{self.path}: values are nested more than {_DEEPEST} levels deep")
        for key, value in _items(nest):
            self.budget.step(_STEPS_OF_VALUE)
            if isinstance(key, Key):
                self.add_key(prefix, key)
            if isinstance(value, Array):
                value = value.value
            if isinstance(value, _LEAVES):
                self.add(self.name(prefix, key), value)
            elif _is_nest(value):
                self.enter(self.name(prefix, key, "/"), value, (*keys, key))
            elif isinstance(value, Inert | InertName):
                self.add_object(self.name(prefix, key), value, (*keys, key))
            elif isinstance(value, _PLAIN) and isinstance(nest, dict | Inert) and _is_kept(key, len(keys)):
                self.add_text(prefix + str(key), value)

    def name(self, prefix: str, key: Any, end: str = "") -> str:
        """Return the name of the value at `key`."""
        name = f"{prefix}{key}{end}"
        if len(name) > _LONGEST_NAME:
            raise UnreadableCheckpoint(f"{self.path}: a name of more than {_LONGEST_NAME:,} characters")
        self.budget.draw(len(name) + ENTRY, "its names")  # the name of a level is repeated in all names below it
        return name

    def add(self, name: str, value: Tensor | Unread | StorageView) -> None:
        check_name(name, self.path)
        if name in self.content.tensors or name in self.content.skipped:
            self.problems.append(name)
        elif isinstance(value, Tensor):
            self.content.tensors[name] = value
        elif isinstance(value, Unread):
            self.content.skipped[name] = value.reason
        else:
            self.content.skipped[name] = "a storage without a shape"

    def add_key(self, prefix: str, key: Key) -> None:
        """Record a key that holds a tensor, such as the parameter that is an optimizer's key of its state."""
        if id(key.held) not in self.seen and count_inside(key.held, self.seen)[0]:
            self.content.skipped[self.name(prefix, key, " itself")] = "a key of a dict"

    def add_object(self, name: str, value: Inert | InertName, keys: tuple[Any, ...]) -> None:
        """Record an object that is not read, and its short strings if it is made of plain fields."""
        found = Found(keys, value, *count_inside(value, self.seen))
        if found.is_reported and len(self.objects) < _MOST_OBJECTS:
            self.objects[_printable(name)] = found
        else:
            self.more_objects += found.is_reported
        if isinstance(value, Inert) and not found.tensors and len(keys) < _TEXT_LEVELS and _is_made_of_fields(value):
            for key, text in value.fields.items():
                if isinstance(text, _PLAIN):
                    self.add_text(f"{name}/{key}", text)

    def add_text(self, name: str, value: str | int | float) -> None:
        texts = self.content.texts
        if len(texts) < _MOST_TEXTS and len(name) <= _LONGEST_TEXT and name.isprintable() and name not in OUR_TEXTS:
            texts.setdefault(name, _printable(str(value)[:_LONGEST_TEXT], "\n"))

    def objects_in_words(self, names: Sequence[str]) -> dict[str, str]:
        """Return the reason for each object that is not read; `names` that no reason mentions come last."""
        reasons = {name: found.reason for name, found in self.objects.items() if name not in self.content.tensors}
        said = {found.value.name for found in self.objects.values()}.union(_NAMESPACES)
        rest = [name for name in names if name not in said]
        if rest:
            more = f" and {len(rest) - _MOST_SHOWN:,} more" if len(rest) > _MOST_SHOWN else ""
            reasons["(inside of objects)"] = f"not read: {', '.join(rest[:_MOST_SHOWN])}{more}"
        if self.more_objects:
            reasons["(more objects)"] = f"not read: {self.more_objects:,} more objects"
        return reasons


def _is_kept(key: Any, depth: int) -> bool:
    """Return whether a string at this depth is kept; at the deepest level only if it may name a network."""
    return depth < _TEXT_LEVELS or (depth == _TEXT_LEVELS and str(key).lower() in _NAME_KEYS)


def _is_nest(value: Any) -> bool:
    return isinstance(value, _NESTS) or (isinstance(value, Inert) and value.name in _NAMESPACES)


def _items(nest: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(nest, Inert):
        nest = nest.fields
    return iter(nest.items() if isinstance(nest, Mapping) else enumerate(nest))


def _is_made_of_fields(value: Inert) -> bool:
    """Return whether the object is a kind of dict, or has plain fields, such as a dataclass."""
    return value.entries is not None or not any(str(key).startswith("_") for key in value.fields)


def _printable(text: str, also: str = "") -> str:
    return "".join(c if c.isprintable() or c in also else "\N{REPLACEMENT CHARACTER}" for c in text)


def _in_words(value: Any, content: Content) -> str:
    """Return what a value without tensors is."""
    if content.skipped:
        name, reason = next(iter(content.skipped.items()))
        return f"{len(content.skipped):,} tensors that are not read ({name}: {reason})"
    if isinstance(value, Tensor):
        return "a single tensor, without a name"
    if isinstance(value, dict) and value:
        keys = some([ascii(str(key)[:40]) for key in list(value)[:6]], 5)
        return f"a dict of {len(value):,} values ({keys}), none a tensor"
    return f"an object of {value.name}" if isinstance(value, Inert) else f"a value of type {type(value).__name__}"
