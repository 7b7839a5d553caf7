"""The reader of pickles in files of torch.save: instruction by instruction, with a machine that cannot run code.

The pickle is read through a window, so that the rest of the file is not read.
"""

import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from struct import unpack
from typing import Any

from effconvert.budget import OBJECT
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.torch.machine import Machine
from effconvert.formats.torch.tensors import Inert, PickleError, Storage

# The protocol; then a dict, a list, a tuple or a class, or from protocol 4 on a frame of less than 2**48 bytes.
_START = re.compile(rb"\x80(?:[\x02\x03][\]})(c]|[\x04\x05]\x95.{6}\0\0)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pickle:
    """The value of a pickle, the storages that it names, the unknown names in it, and its end."""

    value: Any
    storages: dict[str, Storage]
    names: tuple[str, ...]
    end: int


def is_pickle(start: bytes) -> bool:
    """Return whether a file that begins with `start` is a pickle of protocol 2 or later."""
    return _START.match(start) is not None


def read_pickle(file: DataFile, start: int, end: int) -> Pickle:
    """Read the pickle at byte `start` of `file`; it must end before `end`.

    Raises PickleError for an instruction or a name that no checkpoint needs; the message names it. Raises
    UnreadableCheckpoint if the pickle is too much for the budget of the file.
    """
    machine = Machine(file, start, end)
    try:
        value = _run(machine)
    except PickleError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise PickleError(f"is damaged: {type(error).__name__}: {str(error)[:200]}") from error
    return Pickle(value, machine.storages, tuple(machine.names), machine.position)


def _run(machine: Machine) -> Any:
    """Run the instructions and return the final value."""
    budget = machine.budget
    while True:
        budget.step()
        budget.draw(OBJECT, "the values in its pickle")
        code = machine.take(1)
        if code == b".":
            return machine.pop()
        instruction = _INSTRUCTIONS.get(code)
        if instruction is None:
            raise PickleError(f"uses {_name(code)}, which no checkpoint needs")
        instruction(machine)


def _name(code: bytes) -> str:
    known = {opcode.code: opcode.name for opcode in pickletools.opcodes}
    return known.get(code.decode("latin-1"), f"the unknown instruction {code.hex()}")


# Only the instructions that writers of protocols 2 to 5 use.
_BY_NAME: dict[str, Callable[[Machine], object]] = {
    "PROTO": Machine.protocol,
    "FRAME": lambda machine: machine.check(machine.number(8)),
    "NONE": lambda machine: machine.stack.append(None),
    "NEWTRUE": lambda machine: machine.stack.append(True),
    "NEWFALSE": lambda machine: machine.stack.append(False),
    "BININT": lambda machine: machine.stack.append(unpack("<i", machine.take(4))[0]),
    "BININT1": lambda machine: machine.stack.append(machine.take(1)[0]),
    "BININT2": lambda machine: machine.stack.append(machine.number(2)),
    "LONG1": Machine.long,
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
    "SETITEM": Machine.set_item,
    "SETITEMS": lambda machine: machine.set_items(machine.pop_mark()),
    "EMPTY_SET": lambda machine: machine.stack.append(Inert("builtins.set")),
    "ADDITEMS": Machine.add_items,
    "FROZENSET": Machine.frozen_set,
    "GLOBAL": lambda machine: machine.find(machine.line(), machine.line()),
    "STACK_GLOBAL": Machine.stack_global,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.new_object,
    "NEWOBJ_EX": lambda machine: machine.new_object(1),
    "BUILD": Machine.build,
    "BINPERSID": Machine.persistent,
    "POP": Machine.pop,
    "POP_MARK": Machine.pop_mark,
}
_INSTRUCTIONS = {
    opcode.code.encode("latin-1"): _BY_NAME[opcode.name] for opcode in pickletools.opcodes if opcode.name in _BY_NAME
}
