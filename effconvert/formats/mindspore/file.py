"""MindSpore's .ckpt: a sequence of protobuf messages with one named tensor each; read by position.

The format has no magic number, no length, and only an optional checksum: a file that is cut off between two tensors
looks like a file with fewer tensors. This project's metadata is in a field that MindSpore skips.

Source: mindspore/train/serialization.py and checkpoint.proto of MindSpore 2.10.0; files of 2.0.0 and 2.10.0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from effconvert.budget import ENTRY
from effconvert.errors import UnreadableCheckpoint, listing
from effconvert.formats.checkpoint import (
    BFLOAT16,
    MOST_AXES,
    Array,
    Checkpoint,
    DataFile,
    Late,
    Shape,
    TensorInfo,
    as_array,
    check_name,
    check_shape,
)
from effconvert.formats.mindspore.encryption import cipher_of, decrypt
from effconvert.formats.pieces import Pieces, contents
from effconvert.formats.protobuf import WireError, as_signed, bytes_field, bytes_header, read_varint, varint
from effconvert.formats.protobuf_file import Span, StoredFields
from effconvert.formats.strict_json import check_characters, metadata_text, parse_json, strings_in

FORMAT = "MindSpore checkpoint"
_VALUE, _METADATA = 1, 1000  # of Checkpoint; the second is this project's
_TAG, _TENSOR, _MAP = 1, 2, 3  # of Value
_DIMS, _TYPE, _CONTENT = 1, 2, 3  # of TensorProto

_SLICE = 512 << 20
_STEPS_OF_VALUE = 24  # L2 with an optimizer's slots has 5,000 values
_LARGEST_METADATA = 8 << 20
_LONGEST_TEXT = 400
_LONGEST_NAME = 16384

_CRC_MARK = b"crc_num"
_CRC_SIZE = len(_CRC_MARK) + 10

_DTYPES: dict[str, np.dtype[Any]] = {
    "Float32": np.dtype(np.float32), "Float16": np.dtype(np.float16), "BFloat16": BFLOAT16,
    "Float64": np.dtype(np.float64), "Bool": np.dtype(np.bool_),
    "Int8": np.dtype(np.int8), "Int16": np.dtype(np.int16), "Int32": np.dtype(np.int32), "Int64": np.dtype(np.int64),
    "UInt8": np.dtype(np.uint8), "UInt16": np.dtype(np.uint16), "UInt32": np.dtype(np.uint32),
    "UInt64": np.dtype(np.uint64),
}  # fmt: skip
_TYPES = {dtype: name for name, dtype in _DTYPES.items()}
_TEXT = "str"
_NOT_READ = ("Int4", "Complex64", "Complex128", "Float8E4M3FN", "Float8E5M2", "HiFloat8")


@dataclass(frozen=True)
class _Value:
    """One tensor, or a slice of one.

    shape: that of the whole tensor, also for a slice. content: the place of the bytes. reason: why it is not read, or
    "".
    """

    name: str
    dtype: str
    shape: Shape
    content: Span
    reason: str = ""


class MindSporeCheckpoint(Checkpoint):
    """An open .ckpt file. If it has a checksum of the whole file, it is verified on opening."""

    format = FORMAT

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        """Open the file, decrypted with `key` if it is encrypted.

        Raises UnreadableCheckpoint if it is damaged, or if it is encrypted and `key` is missing or wrong; Unavailable
        if a package for decryption is missing.
        """
        super().__init__()
        self.path = path
        self.files = (path,)
        self.metadata: Mapping[str, str] = {}
        self._file: DataFile = self.open_file(path)
        try:
            cipher = cipher_of(self._file.read(0, min(4, self._file.size)))
            if cipher:
                self._file = decrypt(self._file, key)
                self.on_close(self._file.close)
                self.format = f"{FORMAT}, encrypted with {cipher}"
            self.tensors, self._spans, self.skipped = _joined(self._values(StoredFields(self._file)), path)
        except WireError as error:
            self.close()
            hint = ", or the key is wrong" if cipher else ""
            raise UnreadableCheckpoint(f"{path}: damaged or cut off{hint}: {error}") from error
        except BaseException:
            self.close()
            raise

    def read(self, name: str) -> Array:
        pieces = [self._file.read(*span) for span in self._spans[name]]
        return as_array(pieces[0] if len(pieces) == 1 else b"".join(pieces), self.tensors[name])

    def checksum(self, name: str) -> int:
        spans = self._spans[name]
        return self._file.checksum(*spans[0]) if len(spans) == 1 else super().checksum(name)

    def _values(self, fields: StoredFields) -> list[_Value]:
        """Return the values in file order, and set the metadata."""
        values: list[_Value] = []
        end = _verified_end(self._file)
        for number, place in fields.of(Span(0, end)):
            if number == _VALUE and isinstance(place, Span):
                values.append(_parse_value(fields, place, self.path))
            elif number == _METADATA and isinstance(place, Span) and place.offset + place.size == end:
                self.metadata = _parse_metadata(fields, place)
            else:
                raise WireError(f"field {number} is unknown here")
            fields.budget.step(_STEPS_OF_VALUE)
            fields.budget.draw(2 * ENTRY + len(values[-1].name) if values else ENTRY, "its tensors")
        return values


def write_mindspore(
    file: BinaryIO,
    infos: Sequence[TensorInfo],
    arrays: Iterable[Array | Pieces],
    metadata: Mapping[str, str],
    late: Late,
) -> None:
    """Write `arrays`, which `infos` describe in order, as `mindspore.save_checkpoint` of 2.10 does.

    `metadata` follows in a field of its own, which MindSpore ignores; `late` is asked after the last tensor.
    """
    for info, pieces in contents(infos, arrays):
        _write_values(file, info, pieces)
    # If the last 17 bytes of a file begin with crc_num, MindSpore takes them for a checksum and removes them.
    file.write(bytes_field(_METADATA, metadata_text(metadata, late).encode() + b" " * _CRC_SIZE))


def _write_values(file: BinaryIO, info: TensorInfo, pieces: Pieces) -> None:
    """Write a tensor as one value, or as several if it is larger than a slice."""
    if not info.nbytes:
        file.write(_value_header(info, 0))
    done = 0
    for piece in pieces:
        while piece:
            if done % _SLICE == 0:
                file.write(_value_header(info, min(_SLICE, info.nbytes - done)))
            part = piece[: _SLICE - done % _SLICE]
            file.write(part)
            piece, done = piece[len(part) :], done + len(part)


def is_mindspore(start: bytes) -> bool:
    """Return whether a file that begins with `start` (512 bytes) begins like a .ckpt: a value, its name, a tensor."""
    if cipher_of(start):
        return True
    try:
        position = _after_key(start, 0, _VALUE)
        _, position = read_varint(start, position)
        position = _after_key(start, position, _TAG)
        length, position = read_varint(start, position)
        name = start[position : position + length]
        following = start[position + length : position + length + 1]
        return length > 0 and name.decode(errors="ignore").isprintable() and following in (b"", b"\x12", b"\x1a")
    except WireError:
        return False


def _after_key(data: bytes, position: int, number: int) -> int:
    if data[position : position + 1] != bytes([number << 3 | 2]):
        raise WireError(f"no field {number}")
    return position + 1


def _value_header(info: TensorInfo, size: int) -> bytes:
    """Return the bytes of a value before the `size` bytes of its content."""
    dims = b"".join(varint(_DIMS << 3) + varint(axis) for axis in info.shape)
    tensor = dims + bytes_field(_TYPE, _TYPES[info.dtype].encode()) + bytes_header(_CONTENT, size)
    value = bytes_field(_TAG, info.name.encode()) + bytes_header(_TENSOR, len(tensor) + size) + tensor
    return bytes_header(_VALUE, len(value) + size) + value


def _verified_end(file: DataFile) -> int:
    """Return the end of the values. Raises WireError if a checksum follows that is not theirs."""
    end = file.size - _CRC_SIZE
    if end < 0 or not file.read(end, _CRC_SIZE).startswith(_CRC_MARK):
        return file.size
    declared = int.from_bytes(file.read(end, _CRC_SIZE)[len(_CRC_MARK) :], "big")
    found = file.crc32(0, end)
    if found != declared:
        raise WireError(f"its CRC-32 is {found:08x}, expected {declared:08x}")
    return end


def _parse_metadata(fields: StoredFields, place: Span) -> dict[str, str]:
    if place.size > _LARGEST_METADATA:
        raise WireError(f"the description declares {place.size:,} bytes")
    try:
        texts = strings_in(parse_json(fields.read(place), fields.budget), "the description")
        check_characters(texts)
    except (ValueError, RecursionError) as error:
        raise WireError(f"the description is not JSON: {error}") from error
    return texts


def _parse_value(fields: StoredFields, place: Span, path: Path) -> _Value:
    parts: dict[int, Span] = {}
    for number, part in fields.of(place):
        if number not in (_TAG, _TENSOR, _MAP) or number in parts or not isinstance(part, Span):
            raise WireError(f"byte {place.offset:,}: field {number} of a value is unknown or a duplicate")
        parts[number] = part
    if _TAG not in parts or len(parts) != 2 or not parts[_TAG].size:
        raise WireError(f"byte {place.offset:,}: a value is not one name and one tensor")
    name = check_name(_text(fields, parts[_TAG]), path)
    if _MAP in parts:
        if any(number != 1 or not isinstance(table, Span) for number, table in fields.of(parts[_MAP])):
            raise WireError(f"{name}: neither a tensor nor a hash table")
        return _Value(name, "", (), parts[_MAP], "a hash table (MapParameter), not a tensor")
    return _parse_tensor(fields, parts[_TENSOR], name)


def _parse_tensor(fields: StoredFields, place: Span, name: str) -> _Value:
    shape: list[int] = []
    parts: dict[int, Span] = {}
    for number, part in fields.of(place):
        if number == _DIMS and isinstance(part, int) and len(shape) < MOST_AXES:
            shape.append(as_signed(part))
        elif number in (_TYPE, _CONTENT) and number not in parts and isinstance(part, Span):
            parts[number] = part
        else:
            raise WireError(f"{name}: field {number} of a tensor is unknown or a duplicate")
    if len(parts) != 2:
        raise WireError(f"{name}: a type or the content is missing")
    dtype, content = _text(fields, parts[_TYPE]), parts[_CONTENT]
    reason = ""
    if dtype == _TEXT:
        shown = fields.read(Span(content.offset, min(content.size, _LONGEST_TEXT)))
        reason = f"a string: {shown.decode('utf-32-le', 'replace').rstrip(chr(0))!r}"
    elif dtype in _NOT_READ:
        reason = f"of the type {dtype}, which is not read"
    elif dtype not in _DTYPES:
        raise WireError(f"{name}: its type is {dtype[:80]!r}, which MindSpore does not have")
    return _Value(name, dtype, tuple(shape), content, reason)


def _text(fields: StoredFields, place: Span) -> str:
    if place.size > _LONGEST_NAME:
        raise WireError(f"byte {place.offset:,}: a name of {place.size:,} bytes")
    try:
        return fields.read(place).decode()
    except UnicodeDecodeError as error:
        raise WireError(f"byte {place.offset:,}: a name is not UTF-8: {error.reason}") from error


def _joined(
    values: list[_Value], path: Path
) -> tuple[dict[str, TensorInfo], dict[str, tuple[Span, ...]], dict[str, str]]:
    """Return the tensors, the places of their bytes, and the skipped values with a reason.

    Consecutive values with the same name are slices. MindSpore itself accepts any shape and any content, and takes the
    last of several tensors with the same name.
    """
    infos: dict[str, TensorInfo] = {}
    spans: dict[str, tuple[Span, ...]] = {}
    skipped: dict[str, str] = {}
    problems = []
    for name, group in groupby(values, key=lambda value: value.name):
        first, *others = slices = list(group)
        if name in infos or name in skipped:
            problems.append(f"{name}: appears again after another tensor")
        elif first.reason:
            skipped[name] = first.reason
        elif any((other.dtype, other.shape) != (first.dtype, first.shape) for other in others):
            problems.append(f"{name}: its slices differ in shape or type")
        else:
            spans[name] = tuple(value.content for value in slices)
            infos[name], problem = _info(first, sum(span.size for span in spans[name]))
            problems += [problem] if problem else []
    if problems:
        raise UnreadableCheckpoint(listing(f"{path}: the file is damaged:", problems))
    return infos, spans, skipped


def _info(value: _Value, size: int) -> tuple[TensorInfo, str]:
    """Return the tensor made of `size` bytes, and what is wrong with it, or ""."""
    # MindSpore before 2.10 writes a scalar like an empty tensor, but with content.
    shape = () if value.shape == (0,) and size else value.shape
    info = TensorInfo(value.name, shape, _DTYPES[value.dtype])
    try:
        check_shape(shape, info.dtype)
    except ValueError as error:
        return info, f"{value.name}: {error}"
    if size != info.nbytes:
        return info, f"{value.name}: {size:,} bytes, but shape {shape} of {info.dtype} takes {info.nbytes:,}"
    return info, ""
