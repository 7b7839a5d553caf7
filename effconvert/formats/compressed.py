"""The content of a .gz, .xz, .bz2 or .zip file, recognised by its first unpacked bytes.

At most 64 kB are unpacked, whatever size the file declares.
"""

import bz2
import lzma
import shlex
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from effconvert.formats.archive import looks_like_archive
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.foreign.files import BY_CONTENT, Look, begins_graph, in_words, kind_of
from effconvert.formats.foreign.texts import text_in_words
from effconvert.formats.keras.hdf5 import SIGNATURE
from effconvert.formats.mindspore.file import is_mindspore
from effconvert.formats.safetensors import is_safetensors
from effconvert.formats.torch.legacy import is_legacy
from effconvert.formats.torch.zip import begins_like_torch
from effconvert.formats.zip_directory import FAILURES, MAGIC, directory
from effconvert.formats.zip_records import read_record

_INPUT = 1 << 20  # bzip2 packs blocks of 900 kB
_OUTPUT = 1 << 16
_MEMORY = 128 << 20  # limit for unpacking .xz; xz -9 needs 65 MiB


@dataclass(frozen=True)
class Packing:
    """A compression of single files: its first bytes, its name, the command that unpacks it, and a function for it.

    unpack: returns up to 64 kB and whether that is all; raises the errors of its library.
    """

    magic: bytes
    name: str
    command: str
    unpack: Callable[[bytes], tuple[bytes, bool]]


def _gunzip(data: bytes) -> tuple[bytes, bool]:
    stream = zlib.decompressobj(wbits=31)
    return stream.decompress(data, _OUTPUT), stream.eof


def _unxz(data: bytes) -> tuple[bytes, bool]:
    stream = lzma.LZMADecompressor(memlimit=_MEMORY)
    return stream.decompress(data, _OUTPUT), stream.eof


def _bunzip2(data: bytes) -> tuple[bytes, bool]:
    stream = bz2.BZ2Decompressor()
    return stream.decompress(data, _OUTPUT), stream.eof


GZIP = Packing(b"\x1f\x8b", "gzip", "gunzip", _gunzip)
PACKINGS = (
    GZIP,
    Packing(b"\xfd7zXZ\0", "xz", "unxz", _unxz),
    Packing(b"\x5d\0\0", "lzma", "unlzma", _unxz),
    Packing(b"BZh", "bzip2", "bunzip2", _bunzip2),
)
_FAILURES = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


def unread_in_words(path: Path) -> str:
    """Return what the unreadable file at `path` is, and what to do; "" if that is not known."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(MAGIC):
        return zip_in_words(path)
    return packed_in_words(path, start) or in_words(path)


def packed_in_words(path: Path, start: bytes) -> str:
    """Return what is packed in the file at `path`, which begins with `start`, and what to do.

    Returns "" for a .tar.gz, which can be read, for a file that is not packed, and for a damaged one.
    """
    packing = next((packing for packing in PACKINGS if start.startswith(packing.magic)), None)
    if packing is None:
        return ""
    with path.open("rb") as file:
        data = file.read(_INPUT)
    try:
        inner, ends = packing.unpack(data)
    except _FAILURES:
        inner, ends = b"", False
    damaged = not ends and len(inner) < _OUTPUT and len(data) < _INPUT
    if packing is GZIP and (_is_tar(inner) or (damaged and not inner)):
        return ""
    around = f" around {content_in_words(inner)}" if inner or ends else ""
    if damaged:
        return f"{packing.name}{around}, damaged or cut off; download or copy it again"
    command = "tar -xf" if _is_tar(inner) else packing.command
    return f"{packing.name}{around}; unpack it first: {command} {_quoted(path)}"


def zip_in_words(path: Path) -> str:
    """Return what is packed in the zip file at `path`, and what to do; "" if PyTorch's reader can say more."""
    try:
        with DataFile(path) as archive:
            records = [info for info in directory(archive) if not info.is_dir()]
            first = _beginning(archive, records[0]) if len(records) == 1 else b""
    except (*FAILURES, *_FAILURES, NotImplementedError):
        return ""
    unpack = f"unpack it (unzip {_quoted(path)})"
    names = [info.filename for info in records]
    if len(names) == 1 and not names[0].endswith((".npy", "data.pkl")):
        inner = content_in_words(first)
        what = _shown(names[0]) if inner in _READ else "the file of the weights"
        return f"a zip file around {_shown(names[0])} ({inner}); {unpack} and give {what}"
    for ending, what in _AROUND:
        if any(f"/{name}".endswith(ending) for name in names):
            return f"a zip file around {what}; {unpack} and give the result"
    return ""


_READ = ("a PyTorch file", "an HDF5 file", "a safetensors file", "a MindSpore checkpoint")
# (end of a record's name, content of a zip file of several records)
_AROUND = (
    ("/saved_model.pb", "a TensorFlow SavedModel"),
    (".index", "a TensorFlow checkpoint"),
    (".mlmodel", "a Core ML model"),
    ("/[Content_Types].xml", "an Office document"),
)


def content_in_words(head: bytes) -> str:
    """Return what a file with these first bytes is, "a file" if that is not known; without what to do."""
    if not head:
        return "an empty file"
    if head.startswith(MAGIC):
        return "a PyTorch file" if begins_like_torch(head) else "a zip file"
    if is_legacy(head):
        return "a PyTorch file"
    if head.startswith(SIGNATURE):
        return "an HDF5 file"
    if is_safetensors(head[:16], int.from_bytes(head[:8], "little") + 8):
        return "a safetensors file"
    if is_mindspore(head[:512]) and not begins_graph(head):
        return "a MindSpore checkpoint"
    if _is_tar(head):
        return "a tar archive"
    kind = kind_of(Look(Path(), head, b"", len(head)), BY_CONTENT)
    return kind.name if kind else text_in_words(head, len(head)).partition(";")[0] or "a file"


def _is_tar(head: bytes) -> bool:
    return looks_like_archive(head) and not head.startswith(GZIP.magic)


def _beginning(archive: DataFile, info: zipfile.ZipInfo) -> bytes:
    """Return the first bytes of a record; b"" if it is packed in a way that is not unpacked here."""
    packed_otherwise = info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return b"\0" if packed_otherwise else bytes(read_record(archive, info, most=_OUTPUT))


def _quoted(path: Path) -> str:
    return shlex.quote(path.name)


def _shown(name: str) -> str:
    return name if name.isprintable() and len(name) <= 200 else ascii(name[:200])
