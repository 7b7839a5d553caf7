"""TensorFlow's V2 checkpoint ("bundle"): an index table and data shards, read and written without TensorFlow.

Source: tensorflow/core/protobuf/tensor_bundle.proto, tensorflow/core/util/tensor_bundle/tensor_bundle.{h,cc}.
A training checkpoint, the `variables/` of a SavedModel and an object-graph checkpoint are all such bundles.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import crc32c
import ml_dtypes
import numpy as np

from effconvert.budget import OBJECT
from effconvert.errors import UnreadableCheckpoint, listing
from effconvert.formats.checkpoint import (
    BFLOAT16,
    Array,
    Checkpoint,
    DataFile,
    Shape,
    TensorInfo,
    as_array,
    check_name,
    check_shape,
)
from effconvert.formats.pieces import Pieces, contents
from effconvert.formats.protobuf import WireError, as_signed, bytes_field, fields, fixed32_field, number_field
from effconvert.formats.tensorflow.leveldb_table import TableError, masked, read_table, write_table
from effconvert.formats.tensorflow.sidecar import read_sidecar
from effconvert.formats.tensorflow.slices import Extent, full_extent, overlap, parse_slice, slice_key

FORMAT = "TensorFlow V2 checkpoint"
_LARGEST_INDEX = 8 << 20  # L2 with every slot takes 1 MB
_STEPS_OF_ENTRY, _STEPS_OF_SLICE, _STEPS_OF_SHARD = 8, 16, 16

# tensorflow/core/framework/types.proto
_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32), 2: np.dtype(np.float64), 3: np.dtype(np.int32), 4: np.dtype(np.uint8),
    5: np.dtype(np.int16), 6: np.dtype(np.int8), 8: np.dtype(np.complex64), 9: np.dtype(np.int64),
    10: np.dtype(np.bool_), 14: BFLOAT16, 17: np.dtype(np.uint16), 18: np.dtype(np.complex128),
    19: np.dtype(np.float16), 22: np.dtype(np.uint32), 23: np.dtype(np.uint64),
    24: np.dtype(ml_dtypes.float8_e5m2), 25: np.dtype(ml_dtypes.float8_e4m3fn),
}  # fmt: skip
_UNREADABLE = {
    7: "string tensor", 11: "qint8 tensor", 12: "quint8 tensor", 13: "qint32 tensor", 15: "qint16 tensor",
    16: "quint16 tensor", 20: "resource handle", 21: "variant tensor",
}  # fmt: skip
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


@dataclass(frozen=True)
class _Entry:
    """A BundleEntryProto: the place of a tensor's bytes, and their masked CRC32C; or `slices`, if it is partitioned."""

    dtype: int
    shape: Shape
    shard: int
    offset: int
    size: int
    crc: int
    slices: tuple[Extent, ...]


class TensorFlowCheckpoint(Checkpoint):
    """An open bundle. `read` verifies each tensor's CRC32C, as TensorFlow does."""

    format = FORMAT

    def __init__(self, index: Path, shown: Path | None = None) -> None:
        """Open the bundle of the `.index` file, which messages call `shown`.

        Raises UnreadableCheckpoint, which names the damaged file.
        """
        super().__init__()
        self.path = shown or index
        try:
            self._open(index)
        except BaseException:
            self.close()
            raise

    def _open(self, index: Path) -> None:
        prefix = index.name.removesuffix(".index")
        file = self.open_file(index)
        self._budget = file.budget
        shard_count, self._entries, self._pieces = _read_index(file)
        self.metadata: Mapping[str, str] = read_sidecar(index)
        shards = [index.with_name(f"{prefix}.data-{n:05d}-of-{shard_count:05d}") for n in range(shard_count)]
        _check_shards(index, shards)
        self.files = (index, *shards)
        self._shards = [self.open_file(shard, shown=self.path.with_name(shard.name)) for shard in shards]
        self.skipped = {name: _UNREADABLE[e.dtype] for name, e in self._entries.items() if e.dtype in _UNREADABLE}
        self.tensors = {
            name: TensorInfo(name, entry.shape, _DTYPES[entry.dtype])
            for name, entry in self._entries.items()
            if entry.dtype in _DTYPES
        }
        self._check_entries()

    def checksum(self, name: str) -> int:
        entry = self._entries[name]
        if entry.slices:
            return super().checksum(name)
        found = self._shards[entry.shard].checksum(entry.offset, entry.size)
        self._check_data(name, entry, found)
        return found

    def read(self, name: str) -> Array:
        info, entry = self.tensors[name], self._entries[name]
        if not entry.slices:
            return as_array(self._read_entry(name, entry), info)
        whole = np.empty(info.shape, info.dtype)
        for extent in entry.slices:
            piece, place = self._pieces[slice_key(name, extent)], full_extent(extent, info.shape)
            data = self._read_entry(f"{name} (slice {place})", piece)
            shape = tuple(length for _, length in place)
            whole[tuple(slice(start, start + length) for start, length in place)] = as_array(
                data, TensorInfo(name, shape, info.dtype)
            )
        whole.flags.writeable = False
        return whole

    def _read_entry(self, name: str, entry: _Entry) -> bytes:
        shard = self._shards[entry.shard]
        data = shard.read(entry.offset, entry.size)
        self._check_data(name, entry, crc32c.crc32c(data))
        return data

    def _check_data(self, name: str, entry: _Entry, crc: int) -> None:
        if masked(crc) != entry.crc:
            raise UnreadableCheckpoint(
                f"{self._shards[entry.shard].path}: tensor {name} is damaged: CRC32C stored {entry.crc:#010x}, "
                f"calculated {masked(crc):#010x}; copy or download the checkpoint again"
            )

    def _check_entries(self) -> None:
        """Find every unreadable entry before any is read."""
        problems: list[str] = []
        for info in self.tensors.values():
            entry = self._entries[info.name]
            if entry.slices:
                problems += self._slice_problems(info, entry)
            else:
                problems += self._place_problems(info, entry)
        if problems := problems or list(self._shared()):
            self.close()
            raise UnreadableCheckpoint(listing(f"{self.path}: the checkpoint is damaged or cut off:", problems))

    def _shared(self) -> Iterator[str]:
        """Yield the tensors and slices that have bytes in common: a few bytes could be many large tensors."""
        whole = [(entry, name) for name, entry in self._entries.items() if name in self.tensors and not entry.slices]
        parts = [(entry, f"a slice {ascii(key)[:80]}") for key, entry in self._pieces.items()]
        found = sorted((entry.shard, entry.offset, entry.size, name) for entry, name in whole + parts if entry.size)
        for (shard, offset, size, one), (other_shard, start, _, other) in pairwise(found):
            if shard == other_shard and start < offset + size:
                yield f"{one} and {other} have bytes in common, at byte {start:,} of {self._shards[shard].path.name}"

    def _place_problems(self, info: TensorInfo, entry: _Entry) -> Iterator[str]:
        if entry.size != info.nbytes:
            yield f"{info.name}: {entry.size:,} bytes, but shape {info.shape} of {info.dtype} takes {info.nbytes:,}"
        elif not 0 <= entry.shard < len(self._shards):
            yield f"{info.name}: is in shard {entry.shard}, but there are {len(self._shards)}"
        elif entry.offset + entry.size > self._shards[entry.shard].size:
            shard = self._shards[entry.shard]
            yield (
                f"{info.name}: ends at byte {entry.offset + entry.size:,} of {shard.path.name}, "
                f"which has {shard.size:,} bytes"
            )

    def _slice_problems(self, info: TensorInfo, entry: _Entry) -> list[str]:
        problems: list[str] = []
        places = []
        for extent in entry.slices:
            self._budget.step(_STEPS_OF_SLICE + len(info.name) // 64)  # the name is part of the key of each slice
            self._budget.draw(OBJECT * (1 + len(extent)), "the slices of its tensors")
            piece = self._pieces.get(slice_key(info.name, extent))
            if piece is None or len(extent) != len(info.shape) or piece.dtype != entry.dtype:
                problems.append(f"{info.name}: its slice {extent} is missing or of another kind")
                continue
            place = full_extent(extent, info.shape)
            if any(s < 0 or n < 0 or s + n > size for (s, n), size in zip(place, info.shape, strict=True)):
                problems.append(f"{info.name}: its slice {place} is outside of shape {info.shape}")
                continue
            problems += self._place_problems(TensorInfo(info.name, tuple(n for _, n in place), info.dtype), piece)
            places.append(place)
        return problems or self._cover_problems(info, places)

    def _cover_problems(self, info: TensorInfo, places: Sequence[Extent]) -> list[str]:
        """Return the problems of a tensor whose elements are not all in exactly one of `places`."""
        held = sum(shard.size for shard in self._shards)
        if info.nbytes > held:
            return [
                f"{info.name}: its {len(places)} slices do not cover shape {info.shape}; the data has {held:,} bytes"
            ]
        if overlap(places, self._budget):
            return [f"{info.name}: two of its {len(places)} slices overlap"]
        if sum(math.prod(length for _, length in place) for place in places) != math.prod(info.shape):
            return [f"{info.name}: its {len(places)} slices do not cover shape {info.shape}"]
        return []


def write_bundle(
    data: BinaryIO, index: BinaryIO, infos: Sequence[TensorInfo], arrays: Iterable[Array | Pieces]
) -> None:
    """Write `arrays`, which `infos` describe in order, as a bundle of one shard.

    The names in `infos` must ascend, as TensorFlow has them in both files.
    """
    names = [info.name.encode() for info in infos]
    if names != sorted(set(names)):
        raise ValueError("a bundle's names must ascend")
    header = number_field(1, 1) + bytes_field(3, number_field(1, 1))
    entries = [(b"", header)]
    offset = 0
    for info, pieces in contents(infos, arrays):
        data.writelines(pieces)
        dims = b"".join(bytes_field(2, number_field(1, size)) for size in info.shape)
        entry = number_field(1, _CODES[info.dtype]) + bytes_field(2, dims) + number_field(4, offset)
        entry += number_field(5, info.nbytes) + fixed32_field(6, masked(pieces.checksum))
        entries.append((info.name.encode(), entry))
        offset += info.nbytes
    index.write(write_table(entries))


def _check_shards(index: Path, shards: Sequence[Path]) -> None:
    missing = [f"{shard.name}: missing" for shard in shards if not shard.is_file()]
    if missing:
        raise UnreadableCheckpoint(listing(f"{index}: its data files are not beside it ({index.parent}):", missing))


def _read_index(file: DataFile) -> tuple[int, dict[str, _Entry], dict[bytes, _Entry]]:
    """Return the number of shards, the entries by name, and the entries of slices by key."""
    path, budget = file.path, file.budget
    data = file.whole(_LARGEST_INDEX, " are too many for an index")
    entries: dict[str, _Entry] = {}
    pieces: dict[bytes, _Entry] = {}
    shard_count = 0
    try:
        for number, (key, value) in enumerate(read_table(data, budget)):
            budget.step(_STEPS_OF_ENTRY + len(value) // 8)
            budget.draw(OBJECT * (4 + len(value) // 8), "the entries of its index")
            if number == 0:
                shard_count = _read_header(path, key, value)
            elif key.startswith(b"\0"):
                pieces[key] = _parse_entry(value)
            else:
                entries[check_name(key.decode(), path)] = _parse_entry(value)
    except (TableError, WireError, UnicodeDecodeError) as error:
        raise UnreadableCheckpoint(f"{path}: the index is damaged: {error}") from error
    if not shard_count:
        raise UnreadableCheckpoint(f"{path}: the index has no header")
    unknown = [f"{name}: dtype {e.dtype}" for name, e in entries.items() if e.dtype not in _DTYPES | _UNREADABLE]
    if unknown:
        raise UnreadableCheckpoint(listing(f"{path}: dtypes that TensorFlow 2.21 does not define:", unknown))
    budget.step(_STEPS_OF_SHARD * shard_count)
    return shard_count, entries, pieces


def _read_header(path: Path, key: bytes, value: bytes) -> int:
    """Return the number of shards that a BundleHeaderProto names."""
    if key:
        raise UnreadableCheckpoint(f"{path}: the index has no header, but begins with {key[:80]!r}")
    header = dict(fields(value))
    if isinstance(header.get(1), bytes):
        raise UnreadableCheckpoint(
            f"{path}: a TensorFlow V1 checkpoint; restore it in TensorFlow and save it again with "
            "tf.compat.v1.train.Saver(write_version=tf.compat.v1.train.SaverDef.V2)"
        )
    if header.get(2):
        raise UnreadableCheckpoint(f"{path}: written on a big-endian machine, which is not supported")
    version = header.get(3, b"")
    consumer = dict(fields(version)).get(2, 0) if isinstance(version, bytes) else 0
    if consumer not in (0, 1):
        raise UnreadableCheckpoint(f"{path}: needs a reader of version {consumer!r}, but this is version 1")
    shards = header.get(1, 0)
    if isinstance(shards, int) and 0 < shards < 100_000:
        return shards
    raise UnreadableCheckpoint(f"{path}: the index has an impossible number of data files")


def _parse_entry(data: bytes) -> _Entry:
    numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    shape: Shape = ()
    slices = []
    for number, value in fields(data):
        if number in numbers:
            if not isinstance(value, int):
                raise WireError(f"field {number} of an entry is not a number")
            numbers[number] = value
        elif number == 2 and isinstance(value, bytes):
            shape = _parse_shape(value)
        elif number == 7 and isinstance(value, bytes):
            slices.append(parse_slice(value))
    return _Entry(numbers[1], shape, numbers[3], numbers[4], numbers[5], numbers[6], tuple(slices))


def _parse_shape(data: bytes) -> Shape:
    shape = []
    for number, value in fields(data):
        if number == 2 and isinstance(value, bytes):
            size = dict(fields(value)).get(1, 0)
            shape.append(as_signed(size) if isinstance(size, int) else -1)
        elif number == 3 and value:
            raise WireError("a tensor's rank is unknown")
    try:
        check_shape(tuple(shape), np.dtype(np.complex128))
    except ValueError as error:
        raise WireError(str(error)) from error
    return tuple(shape)
