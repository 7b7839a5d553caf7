"""HDF5 as Keras writes it: a tree of groups, attributes and unchunked datasets, parsed in plain Python.

The HDF5 library crashes or never ends on some files with a flipped bit. Here every block of structure must be inside
the file, is read once, and belongs to one object only.

Source: "HDF5 File Format Specification Version 3.0", https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from effconvert.budget import ENTRY
from effconvert.formats.checkpoint import BFLOAT16, DataFile, Shape, check_shape
from effconvert.formats.keras.hdf5_messages import (
    Hdf5Error,
    Texts,
    decode,
    parse_attribute,
    parse_dataspace,
    parse_datatype,
    parse_layout,
)

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NOWHERE = (1 << 64) - 1
_REWRITE = "load it in Keras and save it again"
_DEEPEST = 16
_STEPS_OF_OBJECT = 24  # B7 as a full model has 2,000 objects
_LONGEST_NAME = 4096

_NIL, _DATASPACE, _DATATYPE, _LAYOUT, _ATTRIBUTE, _CONTINUATION, _GROUP = 0, 1, 3, 8, 12, 16, 17
# Fill values, modification times and comments do not matter for the values of a written dataset.
_WITHOUT_MEANING = {4, 5, 13, 14, 18}
_REFUSED = {
    2: "links of a newer kind than Keras writes", 6: "links of a newer kind than Keras writes",
    7: "data in another file", 11: "compressed data", 21: "attributes of a newer kind than Keras writes",
}  # fmt: skip


@dataclass(frozen=True)
class Dataset:
    """The place of a dataset's values in the file. dtype: None if they are strings."""

    shape: Shape
    dtype: np.dtype[Any] | None
    offset: int
    nbytes: int
    attributes: Mapping[str, Texts] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Named members in ascending order; attributes hold strings, () for those of another type."""

    members: "Mapping[str, Group | Dataset]"
    attributes: Mapping[str, Texts]

    def datasets(self, path: str = "") -> Iterator[tuple[str, Dataset]]:
        """Yield (path, dataset) of every dataset below."""
        for name, member in self.members.items():
            if isinstance(member, Group):
                yield from member.datasets(f"{path}{name}/")
            else:
                yield path + name, member


def find_signature(file: DataFile) -> int | None:
    """Return the position of the HDF5 signature, one of 0, 512, 1024, 2048, …; None if there is none."""
    offset = 0
    while offset + len(SIGNATURE) <= file.size:
        if file.read(offset, len(SIGNATURE)) == SIGNATURE:
            return offset
        offset = offset * 2 or 512
    return None


def read_tree(file: DataFile, start: int, size: int) -> Group:
    """Return the root group of the HDF5 file of `size` bytes that begins at `start` in `file`.

    Raises Hdf5Error for a file that is damaged, or that uses features that Keras never uses.
    """
    try:
        return _Parser(file, start, size).tree()
    except (struct.error, IndexError) as error:
        raise Hdf5Error(f"a structure is cut off: {error}") from error


class _Parser:
    """Reads structures at their addresses and records which bytes they take."""

    def __init__(self, file: DataFile, start: int, size: int) -> None:
        self.file, self.start, self.size = file, start, size
        self.taken: dict[int, int] = {}
        self.budget = file.budget
        self.collections: dict[int, dict[int, bytes]] = {}

    def tree(self) -> Group:
        head = self.block(0, 96)
        version, sizes = head[8], head[13:15]
        if version not in (0, 1):
            raise Hdf5Error(f"has superblock version {version}, Keras writes 0; {_REWRITE}")
        if sizes != b"\x08\x08":
            raise Hdf5Error("its addresses do not have eight bytes")
        self.leaf, self.internal = struct.unpack_from("<HH", head, 16)
        at = 24 if version == 0 else 28
        base, _, end, _ = struct.unpack_from("<4Q", head, at)
        if base not in (0, self.start):
            raise Hdf5Error(f"its base address is {base:,}, but it begins at {self.start:,}")
        if end - base > self.size:
            raise Hdf5Error(f"is cut off: it has {self.size:,} bytes, but its superblock says {end - base:,}")
        (root,) = struct.unpack_from("<Q", head, at + 40)
        found = self.object(root, 0)
        if not isinstance(found, Group):
            raise Hdf5Error("its root is not a group")
        self.check_overlaps()
        return found

    def block(self, address: int, size: int) -> bytes:
        """Return a block of structure; no other object may use its bytes."""
        self.take(address, size)
        self.budget.draw(size + ENTRY, "its structure")
        return self.file.read(self.start + address, size)

    def take(self, address: int, size: int) -> None:
        if address + size > self.size:
            raise Hdf5Error(f"a structure is at bytes {address:,} to {address + size:,} of {self.size:,}")
        if size and address in self.taken:
            raise Hdf5Error(f"two objects share the bytes at {address:,}")
        if size:
            self.taken[address] = address + size

    def check_overlaps(self) -> None:
        before = 0
        for begin, end in sorted(self.taken.items()):
            if begin < before:
                raise Hdf5Error(f"two objects share the bytes at {begin:,}")
            before = end

    def object(self, address: int, depth: int, path: int = 0) -> Group | Dataset:
        """Return the group or dataset with the header at `address`; its names together have `path` characters."""
        if depth > _DEEPEST:
            raise Hdf5Error(f"groups are nested more than {_DEEPEST} deep")
        self.budget.step(_STEPS_OF_OBJECT)
        self.budget.draw(4 * (ENTRY + path), "the names in it")  # whole, in parts, and with other separators
        messages = self.messages(address)
        attributes: dict[str, Texts] = {}
        for kind, body in messages:
            if kind == _ATTRIBUTE:
                name, texts = parse_attribute(body, self.collected)
                if name in attributes:
                    raise Hdf5Error(f"attribute {name!r} is a duplicate")
                attributes[name] = texts
        single = {kind: body for kind, body in messages if kind != _ATTRIBUTE}
        if len(single) != sum(kind != _ATTRIBUTE for kind, _ in messages):
            raise Hdf5Error("an object header has a duplicate message")
        if _GROUP in single:
            tree, heap = struct.unpack("<QQ", single[_GROUP][:16])
            return Group(self.group(tree, heap, depth, path), attributes)
        return self.dataset(single, attributes)

    def messages(self, address: int) -> list[tuple[int, bytes]]:
        """Return (type, body) of every message of the header at `address`, without those that do not matter here."""
        version, _, count, links, size = struct.unpack_from("<BBHII", self.block(address, 16))
        if version != 1:
            raise Hdf5Error(f"an object header at {address:,} has version {version}, Keras writes 1; {_REWRITE}")
        if links != 1:
            raise Hdf5Error(f"an object at {address:,} has {links:,} names; it must have one")
        result = []
        blocks = [(address + 16, size)]
        for begin, length in blocks:
            content = self.block(begin, length)
            at = 0
            while at + 8 <= length:
                kind, size, flags = struct.unpack_from("<HHB", content, at)
                body = content[at + 8 : at + 8 + size]
                at += 8 + size
                count -= 1
                if at > length or flags & 2 or kind in _REFUSED:
                    raise Hdf5Error(f"an object at {address:,} has {_REFUSED.get(kind, 'a damaged header')}")
                if kind == _CONTINUATION:
                    blocks.append(struct.unpack("<QQ", body[:16]))
                elif kind in (_DATASPACE, _DATATYPE, _LAYOUT, _ATTRIBUTE, _GROUP):
                    result.append((kind, body))
                elif kind != _NIL and kind not in _WITHOUT_MEANING:
                    raise Hdf5Error(f"an object at {address:,} has a message of the unknown type {kind}")
        if count:
            raise Hdf5Error(f"an object header at {address:,} has another number of messages than it says")
        return result

    def dataset(self, single: Mapping[int, bytes], attributes: Mapping[str, Texts]) -> Dataset:
        if single.keys() != {_DATASPACE, _DATATYPE, _LAYOUT}:
            raise Hdf5Error("an object is neither a group nor a dataset")
        shape = parse_dataspace(single[_DATASPACE])
        datatype = parse_datatype(single[_DATATYPE])
        address, size = parse_layout(single[_LAYOUT])
        nbytes = math.prod(shape) * datatype.size
        if address == _NOWHERE and nbytes:
            raise Hdf5Error(f"the values of a dataset of shape {shape} are not stored")
        if size != nbytes:
            raise Hdf5Error(f"a dataset of shape {shape} takes {nbytes:,} bytes, but {size:,} are stored")
        try:
            check_shape(shape, np.dtype(np.uint8))
        except ValueError as error:
            raise Hdf5Error(str(error)) from error
        dtype = datatype.dtype
        if datatype.opaque and datatype.size == 2 and attributes.get("dtype") == "bfloat16":
            dtype = BFLOAT16
        if dtype is None and not datatype.text:
            raise Hdf5Error(f"a dataset of shape {shape} holds values of a type that Keras does not write")
        if nbytes:
            self.take(address, nbytes)
        return Dataset(shape, dtype, self.start + address, nbytes, attributes)

    def group(self, tree: int, heap: int, depth: int, path: int) -> dict[str, Group | Dataset]:
        """Return the members of the group with its B-tree and its heap of names at these addresses."""
        head = self.block(heap, 32)
        if head[:5] != b"HEAP\x00":
            raise Hdf5Error(f"the names of a group are not at {heap:,}")
        size, _, address = struct.unpack_from("<3Q", head, 8)
        names = self.block(address, size)
        members: dict[str, Group | Dataset] = {}
        for node in self.leaves(tree, None):
            for name_at, header in self.entries(node):
                name = _text(names, name_at)
                if members and name.encode() <= next(reversed(members)).encode():
                    raise Hdf5Error(f"the names of a group are not sorted: {name[:80]!r}")
                members[name] = self.object(header, depth + 1, path + len(name) + 1)
        return members

    def leaves(self, address: int, level: int | None) -> Iterator[int]:
        """Yield the addresses of the symbol nodes below the B-tree node at `address`."""
        content = self.block(address, 24 + 8 * (4 * self.internal + 1))
        kind, found, used = struct.unpack_from("<BBH", content, 4)
        if content[:4] != b"TREE" or kind != 0 or found > 4 or used > 2 * self.internal or level not in (None, found):
            raise Hdf5Error(f"the index of a group at {address:,} is damaged")
        for number in range(used):
            (child,) = struct.unpack_from("<Q", content, 32 + 16 * number)
            if found:
                yield from self.leaves(child, found - 1)
            else:
                yield child

    def entries(self, address: int) -> Iterator[tuple[int, int]]:
        """Yield (position of the name in the heap, address of the header) of each entry of a symbol node."""
        content = self.block(address, 8 + 80 * self.leaf)
        version, _, used = struct.unpack_from("<BBH", content, 4)
        if content[:4] != b"SNOD" or version != 1 or used > 2 * self.leaf:
            raise Hdf5Error(f"the members of a group at {address:,} are damaged")
        for number in range(used):
            name, header, cached = struct.unpack_from("<QQI", content, 8 + 40 * number)
            if cached not in (0, 1):
                raise Hdf5Error("a member of a group is a link, which is not followed")
            yield name, header

    def collected(self, address: int, index: int) -> bytes:
        """Return object `index` of the global heap at `address`, which holds strings of variable length."""
        if address not in self.collections:
            if address + 16 > self.size:
                raise Hdf5Error(f"the texts of an attribute are not at {address:,}")
            (size,) = struct.unpack("<8xQ", self.file.read(self.start + address, 16))
            content = self.block(address, size)
            if content[:5] != b"GCOL\x01":
                raise Hdf5Error(f"the texts of an attribute are not at {address:,}")
            self.collections[address] = _heap_objects(content)
        if index not in self.collections[address]:
            raise Hdf5Error(f"the text {index} is not at {address:,}")
        content = self.collections[address][index]
        self.budget.draw(len(content) + ENTRY, "the texts of its attributes")  # one text may be in many places
        return content


def _heap_objects(content: bytes) -> dict[int, bytes]:
    result: dict[int, bytes] = {}
    at = 16
    while at + 16 <= len(content):
        index, _, size = struct.unpack_from("<HH4xQ", content, at)
        if index == 0:  # free space
            break
        if index in result or at + 16 + size > len(content):
            raise Hdf5Error("the texts of attributes are damaged")
        result[index] = content[at + 16 : at + 16 + size]
        at += 16 + -(-size // 8) * 8
    return result


def _text(names: bytes, at: int) -> str:
    end = names.find(b"\x00", at)
    if end <= at:
        raise Hdf5Error("a member of a group has no name")
    if end - at > _LONGEST_NAME:
        raise Hdf5Error(f"a member of a group has a name of {end - at:,} bytes")
    return decode(names[at:end])
