"""Builds MindSpore checkpoints, well-formed and not, one field at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from effconvert.formats import Array
from effconvert.formats.mindspore.file import write_mindspore
from effconvert.formats.protobuf import bytes_field, varint
from helpers import places
from helpers.formats.building import infos_of

GOLDEN = places.GOLDEN / "mindspore"
KEY = b"0123456789abcdef"


def make_mindspore(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> Path:
    with path.open("wb") as file:
        write_mindspore(file, infos_of(arrays), arrays.values(), metadata or {}, dict)
    return path


def dims(sizes: Sequence[int]) -> bytes:
    return b"".join(b"\x08" + varint(size) for size in sizes)


def tensor(sizes: Sequence[int], kind: str, content: bytes) -> bytes:
    return dims(sizes) + bytes_field(2, kind.encode()) + bytes_field(3, content)


def value(name: str, sizes: Sequence[int], kind: str, content: bytes) -> bytes:
    return bytes_field(1, bytes_field(1, name.encode()) + bytes_field(2, tensor(sizes, kind, content)))


def key_of(name: str) -> bytes | None:
    """The key of a golden file, None where it is not encrypted."""
    return (KEY * 2 if "32" in name else KEY) if name.startswith("enc_") else None
