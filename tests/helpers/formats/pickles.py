"""Writes pickles instruction by instruction, and files of both forms around them, as an attacker would."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from effconvert.formats.checkpoint import DataFile
from effconvert.formats.torch.pickle_reader import read_pickle

VALUES = bytes(range(16))  # four float32
RECORDS = {"data/0": VALUES}


def text(value: str) -> bytes:
    content = value.encode()
    return b"X" + len(content).to_bytes(4, "little") + content


def integer(value: int) -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + value.to_bytes(4, "little", signed=True)
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def integers(*values: int) -> bytes:
    return b"(" + b"".join(map(integer, values)) + b"t"


def found(module: str, name: str) -> bytes:
    """Return the instruction that asks for a global."""
    return f"c{module}\n{name}\n".encode()


def storage(count: bytes = integer(4), kind: bytes = text("storage"), key: bytes = text("0")) -> bytes:
    """Return the instructions for a storage of floats."""
    return b"(" + kind + found("torch", "FloatStorage") + key + text("cpu") + count + b"tQ"


def tensor(
    shape: bytes = integers(4),
    strides: bytes = integers(1),
    offset: bytes = integer(0),
    held: bytes | None = None,
    rest: bytes = b"\x89}",
) -> bytes:
    """Return the instructions for a tensor; `rest` is what follows shape and strides."""
    start = found("torch._utils", "_rebuild_tensor_v2") + b"(" + (storage() if held is None else held)
    return start + offset + shape + strides + rest + b"tR"


def state_dict(value: bytes, name: bytes = text("x"), behind: bytes = b"") -> bytes:
    """Return the pickle, protocol 2, of {name: value}; `behind` are instructions before its end."""
    return b"\x80\x02}" + name + value + b"s" + behind + b"."


def write(path: Path, content: bytes, records: Mapping[str, bytes] = RECORDS, root: str = "archive") -> Path:
    """Write a zip file as torch.save does, with this pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, record in {"data.pkl": content, **records}.items():
            archive.writestr(f"{root}/{name}", record)
    return path


# The pickles of the form before PyTorch 1.6, the first of which makes it known.
LEGACY = {
    "magic": pickle.dumps(0x1950A86A20F9469CFC6C, 2),
    "protocol": pickle.dumps(1001, 2),
    "system": pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}, 2),
    "content": b"",
    "keys": pickle.dumps(["0"], 2),
}


def write_legacy(path: Path, content: bytes, data: bytes | None = None, **others: bytes) -> Path:
    """Write a file as torch.save did before 1.6, with this pickle; `others` take the place of the other pickles.

    data: what follows the pickles, else one storage of four floats.
    """
    storage_0 = (4).to_bytes(8, "little") + VALUES
    pickles = {**LEGACY, "content": content, **others}
    path.write_bytes(b"".join(pickles.values()) + (storage_0 if data is None else data))
    return path


class _Memory(DataFile):
    """A file that was never written."""

    def __init__(self, content: bytes) -> None:
        self.path = Path("memory")
        self.size = len(content)
        self._content = content

    def read(self, offset: int, size: int) -> bytes:
        assert offset + size <= self.size
        return self._content[offset : offset + size]


def load(content: bytes) -> Any:
    """Return what our machine makes of a pickle."""
    return read_pickle(_Memory(content), 0, len(content)).value


def patch_directory(path: Path, record: str, field: int, value: int, header: bool = True) -> None:
    """Set 4 bytes of a record's entry in the central directory: 16 its CRC-32, 20 the stored size, 24 the real one.

    header: set the same bytes in the record's own header.
    """
    content, name = bytearray(path.read_bytes()), b"archive/" + record.encode()
    at = content.rindex(name) - 46
    assert content[at : at + 4] == b"PK\x01\x02"
    content[at + field : at + field + 4] = value.to_bytes(4, "little")
    if header:
        at = content.index(name) - 30 - 2
        content[at + field : at + field + 4] = value.to_bytes(4, "little")
    path.write_bytes(content)
