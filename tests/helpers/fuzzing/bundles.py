"""Mutations of a TensorFlow bundle that mend its checksums, so that what lies behind them is reached.

An input is the index and one data file. Every block of the index that the footer leads to, and every tensor that an
entry places in the data, gets the checksum that its bytes have now; a footer or an entry that leads nowhere stays as it
is.
"""

import random
from collections.abc import Iterator

import crc32c

from effconvert.formats.protobuf import WireError, fields, read_varint
from effconvert.formats.tensorflow.index_files import TABLE_END
from effconvert.formats.tensorflow.leveldb_table import TableError, masked, read_table, write_table
from helpers.fuzzing.target import Change, joined, parted

_FOOTER, _TRAILER = 48, 5
_CRC_FIELD = b"\x35"  # field 6 of an entry, four bytes


def mutate_bundle(content: bytes, change: Change, chosen: random.Random) -> bytes:
    """Return the index and the data with one of them changed, nearly always with right checksums."""
    index, data = parted(content, 2)
    way = chosen.randrange(8)
    if way < 3:
        index = _with_entry_changed(index, change, chosen)
    elif way < 6:
        index = _with_block_changed(index, change, chosen)
    elif way == 6:
        data = change(data)
    else:
        index = change(index)
    return joined(*mended(index, data)) if chosen.randrange(16) else joined(index, data)


def mutate_table(content: bytes, change: Change, chosen: random.Random) -> bytes:
    """Return an index with something changed, nearly always with right checksums."""
    way = chosen.choice((_with_entry_changed, _with_block_changed, lambda table, change, _: change(table)))
    content = way(content, change, chosen)
    return mended(content, b"")[0] if chosen.randrange(16) else content


def mended(index: bytes, data: bytes) -> tuple[bytes, bytes]:
    """Return the index with the checksums that its blocks and the tensors in `data` have, and the data."""
    content = bytearray(index)
    blocks = list(_blocks(index))
    for offset, size in blocks[2:]:  # those with entries
        _mend_entries(content, offset, size, data)
    for offset, size in blocks:
        end = offset + size + 1
        content[end : end + 4] = masked(crc32c.crc32c(bytes(content[offset:end]))).to_bytes(4, "little")
    return bytes(content), data


def _with_entry_changed(index: bytes, change: Change, chosen: random.Random) -> bytes:
    """Return the index written anew with a key or a value changed, an entry left out, or one doubled."""
    try:
        entries = list(read_table(index))
    except (TableError, WireError):
        return change(index)
    if not entries:
        return change(index)
    number = chosen.randrange(len(entries))
    key, value = entries[number]
    way = chosen.randrange(8)
    if way == 0:
        del entries[number]
    elif way == 1:
        entries.append((change(key), value))
    elif way == 2:
        entries[number] = (change(key), value)
    elif way == 3:
        entries[number] = (key, chosen.choice(entries)[1])
    else:
        entries[number] = (key, change(value))
    return write_table(sorted(dict(entries).items()))


def _with_block_changed(index: bytes, change: Change, chosen: random.Random) -> bytes:
    """Return the index with one block, or the footer's numbers, changed; it keeps its length."""
    blocks = list(_blocks(index))
    if not blocks:
        return change(index)
    offset, size = chosen.choice([*blocks, (len(index) - _FOOTER, _FOOTER - len(TABLE_END))])
    block = index[offset : offset + size]
    changed = change(block)[: len(block)].ljust(len(block), b"\0")
    if offset + size < len(index) - _FOOTER and not chosen.randrange(8):  # also the type of the block
        return index[:offset] + changed + bytes([chosen.randrange(3)]) + index[offset + size + 1 :]
    return index[:offset] + changed + index[offset + size :]


def _blocks(index: bytes) -> Iterator[tuple[int, int]]:
    """Yield the places of the meta-index block, the index block, and each block that it leads to, if they are there."""
    try:
        position, handles = len(index) - _FOOTER, []
        if position < 0:
            return
        for _ in range(2):
            offset, position = read_varint(index, position)
            size, position = read_varint(index, position)
            handles.append((offset, size))
        if not all(_is_within(index, handle) for handle in handles):
            return
        yield from handles
        for _, value, _ in _entries(index, *handles[1]):
            offset, after = read_varint(value, 0)
            size, _ = read_varint(value, after)
            if _is_within(index, (offset, size)):
                yield offset, size
    except (WireError, IndexError):
        return


def _is_within(index: bytes, handle: tuple[int, int]) -> bool:
    return sum(handle) + _TRAILER <= len(index) - _FOOTER


def _entries(index: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield the rest of the key, the value, and where the value is, of each entry of a block that is not compressed."""
    block = index[offset : offset + size]
    position = 0
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    while position < end:
        _, position = read_varint(block, position)
        fresh, position = read_varint(block, position)
        length, position = read_varint(block, position)
        if fresh + length > end - position:
            return
        yield block[position : position + fresh], block[position + fresh :][:length], offset + position + fresh
        position += fresh + length


def _mend_entries(content: bytearray, offset: int, size: int, data: bytes) -> None:
    try:
        for _, value, place in _entries(bytes(content), offset, size):
            numbers = {number: found for number, found in fields(value) if isinstance(found, int)}
            start, length = numbers.get(4, 0), numbers.get(5, 0)
            at = len(value) - 5 if value[-5:-4] == _CRC_FIELD else value.rfind(_CRC_FIELD)
            if at >= 0 and 6 in numbers and start + length <= len(data):
                crc = masked(crc32c.crc32c(data[start : start + length]))
                content[place + at + 1 : place + at + 5] = crc.to_bytes(4, "little")[: len(value) - at - 1]
    except (WireError, IndexError):
        return
