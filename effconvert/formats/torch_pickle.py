"""Reads the pickle in a file of torch.save with a machine of its own, which holds plain values and can run nothing.

Python's unpickler is not used: it lets a file overwrite the fields of an object that was checked before (BUILD), and
hash or compare values that are nested deep enough to end the process. Here a value is None, a number, a text, a tuple,
a list, a dict with plain keys, or made by the closed table of torch_globals.py; whatever else a file asks for is
refused by name. The pickle is read through a window, so that what follows it in the file is not.
"""

import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import unpack
from typing import Any

from effconvert.formats.checkpoint import DataFile
from effconvert.formats.torch_globals import GLOBALS, Maker
from effconvert.formats.torch_tensors import Inert, InertName, PickleError, Storage, StorageView, storage_view
from effconvert.formats.torch_window import Window

# L2 with averages and the state of AdamW takes 0.3 million instructions; these of the costliest take 150 MB and 1 s.
_MOST_INSTRUCTIONS = 800_000
_MOST_KEPT = 16 << 20  # bytes of texts and long numbers; L2's names take 0.2 MB
_LONGEST_TEXT = 64 << 10  # longer ones are passed over: mmengine's histories and configurations
_LATEST_PROTOCOL = 5


@dataclass(frozen=True, slots=True)
class Pickle:
    """What a pickle holds, the storages it names, and where it ends."""

    value: Any
    storages: dict[str, Storage]
    end: int


def read_pickle(file: DataFile, start: int, end: int) -> Pickle:
    """Return what the pickle at byte `start` of `file` holds; it must end before `end`.

    Raises PickleError, naming it, for an instruction or a global that no checkpoint needs.
    """
    machine = _Machine(file, start, end)
    try:
        value = machine.run()
    except PickleError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise PickleError(f"is damaged: {type(error).__name__}: {str(error)[:200]}") from error
    return Pickle(value, machine.storages, machine.position)


class _Machine(Window):
    """A stack of values, the marks in it, and the values that the pickle remembers by number."""

    def __init__(self, file: DataFile, start: int, end: int) -> None:
        super().__init__(file, start, end)
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        self.kept = 0

    def run(self) -> Any:
        """Carry out the instructions and return the value they end with."""
        for _ in range(_MOST_INSTRUCTIONS):
            code = self.take(1)
            if code == b".":
                return self.pop()
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise PickleError(f"uses {_name(code)}, which no checkpoint needs")
            instruction(self)
        raise PickleError(f"has more than {_MOST_INSTRUCTIONS:,} instructions")

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

    def keep(self, size: int) -> bytes:
        """Return the next `size` bytes, of which a value is made."""
        self.kept += size
        if self.kept > _MOST_KEPT:
            raise PickleError(f"has more than {_MOST_KEPT:,} bytes of texts and numbers")
        return self.take(size)

    def protocol(self) -> None:
        found = self.number(1)
        if found > _LATEST_PROTOCOL:
            raise PickleError(f"is of protocol {found}; the latest is {_LATEST_PROTOCOL}")

    def text(self, width: int) -> None:
        size = self.number(width)
        if size > _LONGEST_TEXT:
            self.skip(size)
            self.stack.append(Inert("a long text"))
        else:
            self.stack.append(self.keep(size).decode("utf-8", "surrogatepass"))

    def data(self, width: int) -> None:
        self.skip(self.number(width))
        self.stack.append(Inert("bytes"))

    def long(self) -> None:
        self.stack.append(int.from_bytes(self.keep(self.number(1)), "little", signed=True))

    def tuple_of(self, count: int) -> None:
        start = len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise PickleError("is damaged: it takes a value where there is none")
        self.stack[start:] = [tuple(self.stack[start:])]

    def find(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleError("asks for a global that has no name")
        if (module, name) not in GLOBALS:
            asked = ascii(f"{module}.{name}"[:200])[1:-1]
            raise PickleError(
                f"asks for {asked}; only tensors are read, no code is run "
                "(for a whole model: torch.save its state_dict() where it can be loaded)"
            )
        self.stack.append(GLOBALS[module, name].value)

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        self.find(module, name)

    def append(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        pairs = _pairs(items)
        values = self.top(dict)
        expected = len(values) + len(pairs)
        values.update(pairs)
        if len(values) != expected:
            raise PickleError("has a dict with one key twice")

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(arguments) is not tuple:
            raise PickleError("calls something with arguments that are no tuple")
        if type(function) is Maker:
            self.stack.append(function.make(*arguments))
        elif type(function) is InertName:
            self.stack.append(Inert(function.name))
        else:
            raise PickleError(f"calls a {type(function).__name__}")

    def new_object(self) -> None:
        if type(self.pop()) is not tuple:
            raise PickleError("calls something with arguments that are no tuple")
        kind = self.pop()
        if type(kind) is not InertName:
            raise PickleError(f"makes an object of a {type(kind).__name__}")
        self.stack.append(Inert(kind.name))

    def build(self) -> None:
        """Drop what is to be written into an object's fields, but show those of a Namespace.

        What a module's state dict has beside its items, `_metadata`, says nothing about tensors.
        """
        state = self.pop()
        built = self.stack[-1]
        if type(built) is Inert:
            if built.name == "argparse.Namespace" and type(state) is dict:
                built.fields = state
        else:
            self.top(dict)

    def add_items(self) -> None:
        self.pop_mark()
        self.top(Inert)

    def frozen_set(self) -> None:
        self.pop_mark()
        self.stack.append(Inert("frozenset"))

    def persistent(self) -> None:
        view: StorageView = storage_view(self.pop())
        storage = view.storage
        if self.storages.setdefault(storage.key, storage) != storage:
            raise PickleError(f"describes the storage {storage.key[:80]!r} in two ways")
        self.stack.append(view)

    def put(self, number: int) -> None:
        self.memo[number] = self.stack[-1]

    def get(self, number: int) -> None:
        self.stack.append(self.memo[number])


_KEYS = frozenset([str, int, float, bool, type(None)])


def _pairs(items: Sequence[Any]) -> list[tuple[Any, Any]]:
    keys, values = items[::2], items[1::2]
    if not all(type(key) in _KEYS for key in keys):
        raise PickleError("has a dict with a key that is neither text nor number")
    return list(zip(keys, values, strict=True))


def _name(code: bytes) -> str:
    known = {opcode.code: opcode.name for opcode in pickletools.opcodes}
    return known.get(code.decode("latin-1"), f"the unknown instruction {code.hex()}")


# What the writers of protocols 2 to 5 use, and no more.
_BY_NAME: dict[str, Callable[[_Machine], object]] = {
    "PROTO": _Machine.protocol,
    "FRAME": lambda machine: machine.check(machine.number(8)),
    "NONE": lambda machine: machine.stack.append(None),
    "NEWTRUE": lambda machine: machine.stack.append(True),
    "NEWFALSE": lambda machine: machine.stack.append(False),
    "BININT": lambda machine: machine.stack.append(unpack("<i", machine.take(4))[0]),
    "BININT1": lambda machine: machine.stack.append(machine.take(1)[0]),
    "BININT2": lambda machine: machine.stack.append(machine.number(2)),
    "LONG1": _Machine.long,
    "BINFLOAT": lambda machine: machine.stack.append(unpack(">d", machine.take(8))[0]),
    "SHORT_BINUNICODE": lambda machine: machine.text(1),
    "BINUNICODE": lambda machine: machine.text(4),
    "BINUNICODE8": lambda machine: machine.text(8),
    "SHORT_BINBYTES": lambda machine: machine.data(1),
    "BINBYTES": lambda machine: machine.data(4),
    "BINBYTES8": lambda machine: machine.data(8),
    "BYTEARRAY8": lambda machine: machine.data(8),
    "BINPUT": lambda machine: machine.put(machine.take(1)[0]),
    "LONG_BINPUT": lambda machine: machine.put(machine.number(4)),
    "MEMOIZE": lambda machine: machine.put(len(machine.memo)),
    "BINGET": lambda machine: machine.get(machine.take(1)[0]),
    "LONG_BINGET": lambda machine: machine.get(machine.number(4)),
    "MARK": lambda machine: machine.marks.append(len(machine.stack)),
    "EMPTY_TUPLE": lambda machine: machine.stack.append(()),
    "TUPLE": lambda machine: machine.stack.append(tuple(machine.pop_mark())),
    "TUPLE1": lambda machine: machine.tuple_of(1),
    "TUPLE2": lambda machine: machine.tuple_of(2),
    "TUPLE3": lambda machine: machine.tuple_of(3),
    "EMPTY_LIST": lambda machine: machine.stack.append([]),
    "APPEND": lambda machine: machine.append([machine.pop()]),
    "APPENDS": lambda machine: machine.append(machine.pop_mark()),
    "EMPTY_DICT": lambda machine: machine.stack.append({}),
    "SETITEM": _Machine.set_item,
    "SETITEMS": lambda machine: machine.set_items(machine.pop_mark()),
    "EMPTY_SET": lambda machine: machine.stack.append(Inert("set")),
    "ADDITEMS": _Machine.add_items,
    "FROZENSET": _Machine.frozen_set,
    "GLOBAL": lambda machine: machine.find(machine.line(), machine.line()),
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.new_object,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
}
_INSTRUCTIONS = {
    opcode.code.encode("latin-1"): _BY_NAME[opcode.name] for opcode in pickletools.opcodes if opcode.name in _BY_NAME
}
