"""Messages of an HDF5 object header: dataspace, datatype, layout and attributes.

Source: "HDF5 File Format Specification Version 3.0", part IV.A.2,
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from effconvert.formats.checkpoint import MOST_AXES, Shape

# An attribute's string or list of strings; () for other types.
Texts = str | tuple[str, ...]
# (address, index) -> the bytes of a string of variable length.
Collected = Callable[[int, int], bytes]

# Class and version, flags, size and properties of each type of number that Keras writes; others are not read.
_NUMBERS: dict[bytes, np.dtype[Any]] = {
    bytes.fromhex(code): np.dtype(kind)
    for code, kind in {
        "11200f0002000000000010000a05000a0f000000": np.float16,
        "11201f000400000000002000170800177f000000": np.float32,
        "11203f000800000000004000340b0034ff030000": np.float64,
        "100800000100000000000800": np.int8,
        "100800000200000000001000": np.int16,
        "100800000400000000002000": np.int32,
        "100800000800000000004000": np.int64,
        "100000000100000000000800": np.uint8,
        "100000000400000000002000": np.uint32,
        "180200000100000010080000010000000000080046414c534500000054525545000000000001": np.bool_,
    }.items()
}
_FIXED, _OPAQUE, _VARIABLE = 3, 5, 9  # classes of datatypes


class Hdf5Error(Exception):
    """The file is damaged, or uses a feature that Keras never uses; the text says which."""


@dataclass(frozen=True)
class Datatype:
    """The type of one value. size: in bytes. dtype: None if it is not a number."""

    kind: int
    size: int
    dtype: np.dtype[Any] | None

    @property
    def text(self) -> bool:
        """Whether the values are strings."""
        return self.kind in (_FIXED, _VARIABLE)

    @property
    def opaque(self) -> bool:
        """Whether the values are bytes without a type, as h5py stores bfloat16."""
        return self.kind == _OPAQUE


def parse_dataspace(body: bytes) -> Shape:
    """Return the shape; (0,) if there are no values."""
    version, axes, flags, kind = struct.unpack_from("<4B", body)
    start = 8 if version == 1 else 4
    size = start + 8 * axes * (2 if flags & 1 else 1)  # the largest possible shape may follow
    if version not in (1, 2) or axes > MOST_AXES or flags > 1 or not size <= len(body) < size + 8:
        raise Hdf5Error(f"a shape has version {version}, {axes} axes and {len(body)} bytes")
    if version == 2 and kind == 2:
        return (0,)
    return struct.unpack_from(f"<{axes}Q", body, start)


def parse_datatype(body: bytes) -> Datatype:
    """Return the type of the values."""
    (size,) = struct.unpack_from("<I", body, 4)
    dtype = next((dtype for code, dtype in _NUMBERS.items() if body.startswith(code)), None)
    if size == 0 or (dtype and dtype.itemsize != size):
        raise Hdf5Error(f"a datatype has values of {size} bytes")
    kind = body[0] & 15
    if kind == _VARIABLE and (body[1] & 15 != 1 or size != 16):
        raise Hdf5Error("a datatype is a list of varying length, which Keras does not write")
    return Datatype(kind, size, dtype)


def parse_layout(body: bytes) -> tuple[int, int]:
    """Return the address and the size of a dataset's values. Raises Hdf5Error if they are not in one piece."""
    version, kind = struct.unpack_from("<2B", body)
    if version != 3 or kind != 1:
        words = {0: "inside an object header", 2: "in chunks"}.get(kind, "elsewhere") if version == 3 else "otherwise"
        raise Hdf5Error(
            f"a dataset is stored {words}, but Keras stores each in one piece; rewrite it with h5repack -l CONTI"
        )
    address, size = struct.unpack_from("<2Q", body, 2)
    return address, size


def parse_attribute(body: bytes, collected: Collected) -> tuple[str, Texts]:
    """Return the name and the strings of an attribute."""
    version, flags, name_size, type_size, space_size = struct.unpack_from("<2B3H", body)
    if version not in (1, 2, 3) or (version > 1 and flags):
        raise Hdf5Error(f"an attribute has version {version} and flags {flags}")
    at, parts = 9 if version == 3 else 8, []
    for size in (name_size, type_size, space_size):
        parts.append(body[at : at + size])
        at += -(-size // 8) * 8 if version == 1 else size
    name = decode(parts[0].rstrip(b"\x00"))
    return name, _texts(parse_datatype(parts[1]), parse_dataspace(parts[2]), body[at:], collected)


def decode(content: bytes) -> str:
    """Return `content` as text. Raises Hdf5Error if it is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Hdf5Error(f"a text is not UTF-8: {error.reason}") from error


def _texts(datatype: Datatype, shape: Shape, data: bytes, collected: Collected) -> Texts:
    count = math.prod(shape)
    if not datatype.text:
        return ()
    if count * datatype.size > len(data):
        raise Hdf5Error(f"an attribute of shape {shape} is cut off")
    values = [data[at : at + datatype.size] for at in range(0, count * datatype.size, datatype.size)]
    if datatype.kind == _VARIABLE:
        values = [_collect(value, collected) for value in values]
    texts = tuple(decode(value.rstrip(b"\x00")) for value in values)
    return texts if shape else texts[0]


def _collect(value: bytes, collected: Collected) -> bytes:
    length, address, index = struct.unpack("<IQI", value)
    if length == 0:
        return b""
    content = collected(address, index)
    if len(content) < length:
        raise Hdf5Error(f"a text of {length:,} bytes has only {len(content):,}")
    return content[:length]
