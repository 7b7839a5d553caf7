"""numpy arrays in a pickle: their dtypes, shapes and the places of their bytes, read as numpy would read them.

Source: numpy/_core/src/multiarray/methods.c (array_reduce, array_setstate), descriptor.c (arraydescr_reduce,
arraydescr_setstate) and numpy/_core/numeric.py (_frombuffer).
"""

import codecs
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import BFLOAT16, DataFile, Shape, check_shape
from effconvert.formats.torch.tensors import Data, Inert, InertName, PickleError, Storage, Tensor, Unread

_LONGEST_CODE = 60
MOST_CONTENT = 64  # bytes that are kept, for numbers without a shape
# numpy's name of a dtype in a pickle: a letter and the bytes of one number.
_TYPES: dict[str, np.dtype[Any]] = {
    np.dtype(kind).str[1:]: np.dtype(kind)
    for kind in (
        *(np.float16, np.float32, np.float64, np.bool_, np.complex64, np.complex128),
        *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
    )
} | {"ml_dtypes.bfloat16": BFLOAT16}
_LITTLE = ("<", "=", "|")
_ARRAYS = ("numpy.ndarray", "numpy.memmap", "numpy.core.memmap.memmap")
_LATIN = ("latin1", "latin-1", "iso-8859-1")


@dataclass(slots=True, eq=False)
class ArrayType:
    """The result of numpy.dtype: `code` is its name in a pickle; the state has the byte order, and any fields."""

    code: str
    order: str = "="
    parts: bool = False

    def build(self, state: Any) -> None:
        """Apply the state: (version, byte order, part of an array, names, fields, …)."""
        if type(state) is not tuple or len(state) < 5 or not isinstance(state[1], str):
            raise PickleError("has a numpy dtype without a byte order")
        self.order = state[1]
        self.parts = any(part is not None for part in state[2:5])


@dataclass(slots=True, eq=False)
class Array:
    """The result of numpy's _reconstruct: an array that is empty until its state is set."""

    value: Tensor | Unread | None = None

    def build(self, state: Any) -> None:
        """Apply the state: (version, shape, dtype, columns first, bytes)."""
        if type(state) is not tuple or len(state) != 5 or self.value is not None:
            raise PickleError("has an array of numpy that is not described by five values")
        _, shape, kind, columns_first, data = state
        self.value = _tensor(kind, shape, "F" if columns_first else "C", None, data)


def make_type(*arguments: Any) -> ArrayType | Inert:
    """Return the stand-in for numpy.dtype(*arguments)."""
    if arguments and isinstance(arguments[0], str | InertName):
        return ArrayType(arguments[0] if isinstance(arguments[0], str) else arguments[0].name)
    return Inert("numpy.dtype", [arguments])


def make_array(*arguments: Any) -> Array | Inert:
    """Return the stand-in for numpy's _reconstruct(class, shape, type); other classes are inert."""
    kind = arguments[0] if arguments else None
    if isinstance(kind, InertName):
        return Array() if kind.name in _ARRAYS else Inert(kind.name)
    return Inert("numpy._core.multiarray._reconstruct", [arguments])


def array_of_buffer(data: Any, kind: Any, shape: Any, order: Any, axes: Any = None) -> Tensor | Unread:
    """Return the array of numpy's _frombuffer, which protocol 5 writes."""
    return _tensor(kind, shape, order, axes, data)


def make_number(*arguments: Any) -> Any:
    """Return the number of numpy's scalar(type, bytes) as a number of Python."""
    if len(arguments) == 2 and isinstance(arguments[0], ArrayType) and isinstance(arguments[1], Data):
        dtype, content = _dtype(arguments[0]), arguments[1].content
        if isinstance(dtype, np.dtype) and dtype.kind in "biuf" and content and len(content) == dtype.itemsize:
            return np.frombuffer(content, dtype)[0].item()
    return Inert("numpy._core.multiarray.scalar", [arguments])


def make_bytes(*arguments: Any) -> Data | Inert:
    """Return the result of bytes(), which means b"" before protocol 3."""
    return Inert("builtins.bytes", [arguments]) if arguments else Data(0, 0, content=b"")


def encode(*arguments: Any) -> Data | Inert:
    """Return the bytes that _codecs.encode makes from a string: so Python writes bytes before protocol 3."""
    if len(arguments) == 2 and isinstance(arguments[1], str) and arguments[1] in _LATIN:
        text = arguments[0]
        if isinstance(text, Data) and text.text:
            return text
        if isinstance(text, str) and len(text) <= MOST_CONTENT and all(letter <= "\xff" for letter in text):
            return Data(0, len(text), content=text.encode("latin-1"))
    return Inert("_codecs.encode", [arguments])


def read_data(file: DataFile, storage: Storage) -> bytes | memoryview:
    """Return the bytes of an array. Raises UnreadableCheckpoint if their number does not fit its shape."""
    data = storage.data
    assert data is not None
    if data.content is not None:
        return data.content
    if not data.text:
        return file.read(data.position, data.size)
    found, at = bytearray(storage.nbytes), 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        left = data.size
        for stored in file.pieces(data.position, data.size):
            left -= len(stored)
            piece = decoder.decode(stored, not left).encode("latin-1")
            found[at : at + len(piece)] = piece
            at += len(piece)
            if at > storage.nbytes:
                break
    except UnicodeError as error:
        raise UnreadableCheckpoint(f"{file.path}: the {storage.key} is damaged: not bytes of an array") from error
    if at != storage.nbytes:
        raise UnreadableCheckpoint(f"{file.path}: the {storage.key} has not the {storage.nbytes:,} bytes of its shape")
    return memoryview(found).toreadonly()


def _dtype(kind: Any) -> np.dtype[Any] | Unread:
    """Return the dtype of an array, or why it is not read."""
    if not isinstance(kind, ArrayType):
        return Unread("an array of numpy without a type")
    shown = ascii(kind.code[:_LONGEST_CODE])[1:-1]
    if kind.parts or kind.code not in _TYPES:
        return Unread(f"an array of numpy of type {shown}, which is not read")
    if kind.order not in _LITTLE:
        return Unread(f"an array of numpy of type {shown} in big-endian order; save it in little-endian")
    return _TYPES[kind.code]


def _tensor(kind: Any, shape: Any, order: Any, axes: Any, data: Any) -> Tensor | Unread:
    """Return the tensor with `shape` and the bytes `data`."""
    dtype = _dtype(kind)
    if isinstance(dtype, Unread):
        return dtype
    if not isinstance(data, Data) or not _are_counts(shape):
        raise PickleError("has an array of numpy that is not described by a shape and bytes")
    check_shape(shape, dtype)
    count = math.prod(shape)
    size = count * dtype.itemsize
    # In UTF-8, half of 256 characters take two bytes.
    if not size <= data.size <= (2 * size if data.text else size):
        raise PickleError(f"has an array of shape {shape} in {data.size:,} bytes, expected {size:,}")
    storage = Storage(f"array at byte {data.position:,}", dtype, count, data=data)
    return _laid_out(storage, shape, order, axes)


def _laid_out(storage: Storage, shape: Shape, order: Any, axes: Any) -> Tensor:
    """Return the tensor in `order`: "C" rows first, "F" columns first, "K" rows first and then with its axes moved."""
    if order == "K" and axes is not None:
        if not _are_counts(axes) or sorted(axes) != list(range(len(shape))):
            raise PickleError("has an array of numpy with an impossible order of axes")
        strides = _strides(shape)
        return Tensor(
            storage, storage.dtype, 0, tuple(shape[axis] for axis in axes), tuple(strides[axis] for axis in axes)
        )
    if order not in ("C", "F"):
        raise PickleError("has an array of numpy in an unknown order")
    strides = _strides(shape) if order == "C" else _strides(shape[::-1])[::-1]
    return Tensor(storage, storage.dtype, 0, shape, strides)


def _strides(shape: Shape) -> Shape:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _are_counts(numbers: Any) -> bool:
    return isinstance(numbers, tuple) and all(type(number) is int and number >= 0 for number in numbers)
