"""A pickle that asks for anything but tensors is refused, and nothing that it asks for is ever run."""

import copyreg
import encodings.cp437  # noqa: F401 (of the names in a zip file; else Python loads it while the hook watches)
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import open_checkpoint
from effconvert.formats.torch_globals import GLOBALS, Maker
from effconvert.formats.torch_tensors import InertName, StorageKind

from .pickles import VALUES, found, integer, state_dict, tensor, text, write, write_legacy

WRITERS = {"zip": write, "before 1.6": write_legacy}

FORBIDDEN = {"exec", "compile", "os.system", "os.exec", "os.mkdir", "os.posix_spawn", "os.putenv"}
FORBIDDEN |= {"subprocess.Popen", "socket.connect", "socket.__new__", "pickle.find_class", "import"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
MKDIR = found("posix", "mkdir")

_watching = False
_seen: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and (event in FORBIDDEN or (event == "open" and arguments[2] & WRITING)):
        _seen.append(f"{event} {arguments!r}")


sys.addaudithook(_watch)


@pytest.fixture
def watch() -> Iterator[Callable[[bool], None]]:
    """Switch on and off the hook that notes what a reader must never do; at the end nothing may have been noted."""

    def switch(on: bool) -> None:
        global _watching
        _watching = on

    _seen.clear()
    yield switch
    switch(False)
    assert _seen == []


class PlainUnpickler(pickle.Unpickler):
    """What a careless reader would use."""

    def persistent_load(self, reference: object) -> object:
        return reference


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
    "a name that is no text": integer(1) + integer(2) + b"\x93",
    "a name that is not hashable": b"]]\x93",
    "a long name": short("torch") + text("x" * 100_000) + b"\x93",
    "a name that clears the screen": short("torch") + text("\x1b[2J\u202e") + b"\x93",
    "a storage that is called": found("torch", "FloatStorage") + b")R",
    "a tensor that is called": tensor() + b")R",
    "a text that is called": text("x") + b")R",
    "OrderedDict with arguments": found("collections", "OrderedDict") + b"}\x85R",
    "arguments that are no tuple": found("collections", "OrderedDict") + b"]R",
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


# These are in the table as inert: whatever they are given is dropped.
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
}


@pytest.mark.parametrize("write_file", WRITERS.values(), ids=WRITERS.keys())
@pytest.mark.parametrize("attack", LIVE.values(), ids=LIVE.keys())
def test_no_attack_is_run(
    tmp_path: Path, watch: Callable[[bool], None], attack: Callable[[str], bytes], write_file: Callable[..., Path]
) -> None:
    canary = tmp_path / "canary"
    path = write_file(tmp_path / "x.pth", attack(str(canary)))
    copyreg.add_extension("posix", "mkdir", 0xF0)
    try:
        watch(True)
        with pytest.raises(UnreadableCheckpoint, match="its pickle (asks for|uses|treats|calls|makes)") as caught:
            open_checkpoint(path)
        watch(False)
    finally:
        copyreg.remove_extension("posix", "mkdir", 0xF0)
    assert caught.value.exit_code == 3
    assert not canary.exists()


@pytest.mark.parametrize("place", ["protocol", "system", "keys"])
def test_no_attack_is_run_in_the_other_pickles_of_the_older_form(
    tmp_path: Path, watch: Callable[[bool], None], place: str
) -> None:
    canary = tmp_path / "canary"
    attack = b"\x80\x02" + called(MKDIR, text(str(canary))) + b"."
    path = write_legacy(tmp_path / "x.pth", state_dict(tensor()), **{place: attack})
    watch(True)
    with pytest.raises(UnreadableCheckpoint, match=r"asks for posix\.mkdir"):
        open_checkpoint(path)
    watch(False)
    assert not canary.exists()


@pytest.mark.parametrize("attack", LIVE.values(), ids=LIVE.keys())
def test_each_attack_would_run_in_a_careless_reader(tmp_path: Path, attack: Callable[[str], bytes]) -> None:
    """Otherwise the test above would prove nothing."""
    canary = tmp_path / "canary"
    path = tmp_path / "x.pkl"
    path.write_bytes(attack(str(canary)))
    copyreg.add_extension("posix", "mkdir", 0xF0)
    try:
        with path.open("rb") as file:
            PlainUnpickler(file).load()
    except (TypeError, AttributeError, pickle.UnpicklingError):
        pass  # what comes after the harm need not make sense
    finally:
        copyreg.remove_extension("posix", "mkdir", 0xF0)
        copyreg._extension_cache.clear()  # type: ignore[attr-defined]
    assert canary.exists()


@pytest.mark.parametrize("write_file", WRITERS.values(), ids=WRITERS.keys())
@pytest.mark.parametrize("value", OTHERS.values(), ids=OTHERS.keys())
def test_what_holds_no_tensor_is_refused(
    tmp_path: Path, watch: Callable[[bool], None], value: bytes, write_file: Callable[..., Path]
) -> None:
    path = write_file(tmp_path / "x.pth", state_dict(value))
    watch(True)
    with pytest.raises(UnreadableCheckpoint) as caught:
        open_checkpoint(path)
    watch(False)
    message = str(caught.value).removeprefix(str(tmp_path))
    assert message.isprintable()
    assert len(message) < 1000


@pytest.mark.parametrize("write_file", WRITERS.values(), ids=WRITERS.keys())
@pytest.mark.parametrize("value", INERT.values(), ids=INERT.keys())
def test_what_is_inert_does_nothing(
    tmp_path: Path, watch: Callable[[bool], None], value: bytes, write_file: Callable[..., Path]
) -> None:
    path = write_file(tmp_path / "x.pth", state_dict(tensor(), behind=text("y") + value + b"s"))
    watch(True)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.read("x").tobytes() == VALUES
        assert list(checkpoint.tensors) == ["x"]
    watch(False)


WATCHED = """
import sys
from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import open_checkpoint
good, *paths = sys.argv[1:]
open_checkpoint(good).close()
seen = []
sys.addaudithook(lambda event, arguments: seen.append((event, arguments)))
for path in paths:
    try:
        open_checkpoint(path).close()
    except UnreadableCheckpoint:
        pass
seen = seen[:]
written = [arguments for event, arguments in seen if event == "open" and arguments[2] & 3]
print(len(paths), written, *sorted({event for event, _ in seen}))
"""


def test_a_process_that_reads_every_attack_does_nothing_but_open_files(tmp_path: Path) -> None:
    """No import, no compilation, no process, no socket, no file opened for writing: nothing but `open` to read."""
    paths = []
    for form, write_file in WRITERS.items():
        paths.append(write_file(tmp_path / f"good {form}", state_dict(tensor())))
        for number, attack in enumerate(LIVE.values()):
            paths.append(write_file(tmp_path / f"{form} {number}", attack(str(tmp_path / "canary"))))
    command = [sys.executable, "-W", "ignore", "-c", WATCHED, *map(str, paths)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{len(paths) - 1} [] open\n"
    assert not (tmp_path / "canary").exists()


def test_the_hook_sees_what_is_forbidden(tmp_path: Path, watch: Callable[[bool], None]) -> None:
    watch(True)
    os.mkdir(tmp_path / "x")  # noqa: PTH102 (as an attack would)
    watch(False)
    assert len(_seen) == 1
    _seen.clear()


def test_what_a_pickle_may_name_is_a_closed_table() -> None:
    tensor_rows = {name for name, row in GLOBALS.items() if row.mark == "tensor"}
    inert_rows = {name for name, row in GLOBALS.items() if row.mark == "inert"}
    assert tensor_rows | inert_rows == GLOBALS.keys()
    assert all(type(GLOBALS[name].value) in (Maker, StorageKind) for name in tensor_rows)
    assert {GLOBALS[name].value.make.__module__ for name in tensor_rows if type(GLOBALS[name].value) is Maker} == {
        "effconvert.formats.torch_globals", "effconvert.formats.torch_tensors"
    }  # fmt: skip
    assert all(type(GLOBALS[name].value) is InertName for name in inert_rows)
    assert {module.split(".")[0] for module, _ in GLOBALS} == {
        "torch", "collections", "argparse", "mmengine", "numpy", "_codecs", "builtins", "__builtin__", "pathlib",
        "datetime",
    }  # fmt: skip


def test_no_table_can_be_added_to_by_a_file() -> None:
    with pytest.raises(TypeError):
        GLOBALS["posix", "mkdir"] = GLOBALS["argparse", "Namespace"]  # type: ignore[index]


def test_a_global_that_is_refused_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pth", LIVE["os.system"]("x"))
    with pytest.raises(UnreadableCheckpoint, match=r"asks for os\.system; only tensors are read, no code is run"):
        open_checkpoint(path)


def test_a_second_pickle_in_another_record_is_not_looked_at(tmp_path: Path, watch: Callable[[bool], None]) -> None:
    canary = tmp_path / "canary"
    attack = LIVE["GLOBAL and REDUCE"](str(canary))
    records = {"data/0": bytes(16), "constants.pkl": attack, "code/__init__.py": attack}
    path = write(tmp_path / "x.pth", state_dict(tensor()) + attack, records)
    watch(True)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.read("x").tolist() == [0, 0, 0, 0]
    watch(False)
    assert not canary.exists()
