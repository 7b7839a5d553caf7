"""The bytes of a tensor on their way into a file: contiguous pieces, made one by one of an array of any strides."""

from collections.abc import Iterable, Iterator

import crc32c
import numpy as np

from effconvert.formats.checkpoint import Array, TensorInfo, as_bytes

_PIECE = 1 << 20
_TILE = 128  # values of a row that are copied at a time from a transposed array, so that the cache holds their lines


class Pieces:
    """The bytes of an array, as a file holds them, to be taken once.

    A transposed array is made contiguous piece by piece, so that no second one is in memory. checksum: the CRC32C of
    all pieces, after the last.
    """

    def __init__(self, array: Array) -> None:
        self._array: Array | None = array
        self.checksum = 0

    def __iter__(self) -> Iterator[memoryview]:
        """Yield the pieces, each with memory of its own, or with that of the array."""
        assert self._array is not None
        array, self._array = self._array, None  # free after the last piece
        for piece in _contiguous(array):
            data = as_bytes(piece)
            self.checksum = crc32c.crc32c(data, self.checksum)
            yield data

    def whole(self) -> Array:
        """Return the array, contiguous."""
        assert self._array is not None
        array = np.empty(self._array.shape, self._array.dtype)
        data, start = as_bytes(array), 0
        for piece in self:
            data[start : start + len(piece)] = piece
            start += len(piece)
        return array


def contents(infos: Iterable[TensorInfo], arrays: Iterable[Array | Pieces]) -> Iterator[tuple[TensorInfo, Pieces]]:
    """Yield each info with the pieces of its array, which are taken before the next step; memory holds one tensor."""
    arrays = iter(arrays)
    for info in infos:
        array = next(arrays)
        yield info, array if isinstance(array, Pieces) else Pieces(array)
        del array
    for _ in arrays:
        raise ValueError("there are more arrays than infos")


def _contiguous(array: Array) -> Iterator[Array]:
    """Yield parts of `array`, contiguous, in the order of its axes: slices of the first long axis."""
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
        step = max(1, _PIECE // array.itemsize)
        for start in range(0, flat.size, step):
            yield flat[start : start + step]
        return
    array = array.squeeze()
    if array[0].nbytes > _PIECE:
        for part in array:
            yield from _contiguous(part)
        return
    step = max(1, _PIECE // array[0].nbytes)
    for start in range(0, len(array), step):
        yield _copied(array[start : start + step])


def _copied(array: Array) -> Array:
    """Return a contiguous copy. numpy alone takes several times as long if the last axis is not the fastest."""
    copy = np.empty(array.shape, array.dtype)
    for start in range(0, array.shape[-1], _TILE):
        copy[..., start : start + _TILE] = array[..., start : start + _TILE]
    return copy
