"""The fields of protocol buffers in a file, found by position; contents of any size are skipped."""

from collections.abc import Iterator
from typing import NamedTuple

from effconvert.formats.checkpoint import DataFile
from effconvert.formats.protobuf import WireError, read_varint

_WINDOW = 4096
_LONGEST_VARINT = 10


class Span(NamedTuple):
    """A place in a file."""

    offset: int
    size: int


class StoredFields:
    """Reads the fields of messages in `file`: numbers as values, bytes as places. budget: that of the file."""

    def __init__(self, file: DataFile) -> None:
        self._file = file
        self.budget = file.budget
        self._start, self._data = 0, b""

    def of(self, message: Span) -> Iterator[tuple[int, int | Span]]:
        """Yield (number, value) of each field of the message at a place.

        Raises WireError for anything except varints, and bytes inside the message.
        """
        position, end = message.offset, message.offset + message.size
        while position < end:
            begin = position
            key, position = self._varint(position, end)
            if key & 7 not in (0, 2):
                raise WireError(f"byte {begin:,} begins a field of kind {key & 7}")
            value, position = self._varint(position, end)
            if key & 7 == 0:
                yield key >> 3, value
                continue
            if value > end - position:
                raise WireError(f"byte {begin:,}: a field declares {value:,} bytes, but {end - position:,} are left")
            yield key >> 3, Span(position, value)
            position += value

    def read(self, place: Span) -> bytes:
        """Return the bytes at `place`; short pieces near each other are read together."""
        offset = place.offset - self._start
        if offset < 0 or offset + place.size > len(self._data):
            size = max(place.size, min(_WINDOW, self._file.size - place.offset))
            self._start, self._data, offset = place.offset, self._file.read(place.offset, size), 0
        return self._data[offset : offset + place.size]

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        value, length = read_varint(self.read(Span(position, min(_LONGEST_VARINT, end - position))), 0)
        return value, position + length
