"""The zip file of torch.save: a pickle that describes tensors, and one stored record for each storage.

Source: torch/serialization.py (_save), caffe2/serialize/inline_container.cc, and PKWARE's APPNOTE.TXT 4.3.7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.strict_json import parse_json, strings_in
from effconvert.formats.torch.pickle_reader import Pickle, read_pickle
from effconvert.formats.torch.tensors import PickleError
from effconvert.formats.torch.zip_kinds import name_zip
from effconvert.formats.zip_directory import FAILURES, MAGIC, STORED, Record, read_directory

METADATA_RECORD = "effconvert.json"

_LARGEST_TEXT = 8 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """The place of `size` bytes in a file; `crc` is their CRC-32 if the file has it."""

    position: int
    size: int
    crc: int | None


@dataclass(frozen=True)
class Stored:
    """The contents of a file of torch.save: the pickled value, the place of each storage, and this project's metadata.

    names: the unknown classes and functions in the pickle.
    """

    format: str
    value: Any
    names: tuple[str, ...]
    places: Mapping[str, Place]
    metadata: Mapping[str, str] | None


def read_zip(file: DataFile) -> Stored:
    """Read the directory and the pickle of a zip file.

    Raises UnreadableCheckpoint if it is damaged or not of torch.save, PickleError for a bad pickle.
    """
    try:
        archive = _Archive(file)
        if "byteorder" in archive and archive.text("byteorder") != b"little":
            raise UnreadableCheckpoint(f"{file.path}: written on a big-endian machine, which is not supported")
        pickle = archive.pickle()
        places = {key: archive.place(f"data/{key}") for key in pickle.storages if f"data/{key}" in archive}
        metadata = archive.text(METADATA_RECORD) if METADATA_RECORD in archive else None
        strings = None if metadata is None else strings_in(parse_json(metadata, file.budget), METADATA_RECORD)
    except PickleError:
        raise
    except FAILURES as error:
        reason = f"not a file that torch.save wrote whole: {str(error)[:500]}"
        raise UnreadableCheckpoint(f"{file.path}: {reason}") from error
    return Stored("PyTorch zip", pickle.value, pickle.names, places, strings)


def begins_like_torch(start: bytes) -> bool:
    """Return whether the first record of a zip file that begins with `start` is the pickle of torch.save."""
    length = int.from_bytes(start[26:28], "little")
    return start.startswith(MAGIC) and start[30 : 30 + length].endswith(b"/data.pkl")


def verify(file: DataFile, place: Place, name: str) -> None:
    """Read `place` in pieces and raise UnreadableCheckpoint if its CRC-32 differs; `name` is the record's."""
    compare(file, place, name, file.crc32(place.position, place.size))


def compare(file: DataFile, place: Place, name: str, found: int) -> None:
    """Raise UnreadableCheckpoint if the calculated CRC-32 is not that of `place`."""
    if place.crc is not None and place.crc != found:
        raise UnreadableCheckpoint(
            f"{file.path}: record {name} is damaged: Bad CRC-32 {found:08x}, the file says {place.crc:08x}"
        )


class _Archive:
    """The records of the one folder that holds data.pkl.

    PyTorch looks for names in the folder of the first record, and does not tell capitals from small letters.
    """

    def __init__(self, file: DataFile) -> None:
        self._file = file
        records = read_directory(file)
        roots = {name.partition("/")[0] for name in records}
        self._root = f"{roots.pop()}/" if len(roots) == 1 else ""
        self._records = {_folded(name): record for name, record in records.items()}
        if not self._root or _folded(f"{self._root}data.pkl") not in self._records:
            raise UnreadableCheckpoint(f"{file.path}: {name_zip(file.path, list(records))}")
        if len(self._records) != len(records):
            raise UnreadableCheckpoint(f"{file.path}: a zip file, but not one that torch.save wrote (one record twice)")

    def __contains__(self, name: str) -> bool:
        return _folded(self._root + name) in self._records

    def text(self, name: str) -> bytes:
        """Return a small record, verified."""
        place = self._limited(name, _LARGEST_TEXT)
        verify(self._file, place, name)
        return self._file.read(place.position, place.size)

    def pickle(self) -> Pickle:
        """Read data.pkl, which also has the bytes of numpy arrays."""
        place = self._limited("data.pkl", self._file.size)
        verify(self._file, place, "data.pkl")
        return read_pickle(self._file, place.position, place.position + place.size)

    def _limited(self, name: str, limit: int) -> Place:
        size = self._record(name).size
        if size > limit:
            raise UnreadableCheckpoint(f"{self._file.path}: record {name} declares {size:,} bytes")
        return self.place(name)

    def _record(self, name: str) -> Record:
        return self._records[_folded(self._root + name)]

    def place(self, name: str) -> Place:
        """Return the place of a record's bytes."""
        record = self._record(name)
        if record.method != STORED:
            raise UnreadableCheckpoint(f"{self._file.path}: record {name} is compressed; torch.save stores")
        return Place(record.position, record.size, record.crc)


def _folded(name: str) -> bytes:
    """Return a name as PyTorch compares it."""
    return name.encode().lower()
