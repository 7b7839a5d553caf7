"""Finds the tensors in what was pickled, names them by the way to them, and gathers the short texts beside them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from effconvert.errors import UnreadableCheckpoint, listing
from effconvert.formats.checkpoint import check_name
from effconvert.formats.torch_tensors import Inert, StorageView, Tensor, Unread

_DEEPEST = 40
_MOST_VALUES = 500_000  # a pickle can have one list stand in 2**40 places
_LONGEST_NAME = 4096
_TEXT_LEVELS = 2  # `arch`, `args/model`; an optimizer's state would crowd them out
_MOST_TEXTS = 200
_LONGEST_TEXT = 500

_LEAVES = (Tensor, Unread, StorageView)
_NESTS = (dict, list, tuple)
_PLAIN = (str, int, float)

# What a file of this project says of itself (description.py): another file's values must not pass for it.
OUR_TEXTS = frozenset(
    "format schema effconvert variant weights layout taken map_sha256 facts recipe options source target labels"
    " coverage digest".split()
)


@dataclass
class Content:
    """The tensors, those that are not read with the reason, and the texts, by name."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


def find_content(value: Any, path: Path) -> Content:
    """Return what the pickled `value` of the file at `path` holds; the names of nested levels are joined by `/`.

    Raises UnreadableCheckpoint when it has no tensor, two of one name, or is nested too deep.
    """
    found = _Search(path)
    if _is_nest(value):
        found.enter("", value, 0)
    if found.problems:
        raise UnreadableCheckpoint(listing(f"{path}: two tensors have one name:", found.problems))
    if not found.content.tensors:
        raise UnreadableCheckpoint(f"{path}: holds no dict of tensors: {_in_words(value, found.content)}")
    return found.content


class _Search:
    """A walk through nested values."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = Content()
        self.problems: list[str] = []
        self.left = _MOST_VALUES

    def enter(self, prefix: str, nest: Any, depth: int) -> None:
        """Go through the values in `nest`, whose names begin with `prefix`."""
        if depth > _DEEPEST:
            raise UnreadableCheckpoint(f"{self.path}: values are nested more than {_DEEPEST} levels deep")
        for key, value in _items(nest):
            self.left -= 1
            if self.left < 0:
                raise UnreadableCheckpoint(f"{self.path}: holds more than {_MOST_VALUES:,} values")
            if isinstance(value, _LEAVES):
                self.add(prefix + str(key), value)
            elif _is_nest(value):
                inner = f"{prefix}{key}/"
                if len(inner) > _LONGEST_NAME:
                    raise UnreadableCheckpoint(f"{self.path}: a name of more than {_LONGEST_NAME:,} characters")
                self.enter(inner, value, depth + 1)
            elif depth < _TEXT_LEVELS and isinstance(value, _PLAIN) and isinstance(nest, dict | Inert):
                self.add_text(prefix + str(key), value)

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

    def add_text(self, name: str, value: str | int | float) -> None:
        texts = self.content.texts
        if len(texts) < _MOST_TEXTS and len(name) <= _LONGEST_TEXT and name.isprintable() and name not in OUR_TEXTS:
            text = str(value)[:_LONGEST_TEXT]
            texts.setdefault(
                name, "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
            )


def _is_nest(value: Any) -> bool:
    return isinstance(value, _NESTS) or (isinstance(value, Inert) and value.fields is not None)


def _items(nest: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(nest, Inert):
        nest = nest.fields
    return iter(nest.items() if isinstance(nest, Mapping) else enumerate(nest))


def _in_words(value: Any, content: Content) -> str:
    """Say what a value without tensors is."""
    if content.skipped:
        name, reason = next(iter(content.skipped.items()))
        return f"{len(content.skipped):,} tensors that are not read ({name}: {reason})"
    if isinstance(value, Tensor):
        return "a single tensor, without a name"
    if isinstance(value, dict) and value:
        keys = ", ".join(ascii(str(key)[:40]) for key in list(value)[:5])
        return f"a dict of {len(value):,} values ({keys}{', …' if len(value) > 5 else ''}), none a tensor"
    return f"a {value.name}" if isinstance(value, Inert) else f"a value of type {type(value).__name__}"
