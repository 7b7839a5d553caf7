"""What a pickle of torch.save says of its tensors: where each lies, checked, or why it is not read.

Source: torch/_utils.py (_rebuild_*) and torch/serialization.py (persistent_load).
"""

import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from effconvert.formats.checkpoint import BFLOAT16, Shape, check_shape

_LARGEST_EXPANSION = 4 << 20  # numbers that a tensor with strides of 0 may have beyond its storage

STORAGES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype(np.float32), "HalfStorage": np.dtype(np.float16), "BFloat16Storage": BFLOAT16,
    "DoubleStorage": np.dtype(np.float64), "LongStorage": np.dtype(np.int64), "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16), "CharStorage": np.dtype(np.int8), "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_), "ComplexFloatStorage": np.dtype(np.complex64),
    "ComplexDoubleStorage": np.dtype(np.complex128),
}  # fmt: skip
# Of quantized tensors, which are not read; the legacy form has their storages between the others.
QUANTIZED_STORAGES: dict[str, np.dtype[Any]] = {
    "QInt8Storage": np.dtype(np.int8), "QUInt8Storage": np.dtype(np.uint8), "QInt32Storage": np.dtype(np.int32),
    "QUInt4x2Storage": np.dtype(np.uint8), "QUInt2x4Storage": np.dtype(np.uint8),
}  # fmt: skip
# Types of numbers that have no storage of their own: torch stores them as bytes and names them beside the tensor.
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
    """A class of storages: the type of their numbers."""

    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class InertName:
    """A class or function that a file may name, and that is never imported or called."""

    name: str


@dataclass(slots=True)
class Inert:
    """Stands for a thing that says nothing about tensors; `fields` are what it holds, where that is of use."""

    name: str
    fields: dict[Any, Any] | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """A tensor that is not read, with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A piece of the file that holds `count` numbers."""

    key: str
    dtype: np.dtype[Any]
    count: int

    @property
    def nbytes(self) -> int:
        """The size in bytes."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class StorageView:
    """The part of a storage that a tensor is laid into: `count` numbers from number `begin` on."""

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


def storage_view(reference: Any) -> StorageView:
    """Return what a persistent id stands for: (kind, class, key, device, count), in the legacy form with a view."""
    if not isinstance(reference, tuple) or len(reference) not in (5, 6):
        raise PickleError("a storage is not described by five values, or six")
    kind, storage_kind, key, _, count = reference[:5]
    if type(kind) is not str or kind != "storage" or not isinstance(storage_kind, StorageKind):
        raise PickleError("a storage is not described by its type, key and size")
    if not isinstance(key, str) or not key.isprintable() or type(count) is not int or count < 0:
        raise PickleError("a storage has no key or no size")
    storage = Storage(key, storage_kind.dtype, count)
    view = reference[5] if len(reference) == 6 else None
    if view is None:
        return StorageView(storage, 0, count)
    if not isinstance(view, tuple) or len(view) != 3 or not _are_counts(view[1:]):
        raise PickleError("a view of a storage is not described by a key and two numbers")
    _, begin, size = view
    if begin + size > count:
        raise PickleError(f"a view of {size:,} numbers from {begin:,} reaches over its storage of {count:,}")
    return StorageView(storage, begin, size)


def rebuild_tensor(view: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    """Return the tensor that torch._utils._rebuild_tensor makes."""
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
    """Return the tensor that torch._utils._rebuild_tensor_v3 makes, whose type stands beside the storage."""
    if not isinstance(view, StorageView) or not isinstance(dtype, InertName):
        raise PickleError("a tensor is not described by a storage, numbers and a type")
    name = dtype.name.removeprefix("torch.")
    if name not in NEW_DTYPES:
        return Unread(f"its type {dtype.name} is not known here")
    tensor = _tensor(view, NEW_DTYPES[name], offset, shape, strides)
    return Unread("a conjugated or negated view of its numbers") if metadata else tensor


def rebuild_parameter(data: Any, *_: Any) -> Tensor | Unread:
    """Return the tensor of a parameter, with or without state of its own."""
    if not isinstance(data, Tensor | Unread):
        raise PickleError("a parameter is not made of a tensor")
    return data


def _tensor(view: StorageView, dtype: np.dtype[Any], offset: Any, shape: Any, strides: Any) -> Tensor:
    """Return the tensor, all of it inside `view`."""
    if not isinstance(shape, tuple) or not isinstance(strides, tuple) or not _are_counts((offset, *shape, *strides)):
        raise PickleError("a tensor is not described by a storage and numbers")
    if len(shape) != len(strides):
        raise PickleError("a tensor has another number of sizes than of strides")
    check_shape(shape, dtype)
    itemsize = view.storage.dtype.itemsize
    held = view.count * itemsize // dtype.itemsize
    count = math.prod(shape)
    if count > held + _LARGEST_EXPANSION:
        raise PickleError(f"a tensor of shape {shape} repeats a storage of {held:,}")
    if count and offset + _last(shape, strides) >= held:
        raise PickleError(f"a tensor of shape {shape} reaches over its storage of {held:,}")
    begin = view.begin * itemsize + offset * dtype.itemsize if count else 0
    # The stride of an axis of size 1 or 0 is never used and may be any number.
    used = tuple(stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True))
    return Tensor(view.storage, dtype, begin, shape, used)


def _are_counts(numbers: tuple[Any, ...]) -> bool:
    return all(type(number) is int and number >= 0 for number in numbers)
