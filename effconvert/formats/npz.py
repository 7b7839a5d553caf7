"""numpy's archive of arrays, .npz, read with limits: a zip file in which each record is an array with a header."""

import io
import math
import sys
import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from effconvert.formats.checkpoint import DataFile, Shape, check_shape
from effconvert.formats.zip_directory import MAGIC, ZipError, read_directory, read_record, read_start

_SUFFIX = ".npy"
_LARGEST_HEADER = 1 << 16
_VERSION = (1, 0)  # what numpy writes unless a structured dtype needs another


class NpzArchive:
    """The arrays of an .npz file; each is read when it is asked for, and none is kept.

    names: the names of the arrays, in the order of the file.
    """

    def __init__(self, file: DataFile) -> None:
        """Read the directory of `file`, which the caller closes. Raises ZipError, UnreadableCheckpoint."""
        self._file = file
        if file.read(0, min(file.size, len(MAGIC))) != MAGIC:
            raise ZipError("it is not a zip file")
        records = read_directory(file)
        strange = [name for name in records if not name.endswith(_SUFFIX)]
        if strange:
            raise ZipError(f"its record {strange[0][:80]!a} is not an array")
        self._records = {name.removesuffix(_SUFFIX): record for name, record in records.items()}
        self.names = tuple(self._records)

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def header(self, name: str) -> tuple[Shape, np.dtype[Any]]:
        """Return the shape and dtype of an array, whose record has the bytes for it as the directory says.

        Raises ZipError if it is missing, for a damaged header, and for an array of Python objects.
        """
        shape, dtype, _, _ = self._header(name)
        return shape, dtype

    def nbytes(self, name: str) -> int:
        """Return the size of an array in bytes. Raises as `header`."""
        shape, dtype = self.header(name)
        return math.prod(shape) * dtype.itemsize

    def read(self, name: str, kept: bool = True) -> NDArray[Any]:
        """Return an array; `kept` says whether it stays in memory.

        Raises ZipError if it is missing, damaged, or of Python objects; UnreadableCheckpoint if the file cannot be
        read, and if the array is too large for the budget of the file.
        """
        shape, dtype, order, start = self._header(name)
        data = read_record(self._file, self._records[name], kept)
        return np.ndarray(shape, dtype, data, start, order=order)

    def text(self, name: str, kept: bool = True) -> str:
        """Return an array that is one text. Raises as `read`, and ZipError for characters that do not exist."""
        array = self.read(name, kept)
        numbers = np.dtype(np.uint32).newbyteorder(array.dtype.byteorder)
        if array.dtype.kind == "U" and array.size and array.reshape(-1).view(numbers).max() > sys.maxunicode:
            raise ZipError(f"{name!a} has characters that do not exist")
        return str(array)

    def _header(self, name: str) -> tuple[Shape, np.dtype[Any], Literal["C", "F"], int]:
        """Return shape, dtype and order, and the number of bytes before the data."""
        if name not in self._records:
            raise ZipError(f"{name!a} is missing")
        record = self._records[name]
        stream = io.BytesIO(read_start(self._file, record, _LARGEST_HEADER))
        try:
            if np.lib.format.read_magic(stream) != _VERSION:
                raise ValueError("the version is another one")
            with warnings.catch_warnings(action="error"):  # of a header that numpy reads after a repair only
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            check_shape(shape, dtype)
        except Exception as error:  # numpy evaluates the header as Python's literals, which raises many kinds
            raise ZipError(f"{name!a} has no header of an array: {error}") from error
        if dtype.hasobject:
            raise ZipError(f"{name!a} contains Python objects")
        held, meant = record.size - stream.tell(), math.prod(shape) * dtype.itemsize
        if held != meant:
            raise ZipError(f"{ascii(name)[1:-1]} has {held:,} bytes and should have {meant:,}")
        return shape, dtype, "F" if fortran else "C", stream.tell()
