"""Writes pickles instruction by instruction, and zip files around them, as an attacker would."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

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


def write(path: Path, pickle: bytes, records: Mapping[str, bytes] = RECORDS, root: str = "archive") -> Path:
    """Write a zip file as torch.save does, with this pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"data.pkl": pickle, **records}.items():
            archive.writestr(f"{root}/{name}", content)
    return path


def patch_directory(path: Path, record: str, field: int, value: int) -> None:
    """Set 4 bytes of a record's entry in the central directory: 16 its CRC-32, 20 the stored size, 24 the real one."""
    content = bytearray(path.read_bytes())
    at = content.rindex(b"archive/" + record.encode()) - 46
    assert content[at : at + 4] == b"PK\x01\x02"
    content[at + field : at + field + 4] = value.to_bytes(4, "little")
    path.write_bytes(content)
