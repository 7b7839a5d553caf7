"""The stack machine of a pickle: plain values, the tensors of globals.py, and placeholders for everything else.

Python's unpickler is not used: it lets a file overwrite the fields of an object that was checked before (BUILD), and
hash or compare values that are nested deep enough to crash the process. Here a value is None, a number, a string, a
tuple, a list, a dict, or made by a closed table. Anything else that a file asks for becomes an inert placeholder, which
is never imported, called or looked up, or is refused by name. The bytes of arrays stay in the file.
"""

from collections.abc import Sequence
from typing import Any

from effconvert.formats.checkpoint import DataFile
from effconvert.formats.torch.arrays import MOST_CONTENT, Array, ArrayType
from effconvert.formats.torch.globals import GLOBALS, Maker
from effconvert.formats.torch.keys import as_key
from effconvert.formats.torch.refusals import check_global
from effconvert.formats.torch.tensors import (
    Data,
    Inert,
    InertName,
    PickleError,
    Storage,
    StorageView,
    persistent_value,
)
from effconvert.formats.torch.window import Window

_LONGEST_TEXT = 64 << 10  # longer strings are skipped: mmengine's histories and configurations
_LATEST_PROTOCOL = 5
_MOST_ARGUMENTS = 100  # arguments of a function
_ENCODE = GLOBALS["_codecs", "encode"].value


class Machine(Window):
    """A stack of values, the marks in it, and the values that the pickle remembers by number."""

    def __init__(self, file: DataFile, start: int, end: int) -> None:
        super().__init__(file, start, end)
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        self.globals: dict[tuple[str, str], Any] = {}
        self.names: dict[str, InertName] = {}
        self.budget = file.budget

    def pop(self) -> Any:
        """Take the last value."""
        if self.marks and self.marks[-1] >= len(self.stack):
            raise PickleError("is damaged: it takes a value where there is a mark")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        """Take all values after the last mark."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self, kind: type) -> Any:
        """Return the last value, which must be of type `kind`, or inert."""
        value = self.stack[-1]
        if type(value) is not kind and type(value) is not Inert:
            raise PickleError(f"treats a {type(value).__name__} as a {kind.__name__}")
        return value

    def keep(self, size: int) -> bytes:
        """Return the next `size` bytes for a value."""
        self.budget.draw(size, "its strings and numbers")
        return self.take(size)

    def protocol(self) -> None:
        found = self.number(1)
        if found > _LATEST_PROTOCOL:
            raise PickleError(f"is of protocol {found}; the latest is {_LATEST_PROTOCOL}")

    def text(self, width: int) -> None:
        size = self.number(width)
        # Before protocol 3, bytes are written as a string that a function before it encodes.
        encoded = size > MOST_CONTENT and bool(self.stack) and self.stack[-1] is _ENCODE
        if encoded or size > _LONGEST_TEXT:
            self.stack.append(Data(self.position, size, text=True))
            self.skip(size)
        else:
            self.stack.append(self.keep(size).decode("utf-8", "surrogatepass"))

    def data(self, width: int) -> None:
        size = self.number(width)
        position = self.position
        if size > MOST_CONTENT:
            self.stack.append(Data(position, size))
            self.skip(size)
        else:
            self.stack.append(Data(position, size, content=self.keep(size)))

    def long(self) -> None:
        self.stack.append(int.from_bytes(self.keep(self.number(1)), "little", signed=True))

    def tuple_of(self, count: int) -> None:
        start = len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise PickleError("is damaged: it takes a value from an empty stack")
        self.stack[start:] = [tuple(self.stack[start:])]

    def find(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleError("asks for a global without a name")
        if (module, name) not in self.globals:
            row = GLOBALS.get((module, name))
            self.globals[module, name] = row.value if row else self.inert_name(check_global(module, name))
        self.stack.append(self.globals[module, name])

    def inert_name(self, name: str) -> InertName:
        """Return the placeholder for an unknown class or function."""
        self.budget.draw(len(name), "its strings and numbers")
        if name not in self.names:
            self.names[name] = InertName(name)
        return self.names[name]

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        self.find(module, name)

    def append(self, items: list[Any]) -> None:
        value = self.top(list)
        (value.held if type(value) is Inert else value).extend(items)

    def set_items(self, items: list[Any]) -> None:
        value = self.top(dict)
        if type(value) is Inert:
            value.entries = {} if value.entries is None else value.entries
            value.entries.update(_pairs(items, len(value.entries)))
            return
        pairs = _pairs(items, len(value))
        expected = len(value) + len(pairs)
        value.update(pairs)
        if len(value) != expected:
            raise PickleError("has a dict with a duplicate key")

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(arguments) is not tuple:
            raise PickleError("calls something with arguments that are not a tuple")
        if type(function) is Maker:
            if len(arguments) > _MOST_ARGUMENTS:
                raise PickleError(f"calls something with {len(arguments):,} arguments")
            self.stack.append(function.make(*arguments))
        else:
            self.stack.append(self.inert(function, [arguments], "calls"))

    def inert(self, made_by: Any, given: list[Any], verb: str) -> Inert | InertName:
        """Return the placeholder for the object that a class, a function or an object would make from `given`.

        The result of getattr may be a class inside a class; a checkpoint calls no other result of it.
        """
        if type(made_by) is InertName:
            return self.attribute(*given[0]) if made_by.name.endswith(".getattr") else Inert(made_by.name, given)
        if type(made_by) is Inert and not made_by.name.endswith(".getattr"):
            return Inert(made_by.name, [made_by, *given])
        what = "the result of getattr" if type(made_by) is Inert else f"a {type(made_by).__name__}"
        raise PickleError(f"{verb} {what}")

    def attribute(self, *given: Any) -> Inert | InertName:
        if len(given) == 2 and type(given[0]) is InertName and isinstance(given[1], str) and given[1].isidentifier():
            module, _, name = given[0].name.rpartition(".")
            if not given[1].startswith("__"):
                return self.inert_name(check_global(module, f"{name}.{given[1]}"))
        return Inert("builtins.getattr", [given])

    def new_object(self, more: int = 0) -> None:
        """Push the placeholder for cls.__new__(cls, *arguments); `more` is 1 if keyword arguments follow."""
        given = [self.pop() for _ in range(1 + more)][::-1]
        if type(given[0]) is not tuple:
            raise PickleError("calls something with arguments that are not a tuple")
        self.stack.append(self.inert(self.pop(), given, "makes an object of"))

    def build(self) -> None:
        """Keep the state for an object's fields; a numpy array takes its dtype or shape from it.

        The attribute `_metadata` of a module's state dict does not matter for tensors.
        """
        state = self.pop()
        built = self.stack[-1]
        if type(built) is Inert:
            if built.state is not None:
                built.held.append(built.state)
            built.state = state
        elif isinstance(built, Array | ArrayType):
            built.build(state)
        else:
            self.top(dict)

    def add_items(self) -> None:
        items = self.pop_mark()
        value = self.top(Inert)
        value.held.extend(items)

    def frozen_set(self) -> None:
        self.stack.append(Inert("builtins.frozenset", self.pop_mark()))

    def persistent(self) -> None:
        value = persistent_value(self.pop())
        if isinstance(value, StorageView):
            storage = value.storage
            if self.storages.setdefault(storage.key, storage) != storage:
                raise PickleError(f"describes the storage {storage.key[:80]!r} in two ways")
        self.stack.append(value)

    def put(self, number: int) -> None:
        self.memo[number] = self.stack[-1]

    def get(self, number: int) -> None:
        self.stack.append(self.memo[number])


def _pairs(items: Sequence[Any], before: int) -> list[tuple[Any, Any]]:
    keys = [as_key(key, number) for number, key in enumerate(items[::2], before)]
    return list(zip(keys, items[1::2], strict=True))
