"""Slices of a partitioned variable: their extents, and their keys in an index.

Source: tensorflow/core/framework/tensor_slice.proto, tensorflow/core/util/saved_tensor_slice_util.cc
(EncodeTensorNameSlice) and tensorflow/core/lib/strings/ordered_code.cc.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from effconvert.budget import Budget
from effconvert.formats.protobuf import WireError, as_signed, fields

# (start, length) for each axis; a length of -1 means the whole axis.
Extent = tuple[tuple[int, int], ...]

_CELLS_OF_STEP = 1024
_HEADER_BITS = (0, 0x80, 0xC0, 0xE0, 0xF0, 0xF8, 0xFC, 0xFE, 0xFF, 0xFF80, 0xFFC0)


def parse_slice(data: bytes) -> Extent:
    """Return the extent in a TensorSliceProto. Raises WireError for anything else."""
    extent = []
    for number, value in fields(data):
        if number == 1:
            if not isinstance(value, bytes):
                raise WireError("an extent is not a message")
            axis = dict(fields(value))
            start, length = axis.get(1, 0), axis.get(2)
            if not isinstance(start, int) or not (length is None or isinstance(length, int)):
                raise WireError("an extent is not a pair of numbers")
            extent.append((as_signed(start), -1 if length is None else as_signed(length)))
    return tuple(extent)


def full_extent(extent: Extent, shape: tuple[int, ...]) -> Extent:
    """Return `extent` with whole axes written out as (0, size)."""
    return tuple(
        (0, size) if length < 0 else (start, length) for (start, length), size in zip(extent, shape, strict=True)
    )


def overlap(places: Sequence[Extent], budget: Budget) -> bool:
    """Return whether two of the slices at `places`, with all axes written out, have an element in common.

    Only the borders of slices are looked at, never the elements between them: a tensor of any size costs the same.
    """
    places = [place for place in places if all(length for _, length in place)]
    borders = [
        sorted({border for place in places for border in (place[axis][0], sum(place[axis]))})
        for axis in range(len(places[0]) if places else 0)
    ]
    cells = list(accumulate((max(1, len(found) - 1) for found in borders), lambda one, other: one * other, initial=1))
    budget.draw(cells[-1], "the slices of its tensors")
    numbers = [{border: number for number, border in enumerate(found)} for found in borders]
    taken = np.zeros([len(found) - 1 for found in borders], np.bool_)
    for place in places:
        cell = tuple(
            slice(number[start], number[start + length]) for number, (start, length) in zip(numbers, place, strict=True)
        )
        budget.step(len(place) + taken[cell].size // _CELLS_OF_STEP)
        if taken[cell].any():
            return True
        taken[cell] = True
    return False


def slice_key(name: str, extent: Extent) -> bytes:
    """Return the key of a slice of the tensor `name` in the index."""
    # OrderedCode escapes the bytes 00 and ff; neither occurs in the UTF-8 of a printable name.
    key = _number(0) + name.encode() + b"\0\x01" + _number(len(extent))
    for start, length in extent:
        key += _signed(start) + _signed(length)
    return key


def _number(value: int) -> bytes:
    content = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(content)]) + content


def _signed(value: int) -> bytes:
    magnitude = ~value if value < 0 else value
    length = magnitude.bit_length() // 7 + 1
    content = value & (1 << 8 * length) - 1
    bits = _HEADER_BITS[length] << 8 * (length - (2 if length > 8 else 1))
    return (content ^ bits).to_bytes(length, "big")
