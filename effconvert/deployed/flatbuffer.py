"""The wire format of FlatBuffers: tables, vectors and strings by position, every position checked.

Source: https://flatbuffers.dev/internals/
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effconvert.budget import OBJECT, Budget

_NUMBERS = {"<b": 1, "<B": 1, "<h": 2, "<H": 2, "<i": 4, "<I": 4, "<f": 4, "<q": 8, "<Q": 8}


class FlatBufferError(ValueError):
    """The bytes are not a FlatBuffer."""


@dataclass(frozen=True)
class Table:
    """A table at `position` in `data`. budget: that of the file, drawn on for what is returned."""

    data: memoryview
    position: int
    budget: Budget

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """Return a whole number of a field. kind: as in `struct`."""
        place = self._field(field)
        return default if place is None else int(_number(self.data, place, kind))

    def text(self, field: int) -> str:
        """Return a string, "" if the field is left out."""
        place = self._field(field)
        if place is None:
            return ""
        start, size = self._vector(place, 1)
        self.budget.draw(OBJECT + size, "its texts")
        return bytes(self.data[start : start + size]).decode("utf-8", "replace")

    def numbers(self, field: int, dtype: str) -> NDArray[np.generic]:
        """Return a vector of numbers, empty if the field is left out. dtype: numpy's."""
        place = self._field(field)
        if place is None:
            return np.empty(0, dtype)
        item = np.dtype(dtype).itemsize
        start, size = self._vector(place, item)
        return np.frombuffer(self.data[start : start + size * item], dtype)

    def span(self, field: int) -> tuple[int, int] | None:
        """Return position and size of a vector of bytes, None if the field is left out."""
        place = self._field(field)
        return None if place is None else self._vector(place, 1)

    def table(self, field: int) -> "Table | None":
        """Return a table, None if the field is left out."""
        place = self._field(field)
        return None if place is None else self._table_at(place)

    def tables(self, field: int) -> Iterator["Table"]:
        """Yield the tables of a vector."""
        place = self._field(field)
        if place is None:
            return
        start, size = self._vector(place, 4)
        for index in range(size):
            self.budget.step()
            yield self._table_at(start + 4 * index)

    def _table_at(self, place: int) -> "Table":
        return Table(self.data, place + int(_number(self.data, place, "<I")), self.budget)

    def _field(self, field: int) -> int | None:
        """Return the position of a field's value, None if the table leaves it out."""
        self.budget.step()
        layout = self.position - int(_number(self.data, self.position, "<i"))
        entry = 4 + 2 * field
        if entry + 2 > int(_number(self.data, layout, "<H")):
            return None
        offset = int(_number(self.data, layout + entry, "<H"))
        return self.position + offset if offset else None

    def _vector(self, place: int, item: int) -> tuple[int, int]:
        """Return the position of the first item of a vector, and the number of its items."""
        start = place + int(_number(self.data, place, "<I"))
        size = int(_number(self.data, start, "<I"))
        if start + 4 + size * item > len(self.data):
            raise FlatBufferError(f"a vector of {size:,} items at byte {start:,} is longer than the file")
        return start + 4, size


def root(data: memoryview, budget: Budget) -> Table:
    """Return the table that a FlatBuffer begins with. Raises FlatBufferError."""
    return Table(data, int(_number(data, 0, "<I")), budget)


def _number(data: memoryview, place: int, kind: str) -> int | float:
    if place < 0 or place + _NUMBERS[kind] > len(data):
        raise FlatBufferError(f"it points to byte {place:,}, and has {len(data):,}")
    found: int | float = struct.unpack_from(kind, data, place)[0]
    return found
