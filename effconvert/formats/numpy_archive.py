"""The arrays in an archive of numpy (.npz), each read when it is asked for and within the budget of the file."""

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.formats.checkpoint import DataFile
from effconvert.formats.zip_directory import FAILURES, directory
from effconvert.formats.zip_records import read_record

_SUFFIX = ".npy"
_LONGEST_HEADER = 1 << 16


class NumpyArchive:
    """An open archive. Its methods raise ValueError for what numpy did not write, and the errors of its budget."""

    def __init__(self, file: DataFile) -> None:
        self._file = file
        try:
            infos = directory(file)
        except FAILURES as error:
            raise ValueError(str(error) or type(error).__name__) from error
        self._records = {info.filename.removesuffix(_SUFFIX): info for info in infos}
        if len(self._records) != len(infos):
            raise ValueError("two of its arrays have the same name")

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array, from its header."""
        return self._checked_header(name)[0]

    def nbytes(self, name: str) -> int:
        """Return the size of an array in bytes, from its header."""
        shape, _, dtype, _ = self._checked_header(name)
        return math.prod(shape) * dtype.itemsize

    def read(self, name: str, kept: bool = True) -> NDArray[Any]:
        """Return an array, its checksum verified; `kept` says whether it stays in memory."""
        shape, columns_first, dtype, start = self._checked_header(name)
        content = read_record(self._file, self._info(name), kept=kept)
        if not math.prod(shape) * dtype.itemsize:
            return np.zeros(shape, dtype)
        array = np.frombuffer(content, dtype, offset=start)
        return array.reshape(shape, order="F" if columns_first else "C")

    def _checked_header(self, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
        """Return the header of an array. Raises ValueError if it does not fit the size of the record."""
        info = self._info(name)
        shape, columns_first, dtype, start = _header(read_record(self._file, info, most=_LONGEST_HEADER, kept=False))
        if math.prod(shape) * dtype.itemsize != info.file_size - start:
            raise ValueError(f"{name!r} has {info.file_size - start:,} bytes, which do not fit {dtype} {list(shape)}")
        return shape, columns_first, dtype, start

    def _info(self, name: str) -> zipfile.ZipInfo:
        if name not in self._records:
            raise ValueError(f"{name!r} is missing")
        return self._records[name]


@contextmanager
def open_numpy(path: Path) -> Iterator[NumpyArchive]:
    """Give the arrays in the file at `path`. Raises ValueError, UnreadableCheckpoint if it is not a file."""
    with DataFile(path) as file:
        yield NumpyArchive(file)


def _header(content: bytearray) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, whether columns come first, dtype, and the length of the header itself."""
    stream = io.BytesIO(content[:_LONGEST_HEADER])
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array has an unexpected .npy version")
    shape, columns_first, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject:
        raise ValueError("it contains Python objects")
    if any(size < 0 for size in shape):
        raise ValueError(f"an array has the shape {shape}")
    return shape, columns_first, dtype, stream.tell()
