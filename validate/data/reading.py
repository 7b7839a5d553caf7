"""Read one image's bytes from where it lies: a file of its own, a place in an archive, a record, a row of a table.

This runs in the processes that decode images. It imports neither torch nor pandas, and keeps the files that it reads
from open.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from effconvert.errors import DatasetProblem, UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile

_OPEN_FILES = 64


class Location(NamedTuple):
    """Where an image lies, small and picklable.

    reader: `file`, `bytes`, `record` or `row`. path: of the file, or of the shard. start, length: the range in bytes
    (of the image, or of the record's content); for a row, its row group and its place in it; for a file, 0.
    """

    reader: str
    path: str
    start: int
    length: int


def read_image(location: Location) -> bytes:
    """Return the encoded image at `location`.

    Raises DatasetProblem, naming the file, when it cannot be read, ends too early, or a checksum does not fit;
    Unavailable when the package for it is missing.
    """
    try:
        return _READERS[location.reader](location)
    except OSError as error:
        raise DatasetProblem(f"{location.path}: cannot be read: {error.strerror or error}") from error
    except UnreadableCheckpoint as error:
        raise DatasetProblem(str(error)) from error


def opened(path: str, opener: Callable[[str], Any]) -> Any:
    """Return what `opener` made of `path`, this time or before; the oldest is closed where too many are open."""
    if path not in _open:
        while len(_open) >= _OPEN_FILES:
            _open.pop(next(iter(_open))).close()
        _open[path] = opener(path)
    return _open[path]


_open: dict[str, Any] = {}


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
