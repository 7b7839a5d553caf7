"""Signatures of the known formats: bytes at the beginning or end of a file, never its name."""

import re
from contextlib import suppress
from enum import Enum
from pathlib import Path

from effconvert.formats.checkpoint import DataFile
from effconvert.formats.safetensors import is_safetensors
from effconvert.formats.tensorflow.index_files import TABLE_END
from effconvert.formats.zip_directory import FAILURES, MAGIC, read_directory

_GZIP = b"\x1f\x8b"
_PICKLE = b"\x80"  # of protocol 2 and later
_LOCAL_HEADER = 30  # bytes before the name of a zip file's first record
# Keras's zip files: the first record in a file of Keras, and the records that all have.
_FIRST_RECORD, _RECORDS = b"metadata.json", {"config.json", "model.weights.h5"}
# A header of 16 MB at most: a download that was cut off inside it is still recognised.
_CUT_SAFETENSORS = re.compile(rb'..[\x00-\xff]\x00{5}\{\s*"', re.DOTALL)
_BLOCK = 512


class Format(Enum):
    """A format of a file, or of what is in it."""

    TENSORFLOW = "an index of TensorFlow"
    SAFETENSORS = "safetensors"
    TORCH = "PyTorch's"
    KERAS = "Keras's"
    MINDSPORE = "MindSpore's"
    ONNX = "an ONNX model"
    JSON = "JSON, as an index of shards is"
    ARCHIVE = "a tar archive, also within gzip"


def format_of(path: Path) -> Format | None:
    """Return the format that the bytes of the file at `path` tell; None if it is not a known one."""
    start, end, size = _ends(path)
    if end == TABLE_END:
        return Format.TENSORFLOW
    if is_safetensors(start[:16], size) or _CUT_SAFETENSORS.match(start):
        return Format.SAFETENSORS
    if start.startswith(MAGIC):
        return _format_of_zip(path, start)
    return _format_of_other(path, start)


def _format_of_zip(path: Path, start: bytes) -> Format | None:
    from effconvert.formats.torch.zip import begins_like_torch

    if _is_keras_archive(path, start):
        return Format.KERAS
    if begins_like_torch(start):
        return Format.TORCH
    from effconvert.formats.compressed import zip_in_words

    return None if zip_in_words(path) else Format.TORCH


def _is_keras_archive(path: Path, start: bytes) -> bool:
    if start[_LOCAL_HEADER:].startswith(_FIRST_RECORD):
        return True
    with DataFile(path) as archive, suppress(*FAILURES):
        return read_directory(archive).keys() >= _RECORDS
    return False


# A format is imported only when a file may have it: each import takes some milliseconds.


def _format_of_other(path: Path, start: bytes) -> Format | None:
    if start.startswith(_PICKLE) and (form := _format_of_pickle(path, start)):
        return form
    if len(start) < _BLOCK and _is_text(start):  # as what TensorFlow writes beside its indices
        return Format.JSON if start.lstrip()[:1] == b"{" else None
    from effconvert.formats.compressed import packed_in_words
    from effconvert.formats.foreign.files import begins_graph, begins_onnx, is_old_tar
    from effconvert.formats.keras.file import is_hdf5
    from effconvert.formats.mindspore.file import is_mindspore

    if is_mindspore(start) and not begins_graph(start):
        return Format.MINDSPORE
    if begins_onnx(start):
        return Format.ONNX
    if start.lstrip()[:1] == b"{":
        return Format.JSON
    if start.startswith(_GZIP) or start[257:262] == b"ustar":
        return None if is_old_tar(start) or packed_in_words(path, start) else Format.ARCHIVE
    return Format.KERAS if is_hdf5(path) and not start.startswith(b"MATLAB") else None


def _format_of_pickle(path: Path, start: bytes) -> Format | None:
    from effconvert.formats.torch.legacy import is_legacy
    from effconvert.formats.torch.pickle_reader import is_pickle

    if is_legacy(start):
        return Format.TORCH
    if not is_pickle(start):
        return None
    from effconvert.formats.foreign.files import is_paddle

    return None if is_paddle(path) else Format.TORCH


def _is_text(start: bytes) -> bool:
    try:
        return start.decode().replace("\n", "").replace("\r", "").replace("\t", "").isprintable()
    except UnicodeDecodeError:
        return False


def _ends(path: Path) -> tuple[bytes, bytes, int]:
    """Return the first 512 bytes of a file, its last eight, and its size."""
    with path.open("rb") as file:
        start = file.read(_BLOCK)
        size = file.seek(0, 2)
        file.seek(max(0, size - len(TABLE_END)))
        return start, file.read(), size
