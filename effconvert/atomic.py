"""Atomic outputs: written under another name in the same folder, then renamed; so they are complete, or absent.

Nobody can know the other name before, so nothing can be in its place. What a killed run leaves under it is removed by
the next run to the same output.
"""

import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from effconvert.errors import OutputProblem
from effconvert.locks import discard, lock, remove_unlocked
from effconvert.option_words import flag, option

_BUFFER = 1 << 20
# No folder is called so that effconvert writes.
_SUFFIXES_OF_FILES = frozenset(
    ".safetensors .pth .pt .bin .tar .ckpt .h5 .hdf5 .keras .index .npz .npy .gz .tgz .zip .json .csv .html .md .txt "
    ".svg .png .pdf .toml".split()
)
_TRIES, _PAUSE = 100, 0.01  # to be alone for a moment
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


# (output, inode of what is renamed to it): an interruption may come before the renaming or after it.
_renamed: deque[tuple[Path, int]] = deque(maxlen=100)


def written_outputs() -> list[Path]:
    """Return the last outputs of this process that are in place, in the order of writing."""
    found = []
    for path, inode in _renamed:
        with suppress(OSError):
            if path.lstat().st_ino == inode:
                found.append(path)
    return found


def check_output(path: Path, force: bool) -> None:
    """Raise OutputProblem if `path` exists and `force` is not set, or if its folder does not exist.

    A pipe or a device, or a link to one, is never replaced.
    """
    if path.name in ("", ".."):
        raise OutputProblem(f"{path}: is not a file name; give a name for the output")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OutputProblem(f"{path}: is not a file; give the name of a file")
    if os.path.lexists(path) and not force and not _is_empty_folder(path):
        raise OutputProblem(f"{path}: exists; give {flag('force')} to replace it, or another name with {option('out')}")
    if not path.parent.is_dir():
        raise OutputProblem(f"{path}: the folder {path.parent} does not exist")


def check_is_no_source(path: Path, sources: Iterable[Path]) -> None:
    """Raise OutputProblem if writing `path` would replace one of `sources`, also through a link or as its folder."""
    if not path.exists():
        return
    for source in sources:
        if source.exists() and path.samefile(source):
            raise OutputProblem(f"{path}: is the source of this conversion; give another name with {option('out')}")
        if any(path.samefile(folder) for folder in {*source.absolute().parents, *source.resolve().parents}):
            raise OutputProblem(f"{path}: holds the source of this conversion; give another name with {option('out')}")


def check_suffix(path: Path, suffix: str, option: str = "--out") -> None:
    """Raise OutputProblem if `path`, a file of one format, does not end in `suffix`; `option` names it."""
    if not path.name.lower().endswith(suffix) or path.name.lower() == suffix:
        raise OutputProblem(f"{path}: the file that is written ends in {suffix}; give another name with {option}")


def check_folder_name(path: Path, option: str = "--out") -> None:
    """Raise OutputProblem if `path`, a folder that is written, is called like a file; `option` names it."""
    if path.suffix.lower() in _SUFFIXES_OF_FILES:
        raise OutputProblem(
            f"{path}: a folder is written, and {path.suffix} is the suffix of a file; give another name with {option}"
        )


@contextmanager
def new_file(path: Path, force: bool = False) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a file to write, and its path for reading back; it becomes `path` when the block ends without an error.

    Raises OutputProblem if the output exists, or if the system cannot write it.
    """
    check_output(path, force)
    if path.is_dir() and not path.is_symlink():
        raise OutputProblem(f"{path}: is a folder; give the name of a file with {option('out')}")
    with reported(path), _new_part(path) as (file, part):
        yield file, part
        file.flush()
        os.fsync(file.fileno())
        check_output(path, force)
        _renamed.append((path, part.lstat().st_ino))
        part.replace(path)
    _sync_place(path)


@contextmanager
def new_folder(path: Path, force: bool = False, known: Iterable[str] = ()) -> Iterator[Path]:
    """Yield a folder to write files into; it becomes `path` when the block ends without an error.

    Every file in it is synced first. With `force` an existing folder is replaced. It may hold only files with the names
    that were written now, or with names in `known`, which were written before.

    Raises OutputProblem if the output exists, or if the system cannot write it.
    """
    check_output(path, force)
    with reported(path), _new_part_folder(path) as part:
        yield part
        for file in part.iterdir():
            _sync_file(file)
        _sync_folder(part)
        check_output(path, force)
        _check_replaceable(path, {file.name for file in part.iterdir()}.union(known))
        _renamed.append((path, part.lstat().st_ino))
        _put_in_place(part, path)
    _sync_place(path)


def _beside(path: Path, ending: str) -> Path:
    """Return a new name beside `path`, which is not longer for a long name, and which only `_left` connects to it."""
    return path.with_name(f"{_start(path)}{secrets.token_hex(8)}.{ending}")


def _start(path: Path) -> str:
    return f".effconvert-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}-"


def _left(path: Path, ending: str) -> list[Path]:
    """Return what other runs have, or have left, beside `path` for it."""
    with os.scandir(path.parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(_start(path))]
    return [path.with_name(name) for name in names if name.endswith(f".{ending}")]


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn errors of the system while the block writes `path` into an OutputProblem."""
    try:
        yield
    except OSError as error:
        free = ""
        if error.errno == errno.ENOSPC:
            free = f" ({shutil.disk_usage(path.parent).free:,} bytes are free in {path.parent})"
        reason = error.strerror or str(error)
        raise OutputProblem(f"{path}: cannot be written: {reason}{free}; nothing was changed") from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let no other run begin to write `path` during the block; remove what killed runs left of it.

    Raises OutputProblem if another run is writing it.
    """
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        for _ in range(_TRIES):  # who holds it for longer is no run of effconvert
            try:
                if lock(descriptor):
                    break
            except OSError:  # a file system without locks for folders
                break
            time.sleep(_PAUSE)
        if remove_unlocked(_left(path, "part")):
            raise OutputProblem(f"{path}: another run is writing it at this moment")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _new_part(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Give a new empty file, locked for this process, and its path; it has the permissions of an old file.

    It is removed in the end, if it still has this name.
    """
    part = _beside(path, "part")
    with ExitStack() as exits:
        exits.callback(part.unlink, missing_ok=True)
        with _alone(path):
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
            file = exits.enter_context(os.fdopen(descriptor, "w+b", buffering=_BUFFER))
            lock(descriptor)
        if path.is_file() and not path.is_symlink():
            os.fchmod(descriptor, path.stat().st_mode & 0o777)
        yield file, part


@contextmanager
def _new_part_folder(path: Path) -> Iterator[Path]:
    """Give a new empty folder, locked for this process; what has its name in the end is removed."""
    part = _beside(path, "part")
    with ExitStack() as exits:
        exits.callback(discard, part)
        with _alone(path):
            part.mkdir()
            descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW)
            exits.callback(os.close, descriptor)
            lock(descriptor)
        yield part


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _check_replaceable(path: Path, names: set[str]) -> None:
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        raise OutputProblem(f"{path}: exists and is not a folder; remove it first")
    strange = sorted({entry.name for entry in path.iterdir()} - names)
    if strange:
        raise OutputProblem(f"{path}: also holds {', '.join(strange[:3])}, which {flag('force')} does not remove")


def _put_in_place(part: Path, path: Path) -> None:
    """Rename `part` to `path`; swap it with an existing folder in one step if the system can."""
    if not os.path.lexists(path) or _is_empty_folder(path):
        part.rename(path)
    elif not _exchange(part, path):
        path.rename(_beside(path, "old"))
        part.rename(path)
        remove_unlocked(_left(path, "old"))


def _exchange(one: Path, other: Path) -> bool:
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _sync_place(path: Path) -> None:
    """Make the renaming to `path` last. Raises OutputProblem."""
    try:
        _sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputProblem(f"{path}: was written, but its folder {path.parent} not synced: {reason}") from error


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
