"""Builds TensorFlow bundles entry by entry, also such as no writer would leave behind."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from effconvert.formats.protobuf import bytes_field, fixed32_field, number_field, varint
from effconvert.formats.tensorflow.leveldb_table import write_table
from effconvert.formats.tensorflow.slices import Extent, slice_key
from helpers.formats import tables

FLOAT, STRING, INT64 = 1, 7, 9
HEADER = number_field(1, 1) + bytes_field(3, number_field(1, 1))


def header(shards: int = 1, big_endian: bool = False, min_consumer: int = 0) -> bytes:
    """Return a BundleHeaderProto."""
    version = number_field(1, 1) + number_field(2, min_consumer)
    return number_field(1, shards) + number_field(2, int(big_endian)) + bytes_field(3, version)


def shape_field(shape: Sequence[int]) -> bytes:
    """Return a TensorShapeProto as field 2 of an entry."""
    return bytes_field(2, b"".join(bytes_field(2, number_field(1, size)) for size in shape))


def entry(
    shape: Sequence[int] = (),
    data: bytes = b"",
    *,
    dtype: int = FLOAT,
    shard: int = 0,
    offset: int = 0,
    size: int | None = None,
    slices: Sequence[Extent] = (),
) -> bytes:
    """Return the BundleEntryProto of a tensor whose bytes are `data`; `size` says otherwise."""
    content = number_field(1, dtype) + shape_field(shape) + number_field(3, shard) + number_field(4, offset)
    content += number_field(5, len(data) if size is None else size)
    content += fixed32_field(6, tables.masked(tables.crc32c(data)))
    return content + b"".join(bytes_field(7, slice_field(extent)) for extent in slices)


def slice_field(extent: Extent) -> bytes:
    """Return a TensorSliceProto; a length of -1 is left out, which means the whole axis."""
    parts = [number_field(1, start) + (b"" if n < 0 else b"\x10" + varint(n)) for start, n in extent]
    return b"".join(bytes_field(1, part) for part in parts)


def write(
    folder: Path, entries: Mapping[bytes, bytes], shards: Sequence[bytes] = (b"",), first: bytes | None = None
) -> Path:
    """Write a bundle called model.ckpt of these entries and data files; `first` replaces the header's proto."""
    folder.mkdir(exist_ok=True)
    index = folder / "model.ckpt.index"
    content = {b"": header(len(shards)) if first is None else first, **entries}
    index.write_bytes(write_table(sorted(content.items())))
    for number, data in enumerate(shards):
        (folder / f"model.ckpt.data-{number:05d}-of-{len(shards):05d}").write_bytes(data)
    return index


def write_sliced(
    folder: Path,
    shape: Sequence[int],
    pieces: Mapping[Extent, bytes],
    *,
    listed: Sequence[Extent] | None = None,
    shards: Sequence[bytes] | None = None,
) -> Path:
    """Write a float tensor 'kernel' in slices, one after another in one data file; `listed` are those it names."""
    entries = {b"kernel": entry(shape, size=0, slices=list(pieces) if listed is None else listed)}
    data = b""
    for extent, content in pieces.items():
        lengths = [size if n < 0 else n for (_, n), size in zip(extent, shape, strict=False)]
        entries[slice_key("kernel", extent)] = entry(lengths, content, offset=len(data))
        data += content
    return write(folder, entries, shards or [data])
