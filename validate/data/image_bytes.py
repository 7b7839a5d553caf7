"""Reading of one image from its location: a file, a byte range in an archive, a record, a row of a table.

This runs in the processes and threads that decode images, so it imports neither torch nor pandas. Files stay open; each
thread has its own, since one thread must not close a file that another reads.
"""

import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from effconvert.errors import DatasetProblem, UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.validate.data.locations import Location

# For the main thread of a process, and for each other thread; about sixteen read at once.
_OPEN_FILES, _OPEN_FILES_OF_THREAD = 64, 4


def read_image(location: Location) -> bytes:
    """Return the encoded image at `location`.

    Raises DatasetProblem with the path when it cannot be read, ends too early, or has a wrong checksum;
    Unavailable when the package for it is missing.
    """
    try:
        return _READERS[location.reader](location)
    except OSError as error:
        raise DatasetProblem(f"{location.path}: cannot be read: {error.strerror or error}") from error
    except UnreadableCheckpoint as error:
        raise DatasetProblem(str(error)) from error


def opened(path: str, opener: Callable[[str], Any]) -> Any:
    """Return `opener(path)`, reused within this thread; of too many open files, the oldest is closed."""
    files = _of_thread.files
    if path not in files:
        while len(files) >= _of_thread.most:
            files.pop(next(iter(files))).close()
        files[path] = opener(path)
    return files[path]


class _Mark:
    """An object that lives as long as its thread."""


class _OfThread(threading.local):
    """files: {path: open file}, closed when the thread ends. most: the limit of open files."""

    def __init__(self) -> None:
        self.files: dict[str, Any] = {}
        is_main = threading.current_thread() is threading.main_thread()
        self.most = _OPEN_FILES if is_main else _OPEN_FILES_OF_THREAD
        self._mark = _Mark()
        weakref.finalize(self._mark, _close, self.files)


def _close(files: dict[str, Any]) -> None:
    for file in files.values():
        file.close()


_of_thread = _OfThread()


def _file(location: Location) -> bytes:
    return Path(location.path).read_bytes()


def _bytes(location: Location) -> bytes:
    file: DataFile = opened(location.path, lambda path: DataFile(Path(path)))
    return file.read(location.start, location.length)


def _record(location: Location) -> bytes:
    from effconvert.validate.data.containers.tfrecord import image_of_record

    file: DataFile = opened(location.path, lambda path: DataFile(Path(path)))
    return image_of_record(file, location.start, location.length)


def _row(location: Location) -> bytes:
    from effconvert.validate.data.containers.parquet import ParquetImages

    table: ParquetImages = opened(location.path, ParquetImages)
    return table.image(location.start, location.length)


_READERS: dict[str, Callable[[Location], bytes]] = {"file": _file, "bytes": _bytes, "record": _record, "row": _row}
