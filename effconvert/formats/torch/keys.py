"""Keys of pickled dicts: strings and numbers stay; any other key becomes a placeholder, so that it is never hashed.

Hashing a deeply nested tuple can overflow the C stack, and large numbers can be chosen so that all keys of a dict have
the same hash.
"""

from typing import Any

from effconvert.formats.torch.tensors import Data, Inert, InertName, PickleError, StorageView, Tensor, Unread

_PLAIN = frozenset([str, int, float, bool, type(None)])
_LARGEST = 1 << 60  # smaller numbers are their own hashes
_MOST_SHOWN = 8  # values of a tuple
_LONGEST_SHOWN = 100  # characters of one of them

_WORDS = {tuple: "tuple", Data: "bytes", Tensor: "tensor", Unread: "tensor", StorageView: "storage"}
_OTHERS = frozenset([InertName, Inert, *_WORDS])


class Key:
    """A key that is not a string or number, or is too large a number: it is equal to no other key.

    held: the real key. number: the number of its entry in the dict, which makes similar keys different.
    """

    __slots__ = ("held", "number")

    def __init__(self, held: Any, number: int) -> None:
        self.held = held
        self.number = number

    def __str__(self) -> str:
        """The text of it in names; made only on demand, as it may be longer than its bytes in the file."""
        held, kind = self.held, type(self.held)
        if kind is int:
            return str(held)
        if kind is InertName:
            return f"<{held.name}>"
        if kind is Inert:
            return f"<{held.name} {self.number}>"
        if kind is tuple and len(held) <= _MOST_SHOWN and all(_is_short(part) for part in held):
            return f"({', '.join(map(str, held))})"
        return f"<{_WORDS[kind]} {self.number}>"

    __repr__ = __str__


def as_key(value: Any, number: int) -> Any:
    """Return the key `value` of the entry `number` of its dict, or its placeholder.

    Raises PickleError for a value that cannot be a key in Python.
    """
    kind = type(value)
    if kind in _PLAIN:
        return Key(value, number) if kind is int and abs(value) >= _LARGEST else value
    if kind in _OTHERS:
        return Key(value, number)
    raise PickleError("has a dict with a key of a type that cannot be one")


def _is_short(part: Any) -> bool:
    return type(part) in _PLAIN and not (type(part) is str and len(part) > _LONGEST_SHOWN)
