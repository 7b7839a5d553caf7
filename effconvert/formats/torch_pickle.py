"""Reads the pickle in a file of torch.save with a machine of its own, which holds plain values and can run nothing.

Python's unpickler is not used: it lets a file overwrite the fields of an object that was checked before (BUILD), and
hash or compare values that are nested deep enough to end the process. Here a value is None, a number, a text, a tuple,
a list, a dict with plain keys, or one of the globals below; whatever else a file asks for is refused by name.
"""

import math
import pickletools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from effconvert.formats.checkpoint import BFLOAT16, Shape, check_shape

_LARGEST_EXPANSION = 32 << 20  # numbers that a tensor with strides of 0 may have beyond its storage

STORAGES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype(np.float32), "HalfStorage": np.dtype(np.float16), "BFloat16Storage": BFLOAT16,
    "DoubleStorage": np.dtype(np.float64), "LongStorage": np.dtype(np.int64), "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16), "CharStorage": np.dtype(np.int8), "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}  # fmt: skip


class PickleError(ValueError):
    """The bytes are not the pickle of plain values and tensors."""


@dataclass(frozen=True)
class Storage:
    """A record of the archive that holds `count` numbers."""

    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage: offset and strides count elements."""

    storage: Storage
    offset: int
    shape: Shape
    strides: Shape


def is_whole(tensor: Tensor) -> bool:
    """Return whether the tensor's bytes are those of its storage, from the first to the last."""
    contiguous = tuple(math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape)))
    return tensor.offset == 0 and tensor.strides == contiguous and math.prod(tensor.shape) == tensor.storage.count


def load(content: bytes) -> Any:
    """Return the value that the pickle holds.

    Raises PickleError, naming it, for an instruction or a global that a dict of tensors never needs.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except PickleError:
        raise
    # pickletools warns of escapes in texts that are refused anyway, which is an error where warnings are errors.
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, DeprecationWarning) as error:
        raise PickleError(f"is damaged: {type(error).__name__}: {error}") from error
    raise PickleError("is cut off")


class _Machine:
    """A stack of values, the marks in it, and the values that the pickle remembers by number."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Carry out one instruction."""
        push = self.stack.append
        match opcode:
            case "PROTO" | "FRAME":
                pass
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE":
                push(argument)
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                push(self.memo[argument])
            case "MARK":
                self.marks.append(len(self.stack))
            case "TUPLE":
                push(tuple(self.pop_mark()))
            case "EMPTY_TUPLE":
                push(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple([self.pop() for _ in range(int(opcode[-1]))][::-1]))
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                push({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode])
            case "EMPTY_DICT":
                push({})
            case "EMPTY_LIST":
                push([])
            case "APPEND" | "APPENDS":
                items = [self.pop()] if opcode == "APPEND" else self.pop_mark()
                self.top(list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = [self.pop(), self.pop()][::-1] if opcode == "SETITEM" else self.pop_mark()
                self.top(dict).update(_pairs(items))
            case "GLOBAL":
                push(_find_global(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = self.pop(), self.pop()
                push(_find_global(module, name))
            case "REDUCE":
                arguments, function = self.pop(), self.pop()
                push(_call(function, arguments))
            case "BINPERSID":
                push(_storage(self.pop()))
            case "BUILD":
                self.pop()  # the `_metadata` of a module's state dict, which says nothing about tensors
                self.top(dict)
            case "POP":
                self.pop()
            case "POP_MARK":
                self.pop_mark()
            case _:
                raise PickleError(f"uses {opcode}, which no dict of tensors needs")

    def pop(self) -> Any:
        """Take the last value."""
        if self.marks and self.marks[-1] >= len(self.stack):
            raise PickleError("is damaged: it takes a value where there is a mark")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        """Take all values behind the last mark."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self, kind: type) -> Any:
        """Return the last value, which must be a list or dict."""
        value = self.stack[-1]
        if type(value) is not kind:
            raise PickleError(f"treats a {type(value).__name__} as a {kind.__name__}")
        return value


def _pairs(items: Sequence[Any]) -> list[tuple[Any, Any]]:
    keys, values = items[::2], items[1::2]
    if not all(isinstance(key, str | int | float | None) for key in keys):
        raise PickleError("has a dict with a key that is neither text nor number")
    return list(zip(keys, values, strict=True))


def _find_global(module: Any, name: Any) -> Any:
    if not isinstance(module, str) or not isinstance(name, str):
        raise PickleError("asks for a global that has no name")
    if (module, name) not in GLOBALS:
        asked = ascii(f"{module}.{name}"[:200])[1:-1]
        raise PickleError(f"asks for {asked}; only tensors are read, no code is run")
    return GLOBALS[module, name]


def _call(function: Any, arguments: Any) -> Any:
    if not isinstance(arguments, tuple):
        raise PickleError("calls something with arguments that are no tuple")
    if function is _rebuild_tensor:
        return _rebuild_tensor(*arguments)
    if function is _ordered_dict:
        return _ordered_dict(*arguments)
    raise PickleError(f"calls a {type(function).__name__}")


def _ordered_dict() -> dict[Any, Any]:
    return {}


def _storage(reference: Any) -> Storage:
    if not isinstance(reference, tuple) or len(reference) != 5:
        raise PickleError("a storage is not described by five values")
    kind, dtype, key, _, count = reference
    if type(kind) is not str or kind != "storage" or not isinstance(dtype, np.dtype):
        raise PickleError("a storage is not described by its type, key and size")
    if not isinstance(key, str) or not key.isprintable() or type(count) is not int or count < 0:
        raise PickleError("a storage has no key or no size")
    return Storage(key, dtype, count)


def _rebuild_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, _grad: Any, _hooks: Any, metadata: Any = None
) -> Tensor:
    """Return the tensor that torch._utils._rebuild_tensor_v2 makes, all of it inside its storage."""
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise PickleError("a tensor is not described by a storage and numbers")
    if not all(type(number) is int and number >= 0 for number in (offset, *shape, *strides)):
        raise PickleError("a tensor is not described by a storage and numbers")
    if metadata:
        raise PickleError("a tensor is a conjugated or negated view, which is not read")
    if len(shape) != len(strides):
        raise PickleError("a tensor has another number of sizes than of strides")
    check_shape(shape, storage.dtype)
    if math.prod(shape) > storage.count + _LARGEST_EXPANSION:
        raise PickleError(f"a tensor of shape {shape} repeats a storage of {storage.count:,}")
    last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if math.prod(shape) and offset + last >= storage.count:
        raise PickleError(f"a tensor of shape {shape} reaches over its storage of {storage.count:,}")
    # The stride of an axis of size 1 or 0 is never used and may be any number.
    used = tuple(stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True))
    return Tensor(storage, offset, cast(Shape, shape), used)


# All that a pickle may name. Nothing can be added to it from outside, and no option turns it off.
GLOBALS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    **{("torch", name): dtype for name, dtype in STORAGES.items()},
}
