"""The wire format of protocol buffers: fields by number, read and written without a schema compiler.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are not a protocol buffer."""


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the unsigned varint at `position` and the position after it.

    Raises WireError if it does not end or exceeds 64 bits.
    """
    value = shift = 0
    while True:
        if position >= len(data):
            raise WireError("a number does not end")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise WireError("a number is too long")
    if value >= 1 << 64:
        raise WireError("a number is too long")
    return value, position


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (number, value) of each field in order: varints and fixed numbers as int, the others as bytes.

    Raises WireError for anything that is not a message.
    """
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise WireError("a field is numbered 0")
        if kind == _VARINT:
            value, position = read_varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = read_varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise WireError(f"a field is of kind {kind}")
        if size > len(data) - position:
            raise WireError("a field is longer than its message")
        content = data[position : position + size]
        position += size
        yield number, content if kind == _BYTES else int.from_bytes(content, "little")


def as_signed(value: int) -> int:
    """Return the unsigned varint `value` as an int64."""
    return value - (1 << 64) if value >= 1 << 63 else value


def varint(value: int) -> bytes:
    """Return `value`, an int64 or uint64, as a varint."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    """Return a varint field; empty for 0, which proto3 leaves out."""
    return varint(number << 3 | _VARINT) + varint(value) if value else b""


def bytes_field(number: int, content: bytes) -> bytes:
    """Return a field with bytes, a string or a message."""
    return bytes_header(number, len(content)) + content


def bytes_header(number: int, size: int) -> bytes:
    """Return the header of a field with `size` bytes."""
    return varint(number << 3 | _BYTES) + varint(size)


def fixed32_field(number: int, value: int) -> bytes:
    """Return a fixed 32-bit field, empty for 0."""
    return varint(number << 3 | _FIXED32) + value.to_bytes(4, "little") if value else b""
