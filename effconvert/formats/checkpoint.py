"""What every format gives: names, shapes and dtypes without reading the data, then one tensor at a time."""

import math
import os
import stat
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import crc32c
import ml_dtypes
import numpy as np

from effconvert.errors import UnreadableCheckpoint

Shape = tuple[int, ...]
Array = np.ndarray[Any, np.dtype[Any]]
# From bytes, and the checksum of those before them, to that of both.
Checksum = Callable[[bytes, int], int]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_PIECE = 1 << 20
# Texts of a file's metadata that are known only after the last tensor: {placeholder: text of the same length}.
Late = Callable[[], Mapping[str, str]]

MOST_AXES = 32  # numpy before 2.0 has no more
_MOST_BYTES = 1 << 62

QUANTIZED = "quantized"  # how the reason begins why such a tensor is not read
# Under which keys a training keeps the name of its network. A text under one of the first is meant for a network; one
# under the others only where it is exactly a network's name; the last stand within one of those: `model/name`.
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
    """An object that holds tensors and is not read, as that would run code of the file.

    words: what it is. tensors: how many are inside. whole: whether it is a whole model or a dict. remedy: Python that
    saves them.
    """

    words: str
    tensors: int
    whole: bool
    remedy: str


class Checkpoint(ABC):
    """An open file of named tensors.

    format: the format in words. tensors: what can be read, in file order. skipped: what cannot, with the reason.
    withheld: the objects among those that hold tensors. metadata: the texts that the file carries beside its tensors.
    files: all that the checkpoint consists of. nested: whether a "/" in a name parts a dict from its entries. remarks:
    what a user should know of how it was found. behind: tensors that the file tells to act on the pooled features only.
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
        """None, where a format has no graph."""
        return frozenset()

    @abstractmethod
    def read(self, name: str) -> Array:
        """Return the tensor `name`, contiguous, in the machine's byte order, not writable.

        Raises UnreadableCheckpoint when the data is damaged.
        """

    def checksum(self, name: str) -> int:
        """Return the CRC32C of the bytes that `read` gives; in pieces where a format can, so that memory stays small.

        Raises UnreadableCheckpoint when the data is damaged.
        """
        return int(crc32c.crc32c(as_bytes(self.read(name))))

    def __init__(self) -> None:
        self._exits = ExitStack()

    def on_close(self, cleanup: Callable[[], None]) -> None:
        """Have `cleanup` done when the checkpoint is closed."""
        self._exits.callback(cleanup)

    def close(self) -> None:
        """Close every file."""
        self._exits.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class DataFile:
    """A file read at given positions: mapped pages would count as resident memory."""

    def __init__(self, path: Path, shown: Path | None = None) -> None:
        """Open `path`, called `shown` in messages."""
        self.path = shown or path
        try:
            # Without O_NONBLOCK a pipe would be waited for.
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            raise UnreadableCheckpoint(f"{path}: cannot be opened: {error.strerror}") from error
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise UnreadableCheckpoint(f"{path}: not a regular file")
        self.size = status.st_size

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`. Raises UnreadableCheckpoint when the file ends before."""
        pieces = []
        while size:
            try:
                piece = os.pread(self._descriptor, size, offset)
            except OSError as error:
                reason = f"cannot be read at byte {offset:,}: {error.strerror}"
                raise UnreadableCheckpoint(f"{self.path}: {reason}") from error
            if not piece:
                raise UnreadableCheckpoint(f"{self.path}: ends at byte {offset:,}, {size:,} bytes too early")
            pieces.append(piece)
            offset, size = offset + len(piece), size - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def pieces(self, offset: int, size: int) -> Iterator[bytes]:
        """Yield `size` bytes from `offset` in pieces, so that memory stays small."""
        for start in range(offset, offset + size, _PIECE):
            yield self.read(start, min(_PIECE, offset + size - start))

    def checksum(self, offset: int, size: int, found: int = 0, algorithm: Checksum = crc32c.crc32c) -> int:
        """Return the CRC32C of `size` bytes from `offset`, read in pieces; `found` is that of what comes before."""
        for start in range(offset, offset + size, _PIECE):  # not `pieces`: a loop keeps one while it waits for the next
            found = algorithm(self.read(start, min(_PIECE, offset + size - start)), found)
        return found

    def crc32(self, offset: int, size: int, found: int = 0) -> int:
        """Return the CRC-32 of `size` bytes from `offset`, read in pieces; `found` is that of what comes before."""
        return self.checksum(offset, size, found, zlib.crc32)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def read_whole(path: Path, largest: int, complaint: str) -> bytes:
    """Return all bytes of the file at `path`.

    Raises UnreadableCheckpoint, also with its size and `complaint` for a file of more than `largest` bytes.
    """
    with DataFile(path) as file:
        if file.size > largest:
            raise UnreadableCheckpoint(f"{path}: {file.size:,} bytes{complaint}")
        return file.read(0, file.size)


def as_array(data: bytes | memoryview, info: TensorInfo) -> Array:
    """Return `data` as the tensor `info` describes, without a copy."""
    return np.frombuffer(data, info.dtype).reshape(info.shape)


def as_bytes(array: Array) -> memoryview:
    """Return the bytes of a contiguous array, without a copy."""
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def check_shape(shape: Shape, dtype: np.dtype[Any]) -> None:
    """Raise ValueError when no array can have `shape`, also one that is empty along another axis."""
    if len(shape) > MOST_AXES:
        raise ValueError(f"a tensor has {len(shape):,} axes")
    if any(size < 0 for size in shape) or math.prod(size for size in shape if size) * dtype.itemsize > _MOST_BYTES:
        raise ValueError(f"a tensor has shape {tuple(shape)}")


def contents(infos: Iterable[TensorInfo], arrays: Iterable[Array]) -> Iterator[tuple[TensorInfo, memoryview]]:
    """Yield each info with the bytes of its array, good until the next is asked for: no two tensors stay in memory."""
    arrays = iter(arrays)
    for info in infos:
        data = as_bytes(next(arrays))
        yield info, data
        data.release()
    for _ in arrays:
        raise ValueError("there are more arrays than infos")


def check_name(name: str, path: Path) -> str:
    """Return `name`. Raises UnreadableCheckpoint when it holds characters that no tensor's name has."""
    if not name.isprintable() or len(name) > 4096:
        raise UnreadableCheckpoint(f"{path}: a tensor is named {name[:80]!r}, which no framework writes")
    return name
