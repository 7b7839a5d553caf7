"""The interface of all formats: names, shapes and dtypes without reading the data, then one tensor at a time."""

import hashlib
import math
import os
import stat
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import crc32c
import ml_dtypes
import numpy as np

from effconvert.budget import Budget
from effconvert.errors import UnreadableCheckpoint
from effconvert.hashing import FileState
from effconvert.shown import Row, Shown

Shape = tuple[int, ...]
Array = np.ndarray[Any, np.dtype[Any]]
# From bytes, and the checksum of the bytes before them, to the checksum of both.
Checksum = Callable[[bytes, int], int]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_PIECE, _PIECE_OF_HASH = 1 << 20, 4 << 20
# Metadata that is known only after the last tensor: {placeholder: string of the same length}.
Late = Callable[[], Mapping[str, str]]

MOST_AXES = 32  # numpy before 2.0 has no more
_MOST_BYTES = 1 << 62

QUANTIZED = "quantized"  # the start of the reason for not reading such a tensor
# Keys under which a training keeps the name of its network. A string under the first keys always means a network, one
# under the others only if it is exactly the name of a network. The last are inside one of those: `model/name`.
NETWORK_KEYS = ("arch", "architecture", "model", "model_name")
OTHER_KEYS = ("backbone", "backbone_name", "encoder", "encoder_name", "net", "network", "timm_name")
INNER_KEYS = ("name", "type")

FLOATS = (np.dtype(np.float32), np.dtype(np.float16), BFLOAT16, np.dtype(np.float64))


@dataclass(frozen=True)
class TensorInfo:
    """A tensor's name, shape and dtype."""

    name: str
    shape: Shape
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """The size of the data in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Withheld:
    """An object that holds tensors and is not read, because that would run code of the file.

    words: its description. tensors: how many are inside. whole: whether it is a whole model or a dict. remedy: Python
    code that saves them.
    """

    words: str
    tensors: int
    whole: bool
    remedy: str


def tensor_rows(tensors: Iterable[TensorInfo]) -> list[Row]:
    """Return a row of plain values for each tensor."""
    return [{"name": t.name, "shape": t.shape, "dtype": str(t.dtype), "nbytes": t.nbytes} for t in tensors]


class Checkpoint(Shown):
    """An open file of named tensors.

    format: the name of the format. tensors: the readable tensors, in file order. skipped: the others, with the reason.
    withheld: the skipped objects that hold tensors. metadata: strings that the file has beside its tensors. files: all
    files of the checkpoint. nested: whether a "/" in a name separates a dict from its entries. remarks: warnings on how
    the checkpoint was found. behind: tensors that use only the pooled features, according to the file.
    """

    format: str
    path: Path
    files: tuple[Path, ...]
    tensors: Mapping[str, TensorInfo]
    skipped: Mapping[str, str]
    metadata: Mapping[str, str]
    nested = False
    remarks: tuple[str, ...] = ()
    withheld: Mapping[str, Withheld] = MappingProxyType({})

    @property
    def behind(self) -> frozenset[str]:
        """None for a format without a graph."""
        return frozenset()

    @abstractmethod
    def read(self, name: str) -> Array:
        """Return the tensor `name`, contiguous, in the machine's byte order, read-only.

        Raises UnreadableCheckpoint if the data is damaged.
        """

    @property
    def line(self) -> str:
        """The file and its number of tensors, in one line."""
        return f"{self.path}: {self.format}, {len(self.tensors):,} tensors"

    def to_rows(self) -> list[Row]:
        """Return a row for each readable tensor, in the order of the file."""
        return tensor_rows(self.tensors.values())

    def checksum(self, name: str) -> int:
        """Return the CRC32C of the bytes that `read` gives; read in pieces if possible, to save memory.

        Raises UnreadableCheckpoint if the data is damaged.
        """
        return int(crc32c.crc32c(as_bytes(self.read(name))))

    def __init__(self) -> None:
        self._exits = ExitStack()
        self._states: dict[Path, FileState] = {}

    def open_file(self, path: Path, shown: Path | None = None) -> "DataFile":
        """Open one of the checkpoint's files until it is closed, and remember which file it is."""
        file = DataFile(path, shown)
        self.on_close(file.close)
        self._states[path] = file.state
        return file

    @property
    def states(self) -> Mapping[Path, FileState]:
        """{path: state of the file that was opened there}, for all files of the checkpoint."""
        return self._states

    def sha256(self, is_stopped: Callable[[], bool] = lambda: False) -> dict[str, str]:
        """Return {file name: SHA-256} of the files that the tensors come from.

        is_stopped: asked often; if it says yes, CancelledError is raised. Raises UnreadableCheckpoint if another file
        took the place of one, or if one was changed.
        """
        found = {}
        for path in self.files:
            with DataFile(path) as file:
                if file.state != self.states[path]:
                    raise UnreadableCheckpoint(_changed(path))
                found[path.name] = file.sha256(is_stopped)
        self.require_unchanged()
        return found

    def require_unchanged(self) -> None:
        """Raise UnreadableCheckpoint if a file of the checkpoint was changed or replaced since it was opened."""
        for path in self.files:
            try:
                same = FileState.of(path) == self.states[path]
            except OSError:
                same = False
            if not same:
                raise UnreadableCheckpoint(_changed(path))

    def on_close(self, cleanup: Callable[[], None]) -> None:
        """Call `cleanup` when the checkpoint is closed."""
        self._exits.callback(cleanup)

    def close(self) -> None:
        """Close every file."""
        self._exits.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class DataFile:
    """A file that is read at given positions. It is not mapped: mapped pages would count as resident memory.

    Everything that is parsed from it draws on its `budget`.
    """

    def __init__(self, path: Path, shown: Path | None = None) -> None:
        """Open `path`, called `shown` in messages."""
        self.path = shown or path
        try:
            # Without O_NONBLOCK, opening a pipe would block.
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            raise UnreadableCheckpoint(f"{path}: cannot be opened: {error.strerror}") from error
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise UnreadableCheckpoint(f"{path}: not a regular file")
        self.size = status.st_size
        self.state = FileState.of(self._descriptor)

    @cached_property
    def budget(self) -> Budget:
        """What parsing the file may take."""
        return Budget(self.path, self.size)

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`. Raises UnreadableCheckpoint if the file ends before."""
        pieces = []
        while size:
            try:
                piece = os.pread(self._descriptor, size, offset)
            except OSError as error:
                reason = f"cannot be read at byte {offset:,}: {error.strerror}"
                raise UnreadableCheckpoint(f"{self.path}: {reason}") from error
            except MemoryError as error:
                raise UnreadableCheckpoint(f"{self.path}: {size:,} bytes of it do not fit into the memory") from error
            if not piece:
                raise UnreadableCheckpoint(f"{self.path}: ends at byte {offset:,}, {size:,} bytes too early")
            pieces.append(piece)
            offset, size = offset + len(piece), size - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def whole(self, largest: int, complaint: str) -> bytes:
        """Return all bytes. Raises UnreadableCheckpoint, for more than `largest` bytes with `complaint`."""
        if self.size > largest:
            raise UnreadableCheckpoint(f"{self.path}: {self.size:,} bytes{complaint}")
        return self.read(0, self.size)

    def pieces(self, offset: int, size: int) -> Iterator[bytes]:
        """Yield `size` bytes from `offset` in pieces, to save memory."""
        for start in range(offset, offset + size, _PIECE):
            yield self.read(start, min(_PIECE, offset + size - start))

    def checksum(self, offset: int, size: int, found: int = 0, algorithm: Checksum = crc32c.crc32c) -> int:
        """Return the CRC32C of `size` bytes from `offset`, read in pieces; `found` is that of the bytes before."""
        for start in range(offset, offset + size, _PIECE):  # `pieces` would keep two of them in memory
            found = algorithm(self.read(start, min(_PIECE, offset + size - start)), found)
        return found

    def crc32(self, offset: int, size: int, found: int = 0) -> int:
        """Return the CRC-32 of `size` bytes from `offset`, read in pieces; `found` is that of the bytes before."""
        return self.checksum(offset, size, found, zlib.crc32)

    def sha256(self, is_stopped: Callable[[], bool] = lambda: False) -> str:
        """Return the SHA-256 of the whole file in hexadecimal. Raises CancelledError if `is_stopped` says so."""
        digest = hashlib.sha256()
        # Large pieces: between them the thread waits for Python's lock, and the others may hold it for milliseconds.
        for start in range(0, self.size, _PIECE_OF_HASH):
            if is_stopped():
                raise CancelledError
            digest.update(self.read(start, min(_PIECE_OF_HASH, self.size - start)))
        return digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def read_whole(path: Path, largest: int, complaint: str) -> bytes:
    """Return all bytes of the file at `path`.

    Raises UnreadableCheckpoint; for a file of more than `largest` bytes with its size and `complaint`.
    """
    with DataFile(path) as file:
        return file.whole(largest, complaint)


def _changed(path: Path) -> str:
    return f"{path}: was changed or replaced while it was read; run again when nothing writes it"


def as_array(data: bytes | memoryview, info: TensorInfo) -> Array:
    """Return `data` as the tensor `info` describes, without a copy."""
    return np.frombuffer(data, info.dtype).reshape(info.shape)


def as_bytes(array: Array) -> memoryview:
    """Return the bytes of a contiguous array, without a copy."""
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def check_shape(shape: Shape, dtype: np.dtype[Any]) -> None:
    """Raise ValueError if an array cannot have `shape`; the limit also holds if an axis is empty."""
    if len(shape) > MOST_AXES:
        raise ValueError(f"a tensor has {len(shape):,} axes")
    if any(size < 0 for size in shape) or math.prod(size for size in shape if size) * dtype.itemsize > _MOST_BYTES:
        raise ValueError(f"a tensor has shape {tuple(shape)}")


def check_name(name: str, path: Path) -> str:
    """Return `name`. Raises UnreadableCheckpoint if it has characters that are impossible in a tensor's name."""
    if not name.isprintable() or len(name) > 4096:
        raise UnreadableCheckpoint(f"{path}: a tensor is named {name[:80]!r}, which no framework writes")
    return name
