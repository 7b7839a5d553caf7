"""Atomic outputs: written under another name in the same folder, then renamed; so they are complete, or absent.

A killed run leaves `.NAME.effconvert-part` behind. The next run to the same output overwrites it.
"""

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from effconvert.errors import OutputProblem
from effconvert.option_words import flag, option

_BUFFER = 1 << 20
# No folder is called so that effconvert writes.
_SUFFIXES_OF_FILES = frozenset(
    ".safetensors .pth .pt .bin .tar .ckpt .h5 .hdf5 .keras .index .npz .npy .gz .tgz .zip .json .csv .html .md .txt "
    ".svg .png .pdf .toml".split()
)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def check_output(path: Path, force: bool) -> None:
    """Raise OutputProblem if `path` exists and `force` is not set, or if its folder does not exist."""
    if path.name in ("", ".."):
        raise OutputProblem(f"{path}: is not a file name; give a name for the output")
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
    part = _part(path)
    with reported(path), _locked_file(part, path) as file:
        try:
            yield file, part
            file.flush()
            os.fsync(file.fileno())
            check_output(path, force)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextmanager
def new_folder(path: Path, force: bool = False, known: Iterable[str] = ()) -> Iterator[Path]:
    """Yield a folder to write files into; it becomes `path` when the block ends without an error.

    Every file in it is synced first. With `force` an existing folder is replaced. It may hold only files with the names
    that were written now, or with names in `known`, which were written before.

    Raises OutputProblem if the output exists, or if the system cannot write it.
    """
    check_output(path, force)
    part = _part(path)
    with reported(path), _locked_folder(part, path):
        try:
            yield part
            for file in part.iterdir():
                _sync_file(file)
            _sync_folder(part)
            check_output(path, force)
            _check_replaceable(path, {file.name for file in part.iterdir()}.union(known))
            _put_in_place(part, path)
        finally:
            _discard(part)
        _sync_folder(path.parent)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.effconvert-part")


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
def _locked_file(part: Path, path: Path) -> Iterator[BinaryIO]:
    """Open `part` empty, locked for this process."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with os.fdopen(descriptor, "w+b", buffering=_BUFFER, closefd=True) as file:
        _lock(descriptor, path)
        if not part.exists() or not os.path.samestat(os.fstat(descriptor), part.stat()):
            raise OutputProblem(f"{path}: another run has just written it")
        os.ftruncate(descriptor, 0)
        if path.is_file() and not path.is_symlink():
            os.fchmod(descriptor, path.stat().st_mode & 0o7777)
        yield file


@contextmanager
def _locked_folder(part: Path, path: Path) -> Iterator[None]:
    """Make the empty folder `part`, locked for this process."""
    part.mkdir(exist_ok=True)
    descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        _lock(descriptor, path)
        for entry in part.iterdir():
            _discard(entry)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, *, wait: bool = False, shared: bool = False) -> bool:
    """Lock an open file or folder until it is closed or the process ends; return whether it worked.

    It fails while another process has the lock, unless both share it. wait: wait until it works. Raises OSError if the
    file system has no locks.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _lock(descriptor: int, path: Path) -> None:
    if not lock(descriptor):
        raise OutputProblem(f"{path}: another run is writing it at this moment")


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
        old = path.with_name(f".{path.name}.effconvert-old")
        _discard(old)
        path.rename(old)
        part.rename(path)
        _discard(old)


def _exchange(one: Path, other: Path) -> bool:
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
