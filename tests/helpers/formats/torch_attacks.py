"""Pickles that would run something in Python's own unpickler, that only look like torch's, and that are inert."""

from collections.abc import Callable

from helpers.formats.pickles import found, integer, state_dict, tensor, text

MKDIR = found("posix", "mkdir")


def short(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def called(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


def attribute(of: bytes, name: str) -> bytes:
    return called(found("builtins", "getattr"), of, text(name))


# The module os, reached by names that are all in the table.
OS = called(
    attribute(attribute(attribute(found("argparse", "Namespace"), "__init__"), "__globals__"), "get"), text("_os")
)

# Each makes the folder `canary` when it is read by Python's own unpickler.
LIVE: dict[str, Callable[[str], bytes]] = {
    "GLOBAL and REDUCE": lambda canary: state_dict(MKDIR + b"(" + text(canary) + b"tR"),
    "os.system": lambda canary: b"\x80\x02" + found("os", "system") + text(f"mkdir {canary}") + b"\x85R.",
    "protocol 0": lambda canary: f"cposix\nmkdir\n(V{canary}\ntR.".encode(),
    "protocol 1": lambda canary: MKDIR + b"(" + text(canary) + b"tR.",
    "protocol 3": lambda canary: b"\x80\x03" + MKDIR + text(canary) + b"\x85R.",
    "STACK_GLOBAL": lambda canary: b"\x80\x04" + short("posix") + short("mkdir") + b"\x93" + text(canary) + b"\x85R.",
    "STACK_GLOBAL from the memo": lambda canary: (
        b"\x80\x04" + short("mkdir") + b"\x94" + short("posix") + b"h\x00\x93" + text(canary) + b"\x85R."
    ),
    "protocol 5 in a frame": lambda canary: (
        b"\x80\x05\x95" + (23 + len(canary)).to_bytes(8, "little") + short("posix") + short("mkdir") + b"\x93"
        + text(canary) + b"\x85R."
    ),
    "INST": lambda canary: b"(" + text(canary) + b"iposix\nmkdir\n.",
    "OBJ": lambda canary: b"(" + MKDIR + text(canary) + b"o.",
    "builtins.eval": lambda canary: (
        b"\x80\x02" + found("builtins", "eval") + text(f"__import__('os').mkdir({canary!r})") + b"\x85R."
    ),
    "builtins.exec": lambda canary: (
        b"\x80\x02" + found("builtins", "exec") + text(f"import os; os.mkdir({canary!r})") + b"\x85R."
    ),
    "Python 2's names": lambda canary: (
        b"\x80\x02" + found("__builtin__", "eval") + text(f"__import__('os').mkdir({canary!r})") + b"\x85R."
    ),
    "getattr": lambda canary: (
        b"\x80\x02" + found("builtins", "getattr") + found("builtins", "__import__") + text("posix") + b"\x85R"
        + text("mkdir") + b"\x86R" + text(canary) + b"\x85R."
    ),
    "a pickle in a pickle": lambda canary: (
        b"\x80\x03" + found("pickle", "loads") + b"B" + len(inner := LIVE["protocol 1"](canary)).to_bytes(4, "little")
        + inner + b"\x85R."
    ),
    "extension code": lambda canary: b"\x80\x02\x82\xf0" + text(canary) + b"\x85R.",
    "extension code of two bytes": lambda canary: b"\x80\x02\x83\xf0\x00" + text(canary) + b"\x85R.",
    "extension code of four bytes": lambda canary: b"\x80\x02\x84\xf0\x00\x00\x00" + text(canary) + b"\x85R.",
    "functools.partial by NEWOBJ": lambda canary: (
        b"\x80\x02" + found("functools", "partial") + MKDIR + text(canary) + b"\x86\x81)R."
    ),
    "in a persistent id": lambda canary: state_dict(tensor(held=MKDIR + text(canary) + b"\x85RQ")),
    "in a dropped value": lambda canary: state_dict(MKDIR + text(canary) + b"\x85R0" + tensor()),
    "in the state of a module's dict": lambda canary: state_dict(
        integer(1), behind=b"}" + text("_metadata") + MKDIR + text(canary) + b"\x85Rs0"
    ),
    "BUILD with __setstate__": lambda canary: (
        b"\x80\x02" + found("types", "SimpleNamespace") + b")R}" + text("__setstate__") + MKDIR + b"sb"
        + text(canary) + b"b."
    ),
    "NEWOBJ_EX": lambda canary: (
        b"\x80\x04" + found("functools", "partial") + MKDIR + text(canary) + b"\x86}\x92)R."
    ),
    "names that are all allowed": lambda canary: b"\x80\x02" + called(attribute(OS, "mkdir"), text(canary)) + b".",
    "written into a Namespace": lambda canary: (
        b"\x80\x02" + found("argparse", "Namespace") + b")\x81}" + text("x") + called(MKDIR, text(canary)) + b"sb."
    ),
    "the factory of a defaultdict": lambda canary: (
        b"\x80\x02" + called(found("operator", "getitem"), called(found("collections", "defaultdict"),
        called(found("functools", "partial"), MKDIR, text(canary))), integer(1)) + b"."
    ),
    "the state of numpy's array": lambda canary: (
        b"\x80\x02" + found("numpy", "dtype") + text("f8") + b"\x85R" + called(MKDIR, text(canary)) + b"b."
    ),
    "an element of a set": lambda canary: b"\x80\x04\x8f(" + called(MKDIR, text(canary)) + b"\x90.",
    "a key of a dict": lambda canary: b"\x80\x02}" + called(MKDIR, text(canary)) + tensor() + b"s.",
    "deep in lists": lambda canary: b"\x80\x02" + b"]" * 50 + called(MKDIR, text(canary)) + b"a" * 50 + b".",
    "appended to an object": lambda canary: (
        b"\x80\x02" + found("collections", "deque") + b")R" + called(MKDIR, text(canary)) + b"a."
    ),
    "an entry of an object": lambda canary: (
        b"\x80\x02" + found("collections", "UserDict") + b")R" + text("x") + called(MKDIR, text(canary)) + b"s."
    ),
    "the state of an object": lambda canary: (
        b"\x80\x02" + found("fractions", "Fraction") + b")R}" + text("x") + called(MKDIR, text(canary)) + b"sb."
    ),
    "a module within a module": lambda canary: (
        b"\x80\x04" + called(short("posixpath") + short("os.mkdir") + b"\x93", text(canary)) + b"."
    ),
    "what getattr gives is called": lambda canary: (
        b"\x80\x04" + called(attribute(short("posixpath") + short("os") + b"\x93", "mkdir"), text(canary)) + b"."
    ),
    "importlib": lambda canary: (
        b"\x80\x02" + called(attribute(called(found("importlib", "import_module"), text("posix")), "mkdir"),
        text(canary)) + b"."
    ),
    "subprocess": lambda canary: (
        b"\x80\x02" + called(found("subprocess", "check_call"), b"](" + text("mkdir") + text(canary) + b"e") + b"."
    ),
    "timeit": lambda canary: (
        b"\x80\x02" + called(found("timeit", "timeit"), text(f"__import__('os').mkdir({canary!r})"), text("pass"),
        found("timeit", "default_timer"), integer(1)) + b"."
    ),
    "attrgetter": lambda canary: (
        b"\x80\x02" + called(called(found("operator", "attrgetter"), text("__globals__")), found("posixpath", "join"))
        + b"0" + called(MKDIR, text(canary)) + b"."
    ),
    "beside the tensors": lambda canary: state_dict(integer(1), behind=text("y") + MKDIR + text(canary) + b"\x85Rs"),
}  # fmt: skip

# These harm in other ways, or only look as if they were torch's.
OTHERS: dict[str, bytes] = {
    "torch.hub.load": found("torch.hub", "load") + text("a/b") + text("c") + b"\x86R",
    "torch.load": found("torch", "load") + text("x") + b"\x85R",
    "torch.storage._load_from_bytes": found("torch.storage", "_load_from_bytes") + text("x") + b"\x85R",
    "torch.utils.collect_env.run": found("torch.utils.collect_env", "run") + text("id") + b"\x85R",
    "torch._utils._rebuild_parameter": found("torch._utils", "_rebuild_parameter") + b")R",
    "a dotted name": short("torch._utils") + short("_rebuild_tensor_v2.__globals__") + b"\x93",
    "a dotted module": short("torch") + short("FloatStorage.__class__") + b"\x93",
    "OrderedDict's class": short("collections") + short("OrderedDict.__class__") + b"\x93",
    "a name that is not a string": integer(1) + integer(2) + b"\x93",
    "a name that is not hashable": b"]]\x93",
    "a long name": short("torch") + text("x" * 100_000) + b"\x93",
    "a name that clears the screen": short("torch") + text("\x1b[2J\u202e") + b"\x93",
    "a storage that is called": found("torch", "FloatStorage") + b")R",
    "a tensor that is called": tensor() + b")R",
    "a text that is called": text("x") + b")R",
    "OrderedDict with arguments": found("collections", "OrderedDict") + b"}\x85R",
    "arguments that are not a tuple": found("collections", "OrderedDict") + b"]R",
    "NEWOBJ": found("collections", "OrderedDict") + b")\x81",
    "NEWOBJ_EX": found("collections", "OrderedDict") + b")}\x92",
    "PERSID": b"Pstorage\n",
    "a persistent id that is a text": text("storage") + b"Q",
    "a persistent id of six": b"(" + text("storage") + found("torch", "FloatStorage") + b"NNNNtQ",
    "a persistent id of a module": b"(" + text("module") + b"NNNNtQ",
    "BYTEARRAY8 of many bytes": b"\x96" + b"\xff" * 7 + b"\x7f",
    "BINBYTES8 of many bytes": b"\x8e" + b"\xff" * 7 + b"\x7f",
    "BINUNICODE of many bytes": b"X\xff\xff\xff\xff",
    "BINUNICODE8 of many bytes": b"\x8d" + b"\xff" * 8,
    "LONG4 of many bytes": b"\x8b\xff\xff\xff\x7f",
    "LONG4 of negative length": b"\x8b\xff\xff\xff\xff",
    "a frame of many bytes": b"\x95" + b"\xff" * 7 + b"\x7fN\x86",
    "a set": b"\x8f",
    "a buffer": b"\x97",
    "a float in letters": b"F1.5\n",
    "letters with an escape": b"S'\\q'\n",
    "protocol 6": b"\x80\x06",
    "protocol 255": b"\x80\xff",
}


# A module that is not there: importing it would be an error.
NOT_THERE = found("no.such_module", "Thing")

# These are inert: whatever they are given is never made, called or imported.
INERT: dict[str, bytes] = {
    "numpy's reconstruct": found("numpy.core.multiarray", "_reconstruct") + b")R",
    "numpy's scalar with a pickle": called(
        found("numpy._core.multiarray", "scalar"), called(found("numpy", "dtype"), text("O")), b"C\x03cos"
    ),
    "getattr": attribute(found("argparse", "Namespace"), "__init__"),
    "encode": called(found("_codecs", "encode"), text("x"), text("rot13")),
    "a path": called(found("pathlib", "PosixPath"), text("/etc/passwd")),
    "a device": called(found("torch", "device"), text("cuda"), integer(99)),
    "a Namespace with a class": found("argparse", "Namespace") + b")\x81}" + text("__class__") + b"Nsb",
    "a Namespace with slots": found("argparse", "Namespace") + b")\x81N}" + text("__dict__") + b"Ns\x86b",
    "a Namespace with a text": found("argparse", "Namespace") + b")\x81" + text("x") + b"b",
    "the state of a history": (
        found("mmengine.logging.history_buffer", "HistoryBuffer") + b")\x81}" + text("__setstate__") + b"Nsb"
    ),
    "many bytes": called(found("builtins", "bytearray"), integer((1 << 31) - 1)),
    "a long range": called(found("builtins", "slice"), integer(0), integer(1 << 62)),
    "a set": b"\x8f(K\x01\x90",
    "a frozenset": b"(K\x01\x91",
    "bytes": b"C\x01x",
    "a class that is not there": NOT_THERE,
    "an object of a class that is not there": called(NOT_THERE, text("x")),
    "an object that is called": called(called(NOT_THERE, text("x")), text("y")),
    "a class within a class": called(attribute(NOT_THERE, "Inner"), text("x")),
    "NEWOBJ": NOT_THERE + b")\x81",
    "NEWOBJ_EX": NOT_THERE + b")}" + text("key") + b"Ns\x92",
    "elements of an object": NOT_THERE + b")\x81(K\x01K\x02e",
    "entries of an object": NOT_THERE + b")\x81(" + text("__class__") + b"NK\x01Nu",
    "the elements of a set of its own class": NOT_THERE + b")\x81(K\x01\x90",
    "the state of an object": NOT_THERE + b")\x81}" + text("__setstate__") + NOT_THERE + b"sb",
    "the state of an object, twice": NOT_THERE + b")\x81Nb}b",
    "a dotted name": short("no.such_module") + short("Thing.Inner") + b"\x93",
    "a persistent id of another kind": b"(" + text("module") + NOT_THERE + b"NNtQ",
    "a persistent id that is a text": text("x") + b"Q",
    "keys that are classes, objects and pairs": b"}(" + NOT_THERE + b"N" + NOT_THERE + b")\x81NK\x01K\x02\x86Nu",
    "numpy's array of objects": called(
        found("numpy.core.multiarray", "_reconstruct"), found("numpy", "ndarray"), integer(0) + b"\x85", b"C\x01b"
    ) + b"(K\x01)" + called(found("numpy", "dtype"), text("O8")) + b"\x89]" + NOT_THERE + b"atb",
}  # fmt: skip
