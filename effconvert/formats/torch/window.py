"""A window on the bytes of a pickle: the file is read in pieces, so that the rest of the file is not read."""

from effconvert.formats.checkpoint import DataFile
from effconvert.formats.torch.tensors import PickleError

_PIECE = 256 << 10
_LONGEST_LINE = 1000


class Window:
    """The bytes of a pickle that begins at `start` and ends before `end`."""

    def __init__(self, file: DataFile, start: int, end: int) -> None:
        self._file = file
        self._end = end
        self._piece = b""
        self._at = 0
        self._start = start

    @property
    def position(self) -> int:
        """The position of the next byte in the file."""
        return self._start + self._at

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        at = self._at
        stop = at + size
        if stop > len(self._piece):
            self._refill(size)
            at, stop = 0, size
        self._at = stop
        return self._piece[at:stop]

    def number(self, size: int) -> int:
        """Return the next unsigned number of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def line(self) -> str:
        """Return the next line, without its newline."""
        at = self._at
        stop = self._piece.find(b"\n", at, at + _LONGEST_LINE)
        if stop < 0:
            self._refill(min(_LONGEST_LINE, self._end - self.position))
            at, stop = 0, self._piece.find(b"\n", 0, _LONGEST_LINE)
            if stop < 0:
                raise PickleError("has a name that does not end")
        self._at = stop + 1
        return self._piece[at:stop].decode()

    def check(self, size: int) -> None:
        """Raise PickleError if the pickle cannot have `size` more bytes."""
        if size > self._end - self.position:
            raise PickleError(f"is cut off: {size:,} bytes are declared, but {self._end - self.position:,} are left")

    def skip(self, size: int) -> None:
        """Skip `size` bytes."""
        self.check(size)
        self._start, self._piece, self._at = self._start + self._at + size, self._piece[self._at + size :], 0

    def _refill(self, size: int) -> None:
        """Load a piece that begins at the next byte and has at least `size` bytes."""
        self.check(size)
        self._start += self._at
        self._piece = self._file.read(self._start, min(max(size, _PIECE), self._end - self._start))
        self._at = 0
