"""PyTorch's zip format: a pickle that names tensors, and one stored record for each storage; no torch needed.

Source: torch/serialization.py (_save) and caffe2/serialize/inline_container.cc.
"""

import io
import json
import math
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import crc32c
import numpy as np

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import Array, Checkpoint, Late, Shape, TensorInfo, check_name, contents
from effconvert.formats.torch_pickle import STORAGES, PickleError, Tensor, is_whole, load

FORMAT = "PyTorch zip"
METADATA_RECORD = "effconvert.json"
_ALIGNMENT = 64
_PIECE = 1 << 20
_LOCAL_HEADER = 30
_LARGEST_PICKLE = 64 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
# What zipfile and json let through on archives made to break them, such as UnicodeDecodeError and RecursionError.
_FAILURES = (zipfile.BadZipFile, EOFError, OSError, KeyError, OverflowError, RuntimeError, ValueError, struct.error)

_CODES = {dtype: code for code, dtype in STORAGES.items()}


class TorchCheckpoint(Checkpoint):
    """An open zip file of torch.save. `read` verifies the record's CRC-32."""

    format = FORMAT

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises UnreadableCheckpoint when it is damaged, asks for code to be run, or is not a dict of tensors.
        """
        super().__init__()
        self.path = path
        self.files = (path,)
        self.skipped: Mapping[str, str] = {}
        try:
            self._size = path.stat().st_size
            self._archive = zipfile.ZipFile(path)
            self.on_close(self._archive.close)
            self._root = _root(self._archive, path)
            if self._has("byteorder") and self._record("byteorder", _LARGEST_PICKLE) != b"little":
                raise UnreadableCheckpoint(f"{path}: written on a big-endian machine, which is not supported")
            self._tensors = _named_tensors(self._record("data.pkl", _LARGEST_PICKLE), path)
            extra = self._record(METADATA_RECORD, _LARGEST_PICKLE) if self._has(METADATA_RECORD) else b"{}"
            self.metadata = _parse_metadata(extra)
        except UnreadableCheckpoint:
            self.close()
            raise
        except _FAILURES as error:
            self.close()
            raise UnreadableCheckpoint(f"{path}: not a file that torch.save wrote whole: {str(error)[:500]}") from error
        self.tensors = {
            name: TensorInfo(name, tensor.shape, tensor.storage.dtype) for name, tensor in self._tensors.items()
        }
        self._check_storages()

    def checksum(self, name: str) -> int:
        tensor = self._tensors[name]
        if not is_whole(tensor):
            return super().checksum(name)
        record = f"data/{tensor.storage.key}"
        missing, found = self._info(record, None).file_size, 0
        try:
            with self._archive.open(f"{self._root}/{record}") as file:
                while piece := file.read(_PIECE):
                    found = crc32c.crc32c(piece, found)
                    missing -= len(piece)
        except _FAILURES as error:
            raise UnreadableCheckpoint(f"{self.path}: record {record} is damaged: {str(error)[:500]}") from error
        if missing:
            raise UnreadableCheckpoint(f"{self.path}: record {record} ends {missing:,} bytes early")
        return found

    def read(self, name: str) -> Array:
        tensor = self._tensors[name]
        data = self._record(f"data/{tensor.storage.key}", None)
        flat = np.frombuffer(data, tensor.storage.dtype)[tensor.offset :]
        strides = tuple(stride * flat.itemsize for stride in tensor.strides)
        view = np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)
        array = np.ascontiguousarray(view).reshape(tensor.shape)
        array.flags.writeable = False
        return array

    def _has(self, name: str) -> bool:
        return f"{self._root}/{name}" in self._archive.NameToInfo

    def _info(self, name: str, limit: int | None) -> zipfile.ZipInfo:
        info = self._archive.getinfo(f"{self._root}/{name}")
        if info.compress_type != zipfile.ZIP_STORED:
            raise UnreadableCheckpoint(f"{self.path}: record {name} is compressed; torch.save stores")
        if limit is not None and info.file_size > limit:
            raise UnreadableCheckpoint(f"{self.path}: record {name} declares {info.file_size:,} bytes")
        # zipfile gives a record that is shorter than declared without a word.
        if info.file_size != info.compress_size or info.header_offset + info.file_size > self._size:
            raise UnreadableCheckpoint(f"{self.path}: record {name} has not the {info.file_size:,} bytes it declares")
        return info

    def _record(self, name: str, limit: int | None) -> bytes:
        info = self._info(name, limit)
        try:
            data = self._archive.read(info)
        except _FAILURES as error:
            raise UnreadableCheckpoint(f"{self.path}: record {name} is damaged: {str(error)[:500]}") from error
        if len(data) != info.file_size:
            raise UnreadableCheckpoint(f"{self.path}: record {name} ends {info.file_size - len(data):,} bytes early")
        return data

    def _check_storages(self) -> None:
        for name, tensor in self._tensors.items():
            storage = tensor.storage
            record = self._archive.NameToInfo.get(f"{self._root}/data/{storage.key}")
            if record is None or record.file_size != storage.count * storage.dtype.itemsize:
                self.close()
                raise UnreadableCheckpoint(f"{self.path}: the data of {name} is missing or not of the declared size")


def write_torch(
    file: BinaryIO, infos: Sequence[TensorInfo], arrays: Iterable[Array], metadata: Mapping[str, str], late: Late
) -> None:
    """Write `arrays`, which `infos` describe in order, as the flat state dict that `torch.load` returns.

    `metadata` becomes a record of its own, which torch ignores; `late` is asked after the last tensor.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "data.pkl", _state_dict_pickle(infos))
        _add(archive, ".format_version", b"1")
        _add(archive, ".storage_alignment", str(_ALIGNMENT).encode())
        _add(archive, "byteorder", b"little")
        for key, (_, data) in enumerate(contents(infos, arrays)):
            _add(archive, f"data/{key}", data)
        _add(archive, "version", b"3\n")
        content = json.dumps(dict(metadata), sort_keys=True, ensure_ascii=False)
        for placeholder, text in late().items():
            content = content.replace(placeholder, text)
        _add(archive, METADATA_RECORD, content.encode())


def _add(archive: zipfile.ZipFile, name: str, content: bytes | memoryview) -> None:
    """Add a record whose bytes begin at a multiple of 64, as torch writes them so that it can map them."""
    info = zipfile.ZipInfo(f"archive/{name}", _EPOCH)
    assert archive.fp is not None
    start = archive.fp.tell() + _LOCAL_HEADER + len(info.filename) + 4
    padding = -start % _ALIGNMENT
    info.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
    archive.writestr(info, content)
    info.extra = b""  # the central directory needs no padding


def _parse_metadata(content: bytes) -> dict[str, str]:
    texts = json.loads(content)
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"{METADATA_RECORD} is not an object of texts")
    return texts


def _state_dict_pickle(infos: Sequence[TensorInfo]) -> bytes:
    """Return the pickle, protocol 2, of an OrderedDict of contiguous tensors, storage n holding tensor n."""
    out = io.BytesIO()
    out.write(b"\x80\x02ccollections\nOrderedDict\n)R(")
    for key, info in enumerate(infos):
        strides = tuple(math.prod(info.shape[axis + 1 :]) for axis in range(len(info.shape)))
        out.write(_text(info.name) + b"ctorch._utils\n_rebuild_tensor_v2\n((")
        out.write(_text("storage") + f"ctorch\n{_CODES[info.dtype]}\n".encode() + _text(str(key)) + _text("cpu"))
        out.write(_integer(math.prod(info.shape)) + b"tQ" + _integer(0))
        out.write(_integers(info.shape) + _integers(strides) + b"\x89ccollections\nOrderedDict\n)RtR")
    out.write(b"u.")
    return out.getvalue()


def _text(text: str) -> bytes:
    content = text.encode()
    return b"X" + len(content).to_bytes(4, "little") + content


def _integer(value: int) -> bytes:
    if value < 1 << 31:
        return b"J" + value.to_bytes(4, "little")
    return b"\x8a\x08" + value.to_bytes(8, "little")


def _integers(values: Shape) -> bytes:
    return b"(" + b"".join(_integer(value) for value in values) + b"t"


def _root(archive: zipfile.ZipFile, path: Path) -> str:
    roots = [name.removesuffix("/data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(roots) != 1 or len(set(archive.namelist())) != len(archive.namelist()):
        raise UnreadableCheckpoint(f"{path}: a zip file, but not one that torch.save wrote (no single data.pkl)")
    return roots[0]


def _named_tensors(content: bytes, path: Path) -> dict[str, Tensor]:
    try:
        value = load(content)
    except PickleError as error:
        raise UnreadableCheckpoint(f"{path}: data.pkl {error}") from error
    if not isinstance(value, dict) or not value:
        raise UnreadableCheckpoint(f"{path}: holds {type(value).__name__}, not a dict of tensors")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise UnreadableCheckpoint(
                f"{path}: {str(name)[:80]!r} is {type(tensor).__name__}; a flat dict of tensors is read"
            )
        check_name(name, path)
    return value
