"""The sorted table of LevelDB, in which TensorFlow writes the index of a checkpoint.

Source: LevelDB's doc/table_format.md and tensorflow/core/lib/io/{format,block_builder,table_builder}.cc. Blocks of
entries (shared prefix, rest of the key, value), restart points, a type byte and a masked CRC32C after each block, an
index block of block handles, and a footer of 48 bytes.
"""

import struct
from collections.abc import Iterable, Iterator

import crc32c

from effconvert.budget import ENTRY, Budget
from effconvert.formats.protobuf import WireError, read_varint, varint
from effconvert.formats.tensorflow.index_files import TABLE_END as MAGIC

_FOOTER = 48
_TRAILER = 5
_PLAIN, _SNAPPY = 0, 1
_MASK_DELTA = 0xA282EAD8
_BLOCK_SIZE = 262144
_RESTART_INTERVAL = 16
_LARGEST_EXPANSION = 32  # snappy's shortest copy makes 64 bytes of 3
# A key is stored as the length of its common prefix with the key before, and the rest: a small file can have huge keys.
# An entry takes this many steps, and a piece of its key another one.
_STEPS_OF_ENTRY, _PIECE_OF_KEY = 8, 4096


class TableError(ValueError):
    """The bytes are not a complete table."""


def masked(crc: int) -> int:
    """Return a CRC32C as LevelDB stores it: rotated and shifted, so that a CRC of CRCs is still useful."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def read_table(data: bytes, budget: Budget | None = None) -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, value) in order, after verifying each block's checksum.

    budget: that of the file, which the keys are drawn on; by default one of the table's own.

    Raises TableError, which says what is damaged, and UnreadableCheckpoint for keys that are too much for the budget.
    """
    budget = budget or Budget("a table", len(data))
    try:
        meta, index = _read_footer(data)
        for _ in _entries(_block(data, *meta, budget), budget):  # must be well formed
            pass
        last = None
        end = 0
        for _, handle in _entries(_block(data, *index, budget), budget):
            (offset, size), _ = _read_handle(handle, 0)
            if offset < end:
                raise TableError(f"the block at {offset:,} overlaps the one before it")
            end = offset + size
            for key, value in _entries(_block(data, offset, size, budget), budget):
                if last is not None and key <= last:
                    raise TableError(f"key {key[:80]!r} comes after {last[:80]!r}")
                budget.draw(len(key) + ENTRY, "its names")
                last = key
                yield key, value
    except (WireError, struct.error) as error:
        raise TableError(str(error)) from error


def write_table(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the table of `entries`, whose keys must ascend, byte for byte as TensorFlow writes it."""
    out = bytearray()
    index = _BlockWriter(restart_interval=1)
    block = _BlockWriter(_RESTART_INTERVAL)
    handle: bytes | None = None
    last = b""
    for key, value in entries:
        if handle is not None:
            index.add(_shortest_separator(last, key), handle)
            handle = None
        block.add(key, value)
        last = key
        if block.size >= _BLOCK_SIZE:
            handle = _append_block(out, block)
            block = _BlockWriter(_RESTART_INTERVAL)
    if block.size > _BlockWriter.EMPTY:
        handle = _append_block(out, block)
    meta = _append_block(out, _BlockWriter(_RESTART_INTERVAL))
    if handle is not None:
        index.add(_short_successor(last), handle)
    footer = meta + _append_block(out, index)
    return bytes(out) + footer.ljust(_FOOTER - len(MAGIC), b"\0") + MAGIC


def _read_footer(data: bytes) -> tuple[tuple[int, int], tuple[int, int]]:
    if len(data) < _FOOTER or not data.endswith(MAGIC):
        raise TableError("the footer of a table is missing; the file is cut off, or not an index")
    footer = data[-_FOOTER : -len(MAGIC)]
    meta, position = _read_handle(footer, 0)
    index, _ = _read_handle(footer, position)
    # Compared with a new encoding, because a flipped bit can extend a number into the padding without changing its
    # value.
    if footer != b"".join(varint(number) for number in (*meta, *index)).ljust(len(footer), b"\0"):
        raise TableError("the footer is damaged")
    return meta, index


def _read_handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return (offset, size), position


def _block(data: bytes, offset: int, size: int, budget: Budget) -> bytes:
    end = offset + size
    if end + _TRAILER > len(data) - _FOOTER:
        raise TableError(f"a block of {size:,} bytes at {offset:,} exceeds the end of the file")
    content, kind = data[offset:end], data[end]
    stored = int.from_bytes(data[end + 1 : end + _TRAILER], "little")
    found = masked(crc32c.crc32c(data[offset : end + 1]))
    if stored != found:
        raise TableError(f"the block at {offset:,} is damaged: CRC32C stored {stored:#010x}, calculated {found:#010x}")
    if kind == _SNAPPY:
        return _decompressed(content, offset, budget)
    if kind != _PLAIN:
        raise TableError(f"the block at {offset:,} is compressed by method {kind}; known are 0 (none) and 1 (snappy)")
    return content


def _decompressed(content: bytes, offset: int, budget: Budget) -> bytes:
    import cramjam

    declared, _ = read_varint(content, 0)
    if declared > _LARGEST_EXPANSION * len(content):
        raise TableError(
            f"the block at {offset:,} declares {declared:,} bytes, too many for {len(content):,} compressed ones"
        )
    budget.draw(2 * declared, "its compressed names")
    try:
        return bytes(cramjam.snappy.decompress_raw(content))
    except cramjam.DecompressionError as error:
        raise TableError(f"the block at {offset:,} is not snappy: {error}") from error


def _entries(block: bytes, budget: Budget) -> Iterator[tuple[bytes, bytes]]:
    if len(block) < 4:
        raise TableError("a block is empty")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise TableError(f"a block of {len(block):,} bytes declares {restarts:,} restarts")
    position, key = 0, b""
    while position < end:
        shared, position = read_varint(block, position)
        fresh, position = read_varint(block, position)
        size, position = read_varint(block, position)
        if shared > len(key) or fresh + size > end - position:
            raise TableError("an entry exceeds the end of its block")
        budget.step(_STEPS_OF_ENTRY + (shared + fresh) // _PIECE_OF_KEY)
        key = key[:shared] + block[position : position + fresh]
        position += fresh
        yield key, block[position : position + size]
        position += size


class _BlockWriter:
    """A block that is being written."""

    EMPTY = 8

    def __init__(self, restart_interval: int) -> None:
        self.interval = restart_interval
        self.data = bytearray()
        self.restarts = [0]
        self.count = 0
        self.last = b""

    @property
    def size(self) -> int:
        return len(self.data) + 4 * len(self.restarts) + 4

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self.count < self.interval:
            longest = min(len(key), len(self.last))
            while shared < longest and key[shared] == self.last[shared]:
                shared += 1
        else:
            self.restarts.append(len(self.data))
            self.count = 0
        self.data += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        self.last = key
        self.count += 1

    def finish(self) -> bytes:
        return bytes(self.data) + struct.pack(f"<{len(self.restarts) + 1}I", *self.restarts, len(self.restarts))


def _append_block(out: bytearray, block: _BlockWriter) -> bytes:
    content = block.finish() + bytes([_PLAIN])
    handle = varint(len(out)) + varint(len(content) - 1)
    out += content + masked(crc32c.crc32c(content)).to_bytes(4, "little")
    return handle


def _shortest_separator(start: bytes, limit: bytes) -> bytes:
    """Return a short key k with start <= k < limit (BytewiseComparator::FindShortestSeparator)."""
    at = 0
    while at < min(len(start), len(limit)) and start[at] == limit[at]:
        at += 1
    if at < min(len(start), len(limit)) and start[at] < 0xFF and start[at] + 1 < limit[at]:
        return start[:at] + bytes([start[at] + 1])
    return start


def _short_successor(key: bytes) -> bytes:
    """Return a short key k >= key (BytewiseComparator::FindShortSuccessor)."""
    for at, byte in enumerate(key):
        if byte != 0xFF:
            return key[:at] + bytes([byte + 1])
    return key
