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
from effconvert.formats.torch.globals import GLOBALS, Maker
from effconvert.formats.torch.tensors import InertName, StorageKind
from helpers.formats.pickles import VALUES, found, state_dict, tensor, text, write, write_legacy
from helpers.formats.torch_attacks import INERT, LIVE, MKDIR, OTHERS, called

WRITERS = {"zip": write, "before 1.6": write_legacy}

FORBIDDEN = {"exec", "compile", "os.system", "os.exec", "os.mkdir", "os.posix_spawn", "os.putenv"}
FORBIDDEN |= {"subprocess.Popen", "socket.connect", "socket.__new__", "pickle.find_class", "import"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

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


@pytest.mark.parametrize("write_file", WRITERS.values(), ids=WRITERS.keys())
@pytest.mark.parametrize("attack", LIVE.values(), ids=LIVE.keys())
def test_s1_no_attack_is_run(
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
def test_s1_each_attack_would_run_in_a_careless_reader(tmp_path: Path, attack: Callable[[str], bytes]) -> None:
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
from effconvert.formats import file_kinds, open_checkpoint
good, paths = sys.argv[1 : int(sys.argv[1]) + 2][1:], sys.argv[int(sys.argv[1]) + 2 :]
for path in good:
    open_checkpoint(path).close()
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


def test_s1_a_process_that_reads_every_attack_does_nothing_but_open_files(tmp_path: Path) -> None:
    """No import, no compilation, no process, no socket, no file opened for writing: nothing but `open` to read."""
    good, paths = [], []
    for form, write_file in WRITERS.items():
        good.append(write_file(tmp_path / f"good {form}", state_dict(tensor())))
        for number, attack in enumerate(LIVE.values()):
            paths.append(write_file(tmp_path / f"{form} {number}", attack(str(tmp_path / "canary"))))
    command = [sys.executable, "-W", "ignore", "-c", WATCHED, str(len(good)), *map(str, [*good, *paths])]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{len(paths)} [] open\n"
    assert not (tmp_path / "canary").exists()


def test_the_hook_sees_what_is_forbidden(tmp_path: Path, watch: Callable[[bool], None]) -> None:
    watch(True)
    os.mkdir(tmp_path / "x")  # noqa: PTH102 (as an attack would)
    watch(False)
    assert len(_seen) == 1
    _seen.clear()


def test_s2_what_a_pickle_may_name_is_a_closed_table() -> None:
    tensor_rows = {name for name, row in GLOBALS.items() if row.mark == "tensor"}
    inert_rows = {name for name, row in GLOBALS.items() if row.mark == "inert"}
    assert tensor_rows | inert_rows == GLOBALS.keys()
    assert all(type(GLOBALS[name].value) in (Maker, StorageKind) for name in tensor_rows)
    assert {GLOBALS[name].value.make.__module__ for name in tensor_rows if type(GLOBALS[name].value) is Maker} == {
        "effconvert.formats.torch.globals", "effconvert.formats.torch.tensors"
    }  # fmt: skip
    assert all(type(GLOBALS[name].value) is InertName for name in inert_rows)
    assert {module.split(".")[0] for module, _ in GLOBALS} == {
        "torch", "collections", "argparse", "mmengine", "numpy", "_codecs", "builtins", "__builtin__", "pathlib",
        "datetime",
    }  # fmt: skip


def test_no_table_can_be_added_to_by_a_file() -> None:
    with pytest.raises(TypeError):
        GLOBALS["posix", "mkdir"] = GLOBALS["argparse", "Namespace"]  # type: ignore[index]


def test_s2_a_global_that_is_refused_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pth", LIVE["os.system"]("x"))
    with pytest.raises(UnreadableCheckpoint, match=r"asks for os\.system; only tensors are read, no code is run"):
        open_checkpoint(path)


REFUSED = """os.popen posix.execv nt.system subprocess.run sys.exit importlib.reload runpy.run_path pickle.loads _pickle.load
    marshal.loads ctypes.CDLL socket.create_connection shutil.rmtree webbrowser.open pty.spawn commands.getoutput code.interact
    builtins.eval builtins.open __builtin__.execfile builtins.globals io.open _io.FileIO operator.attrgetter
    types.FunctionType types.CodeType torch.load torch.hub.load torch.jit.load torch.serialization.load numpy.load
    numpy.testing._private.utils.runstring urllib.request.urlopen pip._internal.main asyncio.subprocess.create_subprocess_exec
    torch.utils.cpp_extension.load torch._inductor.codecache.compile_file pkgutil.resolve_name uuid._popen""".split()
HARMLESS = """os.PathLike signal.Signals functools.partial operator.itemgetter builtins.setattr types.SimpleNamespace types.MethodType
    logging.getLogger posixpath.join collections.deque numpy.random._pickle.__generator_ctor torch.jit._pickle.build_intlist
    inspect._empty multiprocessing.context.SpawnContext ostrich.Egg system.Thing codec.Code profiles.Profile""".split()


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_only_an_attack_asks_for_is_refused(tmp_path: Path, name: str) -> None:
    """Even where it would be inert, and is called by nothing."""
    module, _, attribute = name.rpartition(".")
    path = write(tmp_path / "x.pth", state_dict(tensor(), behind=text("y") + found(module, attribute) + b"s"))
    with pytest.raises(UnreadableCheckpoint, match=f"its pickle asks for {name}; .* may be an attack"):
        open_checkpoint(path)


@pytest.mark.parametrize("name", HARMLESS)
def test_s2_any_other_name_is_inert(tmp_path: Path, watch: Callable[[bool], None], name: str) -> None:
    module, _, attribute = name.rpartition(".")
    value = called(found(module, attribute), text("x"))
    path = write(tmp_path / "x.pth", state_dict(tensor(), behind=text("y") + value + b"s"))
    watch(True)
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == ["x"]
        assert any(name in reason for reason in checkpoint.skipped.values()) or name == "types.SimpleNamespace"
    watch(False)


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
