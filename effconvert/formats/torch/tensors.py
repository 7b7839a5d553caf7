"""Tensors in a pickle of torch.save: the checked place of each, or the reason why it is not read.

Source: torch/_utils.py (_rebuild_*) and torch/serialization.py (persistent_load).
"""

import math
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

from effconvert.formats.checkpoint import BFLOAT16, QUANTIZED, Shape, check_shape

_LONGEST_KEY = 200
_LARGEST_EXPANSION = 4 << 20  # additional elements that a tensor may have by strides of 0

STORAGES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype(np.float32), "HalfStorage": np.dtype(np.float16), "BFloat16Storage": BFLOAT16,
    "DoubleStorage": np.dtype(np.float64), "LongStorage": np.dtype(np.int64), "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16), "CharStorage": np.dtype(np.int8), "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_), "ComplexFloatStorage": np.dtype(np.complex64),
    "ComplexDoubleStorage": np.dtype(np.complex128),
}  # fmt: skip
# Quantized tensors are not read; in the legacy format, their storages are between the others.
QUANTIZED_STORAGES: dict[str, tuple[np.dtype[Any], str]] = {
    "QInt8Storage": (np.dtype(np.int8), "qint8"), "QUInt8Storage": (np.dtype(np.uint8), "quint8"),
    "QInt32Storage": (np.dtype(np.int32), "qint32"), "QUInt4x2Storage": (np.dtype(np.uint8), "quint4x2"),
    "QUInt2x4Storage": (np.dtype(np.uint8), "quint2x4"),
}  # fmt: skip
# Dtypes without a storage class: torch stores them as bytes, and the dtype beside the tensor.
NEW_DTYPES: dict[str, np.dtype[Any]] = {
    "uint16": np.dtype(np.uint16), "uint32": np.dtype(np.uint32), "uint64": np.dtype(np.uint64),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2), "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e5m2fnuz": np.dtype(ml_dtypes.float8_e5m2fnuz), "float8_e4m3fnuz": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "float8_e8m0fnu": np.dtype(ml_dtypes.float8_e8m0fnu),
}  # fmt: skip


class PickleError(ValueError):
    """The bytes are not the pickle of plain values and tensors."""


@dataclass(frozen=True, slots=True)
class StorageKind:
    """A class of storages: the dtype, and torch's name of it if they are quantized."""

    dtype: np.dtype[Any]
    quantized: str = ""


@dataclass(frozen=True, slots=True)
class InertName:
    """A class or function that a file may name; it is never imported or called."""

    name: str


@dataclass(slots=True, eq=False)
class Inert:
    """The placeholder for an object that is never created; two of them are never compared.

    name: its class, or the function that would have made it. held: its arguments and items in the file. entries: its
    items by key. state: the values for its fields.
    """

    name: str
    held: list[Any] = field(default_factory=list)
    entries: dict[Any, Any] | None = None
    state: Any = None

    @property
    def fields(self) -> dict[Any, Any]:
        """The entries if it would be a dict, else the fields of the object."""
        if self.entries is not None:
            return self.entries
        return self.state if type(self.state) is dict else {}


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes that stay in the pickle: `size` bytes at `position` of the file.

    text: they are encoded as a string of the first 256 characters, in UTF-8, as Python does before protocol 3. content:
    the bytes themselves, if they are few.
    """

    position: int
    size: int
    text: bool = False
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """A tensor that is not read, with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A piece of the file with `count` numbers.

    quantized: torch's name of the dtype, if it is quantized. data: the place of the bytes, for a numpy array.
    """

    key: str
    dtype: np.dtype[Any]
    count: int
    quantized: str = ""
    data: Data | None = None

    @property
    def nbytes(self) -> int:
        """The size in bytes."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class StorageView:
    """The part of a storage that a tensor uses: `count` numbers, beginning at number `begin`."""

    storage: Storage
    begin: int
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor in a storage: `begin` counts bytes, the strides count elements."""

    storage: Storage
    dtype: np.dtype[Any]
    begin: int
    shape: Shape
    strides: Shape

    @property
    def span(self) -> int:
        """The bytes from the first element to the end of the last."""
        if not math.prod(self.shape):
            return 0
        return (_last(self.shape, self.strides) + 1) * self.dtype.itemsize


def _last(shape: Shape, strides: Shape) -> int:
    return sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


def is_contiguous(tensor: Tensor) -> bool:
    """Return whether the elements lie one after the other, the last axis fastest."""
    expected = 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.strides), strict=True):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True


def is_whole(tensor: Tensor) -> bool:
    """Return whether the tensor's bytes are those of its storage, from the first to the last."""
    return tensor.begin == 0 and tensor.span == tensor.storage.nbytes and is_contiguous(tensor)


def persistent_value(reference: Any) -> "StorageView | Inert | InertName":
    """Return the object of a persistent id: a storage, a class with its source, or an unknown object.

    A storage is (kind, class, key, device, count), in the legacy form with a view. torch.save adds the source code to
    the classes of a whole model (torch/serialization.py, _legacy_save).
    """
    kind = reference[0] if isinstance(reference, tuple) and reference else None
    if type(kind) is str and kind == "storage":
        return _storage_view(reference)
    if type(kind) is str and kind == "module" and len(reference) > 1 and isinstance(reference[1], InertName):
        return reference[1]
    return Inert("a persistent id", [reference])


def _storage_view(reference: tuple[Any, ...]) -> StorageView | Inert:
    if len(reference) not in (5, 6):
        raise PickleError("a storage is not described by five values, or six")
    _, storage_kind, key, _, count = reference[:5]
    if isinstance(storage_kind, InertName):
        return Inert(storage_kind.name)
    if not isinstance(storage_kind, StorageKind):
        raise PickleError("a storage is not described by its type, key and size")
    if not isinstance(key, str) or len(key) > _LONGEST_KEY or not key.isprintable():
        raise PickleError("a storage has no key")
    if type(count) is not int or count < 0:
        raise PickleError("a storage has no size")
    storage = Storage(key, storage_kind.dtype, count, storage_kind.quantized)
    view = reference[5] if len(reference) == 6 else None
    if view is None:
        return StorageView(storage, 0, count)
    if not isinstance(view, tuple) or len(view) != 3 or not _are_counts(view[1:]):
        raise PickleError("a view of a storage is not described by a key and two numbers")
    _, begin, size = view
    if begin + size > count:
        raise PickleError(f"a view of {size:,} numbers from {begin:,} exceeds its storage of {count:,}")
    return StorageView(storage, begin, size)


def rebuild_tensor(view: Any, offset: Any, shape: Any, strides: Any) -> Tensor | Unread:
    """Return the tensor that torch._utils._rebuild_tensor makes."""
    if isinstance(view, Inert):
        return Unread(f"its storage is {view.name}, which is not known here")
    if not isinstance(view, StorageView):
        raise PickleError("a tensor is not described by a storage and numbers")
    return _tensor(view, view.storage.dtype, offset, shape, strides)


def rebuild_tensor_v2(
    view: Any, offset: Any, shape: Any, strides: Any, _grad: Any, _hooks: Any, metadata: Any = None
) -> Tensor | Unread:
    """Return the tensor that torch._utils._rebuild_tensor_v2 makes."""
    tensor = rebuild_tensor(view, offset, shape, strides)
    return Unread("a conjugated or negated view of its numbers") if metadata else tensor


def rebuild_tensor_v3(
    view: Any, offset: Any, shape: Any, strides: Any, _grad: Any, _hooks: Any, dtype: Any, metadata: Any = None
) -> Tensor | Unread:
    """Return the tensor that torch._utils._rebuild_tensor_v3 makes, with its dtype beside the storage."""
    if not isinstance(view, StorageView) or not isinstance(dtype, InertName):
        raise PickleError("a tensor is not described by a storage, numbers and a type")
    name = dtype.name.removeprefix("torch.")
    if name not in NEW_DTYPES:
        return Unread(f"its type {dtype.name} is not known here")
    tensor = _tensor(view, NEW_DTYPES[name], offset, shape, strides)
    return Unread("a conjugated or negated view of its numbers") if metadata else tensor


def rebuild_quantized(view: Any, *_: Any) -> Unread:
    """Return the tensor of torch._utils._rebuild_qtensor, which is not read."""
    kind = view.storage.quantized if isinstance(view, StorageView) else ""
    return Unread(f"{QUANTIZED}{f' ({kind})' if kind else ''}; dequantize() before saving")


def rebuild_parameter(data: Any, *_: Any) -> Tensor | Unread:
    """Return the tensor of a parameter, with or without state of its own."""
    if isinstance(data, Inert):
        return made_by(data.name)
    if not isinstance(data, Tensor | Unread):
        raise PickleError("a parameter is not made of a tensor")
    return data


def made_by(name: str) -> Unread:
    """Return the placeholder for a tensor that the function or class `name` would make."""
    return Unread(f"made by {name}, which is not known here")


def _tensor(view: StorageView, dtype: np.dtype[Any], offset: Any, shape: Any, strides: Any) -> Tensor:
    """Return the tensor, which must be inside `view`."""
    if not isinstance(shape, tuple) or not isinstance(strides, tuple) or not _are_counts((offset, *shape, *strides)):
        raise PickleError("a tensor is not described by a storage and numbers")
    if len(shape) != len(strides):
        raise PickleError("a tensor has different numbers of sizes and strides")
    check_shape(shape, dtype)
    itemsize = view.storage.dtype.itemsize
    held = view.count * itemsize // dtype.itemsize
    count = math.prod(shape)
    if count > held + _LARGEST_EXPANSION:
        raise PickleError(f"a tensor of shape {shape} repeats a storage of {held:,}")
    if count and offset + _last(shape, strides) >= held:
        raise PickleError(f"a tensor of shape {shape} exceeds its storage of {held:,}")
    begin = view.begin * itemsize + offset * dtype.itemsize if count else 0
    # The stride of an axis of size 1 or 0 is never used and may be any number.
    used = tuple(stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True))
    return Tensor(view.storage, dtype, begin, shape, used)


def _are_counts(numbers: tuple[Any, ...]) -> bool:
    return all(type(number) is int and number >= 0 for number in numbers)
