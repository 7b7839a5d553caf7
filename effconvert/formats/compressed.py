"""What is packed into a .gz, .xz, .bz2 or .zip file, told from the first bytes that come out of it.

At most 64 kB are unpacked, whatever a file says of itself.
"""

import bz2
import lzma
import shlex
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from effconvert.archive import looks_like_archive
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.foreign import BY_CONTENT, Look, begins_graph, in_words, kind_of
from effconvert.formats.foreign_text import text_in_words
from effconvert.formats.hdf5 import SIGNATURE
from effconvert.formats.mindspore import is_mindspore
from effconvert.formats.safetensors import is_safetensors
from effconvert.formats.torch_legacy import is_legacy
from effconvert.formats.torch_zip import FAILURES, MAGIC, begins_like_torch, directory

_INPUT = 1 << 20  # bzip2 packs blocks of 900 kB
_OUTPUT = 1 << 16
_MEMORY = 128 << 20  # that unpacking .xz may take: xz -9 needs 65 MiB
_SHOWN = 3
# Records of zip files that the reader of PyTorch's files names: torch.export, TorchScript, numpy.
_OF_TORCH = ("/archive_format", "serialized_exported_program.json", "/byteorder", "/data.pkl", ".npy", "/constants.pkl")


@dataclass(frozen=True)
class Packing:
    """A way of packing one file: how it begins, its name, the command that undoes it, and how its beginning is undone.

    unpack: returns up to 64 kB and whether that is all; raises what its library raises.
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
    """Return what the file at `path`, which no reader takes, is and what to do; "" where that is not known."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(MAGIC):
        return zip_in_words(path)
    return packed_in_words(path, start) or in_words(path)


def packed_in_words(path: Path, start: bytes) -> str:
    """Return what is packed into the file at `path`, which begins with `start`, and what to do.

    Returns "" for a gzip file around a tar archive, which is read, and for a file that is not packed, or damaged.
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
    damaged = not inner and not ends
    if packing is GZIP and (damaged or _is_tar(inner)):
        return ""
    if damaged:
        return f"{packing.name}, damaged or cut off; download or copy it again"
    command = "tar -xf" if _is_tar(inner) else packing.command
    return f"{packing.name} around {content_in_words(inner)}; unpack it first: {command} {_quoted(path)}"


def zip_in_words(path: Path) -> str:
    """Return what the zip file at `path` holds and what to do; "" where PyTorch's or Keras's reader says more."""
    archive = DataFile(path)
    try:
        records = [info for info in directory(archive) if not info.is_dir()]
        first = _beginning(path, records[0]) if len(records) == 1 else b""
    except (*FAILURES, *_FAILURES, NotImplementedError):
        return ""
    finally:
        archive.close()
    names = [info.filename for info in records]
    if any(f"/{name}".endswith(_OF_TORCH) for name in names):
        return ""
    if not names:
        return "a zip file of no files; download or copy it again"
    unpack = f"unpack it (unzip {_quoted(path)})"
    if len(names) == 1:
        inner = content_in_words(first)
        what = _shown(names[0]) if inner in _READ else "the file of the weights"
        return f"a zip file around {_shown(names[0])} ({inner}); {unpack} and give {what}"
    for ending, what in _ARCHIVES:
        if any(f"/{name}".endswith(ending) for name in names):
            return f"a zip file around {what}; {unpack} and give that"
    shown = ", ".join(_shown(name) for name in names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"a zip file of {len(names):,} files ({shown}); {unpack} and give the file of the weights"


_READ = ("a PyTorch file", "an HDF5 file", "a safetensors file", "a MindSpore checkpoint")
# {how a name in a zip file of several files ends: what the file holds}
_ARCHIVES = (
    ("/saved_model.pb", "a TensorFlow SavedModel"),
    (".index", "a TensorFlow checkpoint"),
    ("/MAR-INF/MANIFEST.json", "a model for TorchServe, with its weights"),
    (".mlmodel", "a Core ML model"),
    ("/[Content_Types].xml", "an Office document"),
    (".safetensors", "weights (.safetensors)"),
    (".pth", "weights (.pth)"),
    (".pt", "weights (.pt)"),
    (".h5", "weights (.h5)"),
    (".ckpt", "weights (.ckpt)"),
    (".bin", "weights (.bin)"),
)


def content_in_words(head: bytes) -> str:
    """Return what a file is that begins with `head`, without what to do: "a file" where that is not known."""
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


def _beginning(path: Path, info: zipfile.ZipInfo) -> bytes:
    """Return the first bytes of a record, of none whose unpacking may take much memory."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return b"\0"
    with zipfile.ZipFile(path) as archive, archive.open(info) as member:
        return member.read(_OUTPUT)


def _quoted(path: Path) -> str:
    return shlex.quote(path.name)


def _shown(name: str) -> str:
    return name if name.isprintable() and len(name) <= 200 else ascii(name[:200])
