"""The zip file of torch.save: a pickle that describes tensors, and one stored record for each storage.

Source: torch/serialization.py (_save), caffe2/serialize/inline_container.cc, and PKWARE's APPNOTE.TXT 4.3.7.
"""

import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.strict_json import parse_json, strings_in
from effconvert.formats.torch.pickle_reader import Pickle, read_pickle
from effconvert.formats.torch.tensors import PickleError
from effconvert.formats.torch.zip_kinds import name_zip
from effconvert.formats.zip_directory import FAILURES, MAGIC, directory

METADATA_RECORD = "effconvert.json"

_LOCAL_HEADER = struct.Struct("<4s2xHH16xHH")  # signature, flags, method, length of the name, of the extra field
_ENCRYPTED, _UTF8 = 0x1, 0x800
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
    """The records of the one folder that holds data.pkl."""

    def __init__(self, file: DataFile) -> None:
        self._file = file
        infos = directory(file)
        self._records = {info.filename: info for info in infos}
        roots = [name.removesuffix("data.pkl") for name in self._records if name.endswith("/data.pkl")]
        if len(self._records) != len(infos):
            raise UnreadableCheckpoint(f"{file.path}: a zip file, but not one that torch.save wrote (one record twice)")
        if len(roots) != 1:
            raise UnreadableCheckpoint(f"{file.path}: {name_zip(file.path, list(self._records))}")
        self._root = roots[0]

    def __contains__(self, name: str) -> bool:
        return self._root + name in self._records

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
        size = self._records[self._root + name].file_size
        if size > limit:
            raise UnreadableCheckpoint(f"{self._file.path}: record {name} declares {size:,} bytes")
        return self.place(name)

    def place(self, name: str) -> Place:
        """Return the place of a record's bytes, after comparing its header with the directory."""
        info = self._records[self._root + name]
        path = self._file.path
        if info.compress_type != zipfile.ZIP_STORED:
            raise UnreadableCheckpoint(f"{path}: record {name} is compressed; torch.save stores")
        signature, flags, method, name_length, extra_length = _LOCAL_HEADER.unpack(
            self._file.read(info.header_offset, _LOCAL_HEADER.size)
        )
        start = info.header_offset + _LOCAL_HEADER.size
        found = self._file.read(start, name_length).decode("utf-8" if flags & _UTF8 else "cp437", "replace")
        if signature != MAGIC or flags & _ENCRYPTED or method != zipfile.ZIP_STORED or found != info.orig_filename:
            raise UnreadableCheckpoint(f"{path}: record {name} is damaged: its header differs from the directory")
        position = start + name_length + extra_length
        if info.file_size != info.compress_size or position + info.file_size > self._file.size:
            raise UnreadableCheckpoint(f"{path}: record {name} does not have the {info.file_size:,} bytes it declares")
        return Place(position, info.file_size, info.CRC)
