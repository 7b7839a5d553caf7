"""PyTorch's zip format: a pickle that names tensors, and one stored record for each storage; no torch needed.

Source: torch/serialization.py (_save) and caffe2/serialize/inline_container.cc. The pickle is never run: its opcodes
and globals must be among the few that a dict of tensors takes.
"""

import io
import json
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import BFLOAT16, Array, Checkpoint, Late, Shape, TensorInfo, as_bytes, check_name

FORMAT = "PyTorch zip"
METADATA_RECORD = "effconvert.json"
_ALIGNMENT = 64
_LOCAL_HEADER = 30
_LARGEST_PICKLE = 64 << 20
_LARGEST_EXPANSION = 32 << 20  # numbers that a tensor with strides of 0 may have beyond its storage
_EPOCH = (1980, 1, 1, 0, 0, 0)

_STORAGES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype(np.float32), "HalfStorage": np.dtype(np.float16), "BFloat16Storage": BFLOAT16,
    "DoubleStorage": np.dtype(np.float64), "LongStorage": np.dtype(np.int64), "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16), "CharStorage": np.dtype(np.int8), "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}  # fmt: skip
_CODES = {dtype: code for code, dtype in _STORAGES.items()}
_OPCODES = frozenset(
    "PROTO STOP FRAME MARK POP POP_MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE "
    "SHORT_BINUNICODE EMPTY_DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS "
    "GLOBAL STACK_GLOBAL REDUCE BINPERSID BINPUT LONG_BINPUT BINGET LONG_BINGET MEMOIZE BUILD".split()
)


@dataclass(frozen=True)
class _Storage:
    """A record of the archive that holds `count` numbers."""

    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage: offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: Shape
    strides: Shape


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
            self._archive = zipfile.ZipFile(path)
            self.on_close(self._archive.close)
            self._root = _root(self._archive, path)
            self._tensors = _named_tensors(self._record("data.pkl", _LARGEST_PICKLE), path)
            extra = f"{self._root}/{METADATA_RECORD}" in self._archive.NameToInfo
            self.metadata = _parse_metadata(self._record(METADATA_RECORD, _LARGEST_PICKLE)) if extra else {}
        except UnreadableCheckpoint:
            self.close()
            raise
        except (zipfile.BadZipFile, OSError, ValueError, KeyError, NotImplementedError, RuntimeError) as error:
            self.close()
            raise UnreadableCheckpoint(f"{path}: not a file that torch.save wrote whole: {error}") from error
        self.tensors = {
            name: TensorInfo(name, tensor.shape, tensor.storage.dtype) for name, tensor in self._tensors.items()
        }
        self._check_storages()

    def read(self, name: str) -> Array:
        tensor = self._tensors[name]
        data = self._record(f"data/{tensor.storage.key}", None)
        flat = np.frombuffer(data, tensor.storage.dtype)[tensor.offset :]
        strides = tuple(stride * flat.itemsize for stride in tensor.strides)
        view = np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)
        return np.ascontiguousarray(view).reshape(tensor.shape)

    def _record(self, name: str, limit: int | None) -> bytes:
        info = self._archive.getinfo(f"{self._root}/{name}")
        if info.compress_type != zipfile.ZIP_STORED:
            raise UnreadableCheckpoint(f"{self.path}: record {name} is compressed; torch.save stores")
        if limit is not None and info.file_size > limit:
            raise UnreadableCheckpoint(f"{self.path}: record {name} declares {info.file_size:,} bytes")
        try:
            return self._archive.read(info)
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise UnreadableCheckpoint(f"{self.path}: record {name} is damaged: {error}") from error

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
        for key, (_, array) in enumerate(zip(infos, arrays, strict=True)):
            _add(archive, f"data/{key}", as_bytes(array))
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


def _named_tensors(content: bytes, path: Path) -> dict[str, _Tensor]:
    _check_opcodes(content, path)
    try:
        value = _Unpickler(content, path).load()
    except UnreadableCheckpoint:
        raise
    except Exception as error:  # a broken pickle raises whatever its next opcode trips over
        raise UnreadableCheckpoint(f"{path}: data.pkl is damaged: {type(error).__name__}: {error}") from error
    if not isinstance(value, dict) or not value:
        raise UnreadableCheckpoint(f"{path}: holds {type(value).__name__}, not a dict of tensors")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise UnreadableCheckpoint(f"{path}: {name!r} is {type(tensor).__name__}; a flat dict of tensors is read")
        check_name(name, path)
    return dict(value)


def _check_opcodes(content: bytes, path: Path) -> None:
    """Refuse opcodes that a dict of tensors never needs, and memo numbers that only serve to exhaust memory."""
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name not in _OPCODES:
                raise UnreadableCheckpoint(f"{path}: data.pkl uses {opcode.name}, which no dict of tensors needs")
            if opcode.name == "LONG_BINPUT" and (argument or 0) > len(content):
                raise UnreadableCheckpoint(f"{path}: data.pkl remembers an object under number {argument:,}")
    except ValueError as error:
        raise UnreadableCheckpoint(f"{path}: data.pkl is damaged: {error}") from error


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError("a tensor is not described by a storage and numbers")
    if len(shape) != len(strides):
        raise ValueError("a tensor has another number of sizes than of strides")
    last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if math.prod(shape) > storage.count + _LARGEST_EXPANSION:
        raise ValueError(f"a tensor of shape {tuple(shape)} repeats a storage of {storage.count:,}")
    if math.prod(shape) and offset + last >= storage.count:
        raise ValueError(f"a tensor of shape {tuple(shape)} reaches over its storage of {storage.count:,}")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Knows the four kinds of global that a dict of tensors takes and refuses every other by name."""

    def __init__(self, content: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(content))
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise UnreadableCheckpoint(f"{self.path}: asks for {module}.{name}; only tensors are read, no code is run")

    def persistent_load(self, reference: Any) -> _Storage:
        kind, dtype, key, _, count = reference
        if kind != "storage" or not isinstance(dtype, np.dtype) or type(count) is not int or count < 0:
            raise ValueError("a storage is not described by its type, key and size")
        if not isinstance(key, str) or not key.isprintable():
            raise ValueError("a storage has no key")
        return _Storage(key, dtype, count)
