"""The directory of a zip file, which is read only if there is one way to read it.

Programs differ on zip files with two directories, gaps, two names for one record, and the like: one file could then be
clean for one program and hostile for another. So the directory must be at the place that the end record says, and
headers, records, directory and end record must agree and fill the file from its first byte to its last.

Source: PKWARE's APPNOTE.TXT 4.3 to 4.5; Python's zipfile; PyTorch's third_party/miniz.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from effconvert.budget import ENTRY
from effconvert.formats.checkpoint import DataFile

MAGIC = b"PK\x03\x04"
STORED, DEFLATED = 0, 8
# json itself raises these on malicious records, such as UnicodeDecodeError and RecursionError.
FAILURES = (EOFError, OSError, KeyError, OverflowError, RuntimeError, ValueError, struct.error)

_LARGEST_DIRECTORY = 4 << 20  # 10,000 storages take 1 MB; each entry becomes some hundred bytes of memory
_HEADER = struct.Struct("<4s2xHH4x3L2H")  # signature, flags, method, CRC-32, sizes, lengths of name and extra field
_ENTRY = struct.Struct("<4s4xHH4x3L4H6xL")  # the same, length of the comment, disk, offset of the header
_END = struct.Struct("<4s4H2LH")  # signature, two disks, two counts, size and offset of the directory, comment
_LOCATOR = struct.Struct("<4sLQL")  # signature, disk, offset of the zip64 end record, number of disks
_END64 = struct.Struct("<4sQ4x2L4Q")  # signature, length, two disks, two counts, size and offset of the directory
_ENTRY_MAGIC, _END_MAGIC, _LOCATOR_MAGIC, _END64_MAGIC = b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
_DESCRIPTOR_MAGIC = b"PK\x07\x08"
_HAS_DESCRIPTOR, _UTF8 = 0x8, 0x800
_KNOWN_FLAGS = 0x6 | _HAS_DESCRIPTOR | _UTF8  # 0x6 tells how hard the compression tried
_ZIP64, _SECOND_NAME = 0x0001, 0x7075  # kinds of extra fields
_IN_ZIP64, _IN_ZIP64_SHORT = 0xFFFFFFFF, 0xFFFF  # "the value is in the zip64 field"
_OVERHEAD = 1 << 10  # deflate makes little more than it is given of what it cannot pack
_SHOWN = 80  # letters of a name in a message
_MOST_DEFLATED = 1032  # deflate makes no byte of more than that
# Sizes behind a record with _HAS_DESCRIPTOR: {bytes: whether a signature is first, form of the two sizes}
_DESCRIPTORS = {12: (False, "<LLL"), 16: (True, "<LLL"), 20: (False, "<LQQ"), 24: (True, "<LQQ")}


class ZipError(ValueError):
    """A zip file is damaged, or can be read in more than one way."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a zip file: its name, and `packed` bytes at `position`, which unpack to `size` bytes."""

    name: str
    method: int
    packed: int
    size: int
    crc: int
    position: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the directory says of a record; `offset` is that of its header."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def read_directory(file: DataFile) -> dict[str, Record]:
    """Return {name: record} of a zip file, in the order of its directory; folders are left out.

    Raises ZipError if the file is damaged or can be read in more than one way, or if the directory is larger than any
    model needs; UnreadableCheckpoint if the file cannot be read.
    """
    count, size, offset = _read_end(file)
    if size > _LARGEST_DIRECTORY:
        raise ZipError(f"its directory declares {size:,} bytes")
    file.budget.require(size, "its directory")
    entries = []
    for entry in _entries(file.read(offset, size)):
        file.budget.step()
        file.budget.draw(2 * ENTRY + 4 * len(entry.name), "its directory")
        entries.append(entry)
    if len(entries) != count:
        raise ZipError(f"its directory has {len(entries):,} records, and its end says {count:,}")
    records: dict[str, Record] = {}
    places = _places(file, entries, offset)
    for entry in entries:
        name = _checked_name(entry)
        if name in records:
            raise ZipError(f"it has two records {_shown(entry)}")
        records[name] = Record(name, entry.method, entry.packed, entry.size, entry.crc, places[entry.offset])
    return {name: record for name, record in records.items() if not name.endswith("/")}


def read_record(file: DataFile, record: Record, kept: bool = True) -> bytearray:
    """Return the unpacked bytes of a record, after comparing their number and CRC-32 with the directory.

    kept: whether they stay in memory, or are soon given back; the budget of the file is asked for them.

    Raises ZipError if they differ; UnreadableCheckpoint as `file.read`, and if they are too many for the file.
    """
    name = ascii(record.name[:_SHOWN])
    (file.budget.draw if kept else file.budget.require)(record.size, f"its record {name}")
    data, unpacking = bytearray(), _Unpacking(record)
    for piece in file.pieces(record.position, record.packed):
        data += unpacking.unpack(piece, record.size - len(data) + 1)
    if not unpacking.ended or len(data) != record.size:
        raise ZipError(f"its record {name} does not unpack to the {record.size:,} bytes that it declares")
    if zlib.crc32(data) != record.crc:
        raise ZipError(f"its record {name} is damaged: CRC-32 {zlib.crc32(data):08x}, expected {record.crc:08x}")
    return data


def read_start(file: DataFile, record: Record, most: int) -> bytes:
    """Return the first unpacked bytes of a record, `most` of them or fewer, unverified. Raises as `read_record`."""
    return _Unpacking(record).unpack(file.read(record.position, min(record.packed, most + _OVERHEAD)), most)


class _Unpacking:
    """The unpacking of a record, piece by piece."""

    def __init__(self, record: Record) -> None:
        self._name = ascii(record.name[:_SHOWN])
        if record.method not in (STORED, DEFLATED):
            raise ZipError(f"its record {self._name} is packed with method {record.method}, which is not read")
        self._stream = zlib.decompressobj(wbits=-15) if record.method == DEFLATED else None

    @property
    def ended(self) -> bool:
        """Whether the packed bytes have had their end, and nothing behind it."""
        return self._stream is None or (self._stream.eof and not self._stream.unused_data)

    def unpack(self, piece: bytes, most: int) -> bytes:
        """Return at most `most` of the unpacked bytes of `piece`; the others are lost."""
        if self._stream is None:
            return piece[:most]
        try:
            return self._stream.decompress(piece, most) if most else b""
        except zlib.error as error:
            raise ZipError(f"its record {self._name} is damaged: {error}") from error


def _read_end(file: DataFile) -> tuple[int, int, int]:
    """Return the number of records, and size and offset of the directory, which ends where the end records begin."""
    at = file.size - _END.size
    if at < 0 or file.read(at, 4) != _END_MAGIC:
        raise ZipError("it does not end with the end of its directory: cut off, or something follows")
    _, disk, first_disk, here, count, size, offset, comment = _END.unpack(file.read(at, _END.size))
    said: tuple[int, ...] = (disk, first_disk, here, count, size, offset)
    if at >= _LOCATOR.size and file.read(at - _LOCATOR.size, 4) == _LOCATOR_MAGIC:
        at -= _LOCATOR.size + _END64.size
        said = _with_zip64(file, at, said)
    disk, first_disk, here, count, size, offset = said
    if comment or disk or first_disk or here != count:
        raise ZipError("the end of its directory tells of a comment, other disks or other records")
    if offset + size != at:
        raise ZipError(f"its directory ends at byte {at:,}, and its end record says {offset + size:,}")
    return count, size, offset


def _with_zip64(file: DataFile, at: int, said: tuple[int, ...]) -> tuple[int, ...]:
    """Return the values of the zip64 end record at `at`, which must fit those of the end record."""
    if at < 0:
        raise ZipError("its zip64 end record is missing")
    signature, length, *values = _END64.unpack(file.read(at, _END64.size))
    _, disk, offset, disks = _LOCATOR.unpack(file.read(at + _END64.size, _LOCATOR.size))
    if signature != _END64_MAGIC or length != _END64.size - 12 or disk or disks != 1 or offset != at:
        raise ZipError("its zip64 end record is not where it should be")
    limits = (_IN_ZIP64_SHORT,) * 4 + (_IN_ZIP64,) * 2
    if any(short not in (value, limit) for short, value, limit in zip(said, values, limits, strict=True)):
        raise ZipError("its two end records differ")
    return tuple(values)


def _entries(directory: bytes) -> Iterator[_Entry]:
    at = 0
    while at < len(directory):
        if at + _ENTRY.size > len(directory):
            raise ZipError("its directory ends within a record")
        signature, flags, method, crc, packed, size, *lengths, disk, offset = _ENTRY.unpack_from(directory, at)
        start = at + _ENTRY.size
        name_end, extra_end = start + lengths[0], start + lengths[0] + lengths[1]
        at = start + sum(lengths)
        if signature != _ENTRY_MAGIC or at > len(directory) or disk:
            raise ZipError(f"its directory is damaged at byte {start - _ENTRY.size:,}")
        size, packed, offset = _full(directory[name_end:extra_end], size, packed, offset)
        yield _Entry(directory[start:name_end], flags, method, crc, packed, size, offset)


def _full(extra: bytes, *values: int) -> tuple[int, ...]:
    """Return `values`, those that do not fit 32 bits from the zip64 field, which must have these and no others."""
    field = _zip64_field(extra)
    missing = sum(value == _IN_ZIP64 for value in values)
    if len(field) != 8 * missing:
        raise ZipError("a zip64 field does not have the values that it should have")
    found = iter(struct.unpack(f"<{missing}Q", field))
    return tuple(next(found) if value == _IN_ZIP64 else value for value in values)


def _full_in_header(extra: bytes, size: int, packed: int) -> tuple[int, ...]:
    """Return the two sizes in a record's header, which a zip64 field may repeat, as in files of old Pythons."""
    field = _zip64_field(extra)
    if len(field) == 16 and (size, packed) == struct.unpack("<2Q", field):
        return size, packed
    return _full(extra, size, packed)


def _zip64_field(extra: bytes) -> bytes:
    """Return the zip64 field among the extra fields; b"" if there is none."""
    found, at = b"", 0
    while at < len(extra):
        kind, length = struct.unpack_from("<HH", extra, at) if at + 4 <= len(extra) else (0, len(extra))
        at += 4 + length
        if at > len(extra) or kind == _SECOND_NAME or (kind == _ZIP64 and found):
            raise ZipError("the extra field of a record is damaged, or has a second name or size")
        if kind == _ZIP64:
            found = extra[at - length : at]
    return found


def _places(file: DataFile, entries: list[_Entry], directory: int) -> dict[int, int]:
    """Return {offset of a header: offset of its data}; headers and data must fill the file up to the directory."""
    ordered = sorted(entries, key=lambda entry: entry.offset)
    places: dict[int, int] = {}
    expected = 0
    for entry, end in zip(ordered, [*(entry.offset for entry in ordered[1:]), directory], strict=True):
        if entry.offset != expected:
            raise ZipError(f"its record {_shown(entry)} begins at byte {entry.offset:,}, expected {expected:,}")
        position = places[entry.offset] = _data_position(file, entry)
        if position + entry.packed > end:
            raise ZipError(f"its record {_shown(entry)} does not have the {entry.packed:,} bytes that it declares")
        _check_descriptor(file, entry, position + entry.packed, end)
        expected = end
    if expected != directory:
        raise ZipError("it has bytes that belong to no record")
    return places


def _data_position(file: DataFile, entry: _Entry) -> int:
    """Return the offset of a record's data, after comparing its header with the directory."""
    at = entry.offset
    signature, flags, method, crc, packed, size, name_length, extra_length = _HEADER.unpack(file.read(at, _HEADER.size))
    at += _HEADER.size
    rest = file.read(at, name_length + extra_length)
    name, extra = rest[:name_length], rest[name_length:]
    if (signature, flags, method, name) != (MAGIC, entry.flags, entry.method, entry.name):
        raise ZipError(f"the header of its record {_shown(entry)} differs from the directory")
    if flags & _HAS_DESCRIPTOR:  # what is not known yet is 0; what is known of the sizes may be in a zip64 field
        _zip64_field(extra)
        agrees = crc in (0, entry.crc) and {packed, size} <= {0, _IN_ZIP64, entry.packed, entry.size}
    else:
        size, packed = _full_in_header(extra, size, packed)
        agrees = (crc, packed, size) == (entry.crc, entry.packed, entry.size)
    if not agrees:
        raise ZipError(f"the header of its record {_shown(entry)} differs from the directory")
    return at + len(rest)


def _check_descriptor(file: DataFile, entry: _Entry, start: int, end: int) -> None:
    """Raise ZipError if there is anything but the record's descriptor, if it has one, between `start` and `end`."""
    length = end - start
    if not entry.flags & _HAS_DESCRIPTOR:
        if length:
            raise ZipError(f"{length:,} bytes behind its record {_shown(entry)} belong to no record")
        return
    if length not in _DESCRIPTORS:
        raise ZipError(f"its record {_shown(entry)} has a descriptor of {length:,} bytes")
    signed, form = _DESCRIPTORS[length]
    descriptor = (_DESCRIPTOR_MAGIC if signed else b"") + struct.pack(form, entry.crc, entry.packed, entry.size)
    if file.read(start, length) != descriptor:
        raise ZipError(f"the descriptor of its record {_shown(entry)} differs from the directory")


def _checked_name(entry: _Entry) -> str:
    """Return the name of a record. Raises ZipError if programs may read it differently, or if it is not plain data."""
    if entry.flags & ~_KNOWN_FLAGS:
        raise ZipError(f"its record {_shown(entry)} is encrypted, or has flags that no checkpoint has")
    if entry.method == STORED and entry.packed != entry.size:
        raise ZipError(f"its record {_shown(entry)} has two sizes")
    if entry.method == DEFLATED and entry.size > _MOST_DEFLATED * entry.packed:
        raise ZipError(f"its record {_shown(entry)} declares more bytes than it can hold")
    try:
        name = entry.name.decode("utf-8" if entry.flags & _UTF8 else "ascii")
    except UnicodeDecodeError as error:
        raise ZipError(f"its record {_shown(entry)} has a name that is not text") from error
    parts = name.removesuffix("/").split("/")
    if "\0" in name or "\\" in name or not {"", ".", ".."}.isdisjoint(parts):
        raise ZipError(f"its record {_shown(entry)} has a name that programs read differently")
    if name.endswith("/") and entry.size:
        raise ZipError(f"its folder {_shown(entry)} holds bytes")
    return name


def _shown(entry: _Entry) -> str:
    return ascii(entry.name[:_SHOWN].decode("latin-1"))
