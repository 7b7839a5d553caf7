"""Builds tables of LevelDB by hand, apart from the product's own writer, so that the two can disagree."""

import struct
from collections.abc import Sequence

MAGIC = bytes.fromhex("57fb808b247547db")


def crc32c(data: bytes) -> int:
    """Return the CRC32C, bit by bit (Castagnoli's polynomial, reflected)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 & -(crc & 1))
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def number(value: int) -> bytes:
    """Return a varint."""
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def entry(key: bytes, value: bytes, shared: int = 0) -> bytes:
    """Return an entry whose key is the first `shared` bytes of the one before and then `key`."""
    return number(shared) + number(len(key)) + number(len(value)) + key + value


def block(entries: Sequence[bytes], restarts: Sequence[int] = (0,), count: int | None = None) -> bytes:
    """Return a block; `count` is the number of restarts that it declares."""
    numbers = [*restarts, len(restarts) if count is None else count]
    return b"".join(entries) + struct.pack(f"<{len(numbers)}I", *numbers)


def table(blocks: Sequence[bytes], kind: int = 0, handles: Sequence[bytes] | None = None) -> bytes:
    """Return the table of `blocks`, all of the compression type `kind`; `handles` replace the true ones."""
    out = b""
    true_handles = []
    for content in blocks:
        true_handles.append(number(len(out)) + number(len(content)))
        out += _sealed(content, kind)
    meta = number(len(out)) + number(8)
    out += _sealed(block([]), 0)
    index_entries = [entry(b"k%03d" % at, handle) for at, handle in enumerate(handles or true_handles)]
    index = block(index_entries)
    footer = meta + number(len(out)) + number(len(index))
    return out + _sealed(index, 0) + footer.ljust(40, b"\0") + MAGIC


def _sealed(content: bytes, kind: int) -> bytes:
    content += bytes([kind])
    return content + masked(crc32c(content)).to_bytes(4, "little")
