"""Files of torch.save and pickle.dump: a pickle that describes tensors, and their bytes; read without torch.

Source: torch/serialization.py (_save) and caffe2/serialize/inline_container.cc.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import crc32c
import numpy as np

from effconvert.errors import UnreadableCheckpoint, listing
from effconvert.formats.checkpoint import Array, Checkpoint, DataFile, Late, Shape, TensorInfo, as_array
from effconvert.formats.pieces import Pieces, contents
from effconvert.formats.strict_json import metadata_text
from effconvert.formats.torch.arrays import read_data
from effconvert.formats.torch.content import find_content
from effconvert.formats.torch.legacy import is_legacy, read_legacy
from effconvert.formats.torch.objects import merged
from effconvert.formats.torch.pickle_reader import read_pickle
from effconvert.formats.torch.tensors import STORAGES, PickleError, Tensor, is_contiguous, is_whole
from effconvert.formats.torch.zip import METADATA_RECORD, Place, Stored, compare, read_zip, verify
from effconvert.formats.zip_directory import MAGIC

_ALIGNMENT = 64
_LOCAL_HEADER = 30
_LONGEST_START = 64
_PIECE_OF_DCP = ".distcp"  # it may look like a whole file: torch.save writes tensors one by one into it
_EPOCH = (1980, 1, 1, 0, 0, 0)

_CODES = {dtype: code for code, dtype in STORAGES.items()}


class TorchCheckpoint(Checkpoint):
    """An open file of torch.save, in a zip file or in the form before PyTorch 1.6, or of pickle.dump.

    Names of nested levels are joined by `/`. `read` verifies the CRC-32 of the tensor's storage, which only zip files
    have. The metadata is this project's own, or else the short values beside the tensors.
    """

    nested = True

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises UnreadableCheckpoint if it is damaged, asks to run code, or does not hold a dict of tensors.
        """
        super().__init__()
        self.path = path
        self.files = (path,)
        if path.suffix == _PIECE_OF_DCP:
            reason = "a piece of a checkpoint of torch.distributed.checkpoint, without the names of its tensors"
            raise UnreadableCheckpoint(f"{path}: {reason}; {merged(path.parent)}")
        self._file = self.open_file(path)
        try:
            stored = _read(self._file)
            content = find_content(stored.value, path, self._file.budget, stored.names)
            self._check_places(content.tensors, stored.places)
        except PickleError as error:
            self.close()
            raise UnreadableCheckpoint(f"{path}: its pickle {error}") from error
        except UnreadableCheckpoint:
            self.close()
            raise
        self.format = stored.format
        self.skipped = content.skipped
        self.withheld = content.withheld
        self.metadata = content.texts if stored.metadata is None else stored.metadata
        self.tensors = {name: TensorInfo(name, tensor.shape, tensor.dtype) for name, tensor in content.tensors.items()}
        self._tensors = content.tensors
        self._places = stored.places
        self._verified: set[str] = set()

    def checksum(self, name: str) -> int:
        tensor = self._tensors[name]
        if not is_whole(tensor) or tensor.storage.data is not None:
            return super().checksum(name)
        place = self._places[tensor.storage.key]
        found, verified = 0, 0
        for piece in self._file.pieces(place.position, place.size):
            found, verified = crc32c.crc32c(piece, found), zlib.crc32(piece, verified)
        compare(self._file, place, f"data/{tensor.storage.key}", verified)
        return found

    def read(self, name: str) -> Array:
        tensor, info = self._tensors[name], self.tensors[name]
        data = self._read_bytes(tensor) if tensor.storage.data is None else read_data(self._file, tensor.storage)
        if is_contiguous(tensor):
            return as_array(data, info)
        strides = tuple(stride * info.dtype.itemsize for stride in tensor.strides)
        view = np.lib.stride_tricks.as_strided(np.frombuffer(data, info.dtype), tensor.shape, strides, writeable=False)
        array = np.ascontiguousarray(view).reshape(tensor.shape)
        array.flags.writeable = False
        return array

    def _read_bytes(self, tensor: Tensor) -> bytes:
        """Return the verified bytes of the tensor, from its first element to its last."""
        key = tensor.storage.key
        place = self._places[key]
        if not is_whole(tensor) and key not in self._verified:
            verify(self._file, place, f"data/{key}")
            self._verified.add(key)
        data = self._file.read(place.position + tensor.begin, tensor.span)
        if is_whole(tensor):
            compare(self._file, place, f"data/{key}", zlib.crc32(data))
        return data

    def _check_places(self, tensors: Mapping[str, Tensor], places: Mapping[str, Place]) -> None:
        problems = []
        for name, tensor in tensors.items():
            if tensor.storage.data is not None:
                continue
            place = places.get(tensor.storage.key)
            if place is None:
                problems.append(f"the data of {name} is missing (record data/{tensor.storage.key})")
            elif place.size != tensor.storage.nbytes:
                problems.append(f"the data of {name} takes {place.size:,} bytes, expected {tensor.storage.nbytes:,}")
        if problems:
            raise UnreadableCheckpoint(listing(f"{self.path}: not a file that torch.save wrote whole:", problems))


def _read(file: DataFile) -> Stored:
    start = file.read(0, min(file.size, _LONGEST_START))
    if start.startswith(MAGIC):
        return read_zip(file)
    return read_legacy(file) if is_legacy(start) else _read_plain(file)


def _read_plain(file: DataFile) -> Stored:
    """Read a file of pickle.dump, with numpy arrays in the pickle itself."""
    pickle = read_pickle(file, 0, file.size)
    if pickle.end != file.size:
        raise UnreadableCheckpoint(f"{file.path}: {file.size - pickle.end:,} bytes follow the pickle")
    return Stored("Python pickle", pickle.value, pickle.names, {}, None)


def write_torch(
    file: BinaryIO,
    infos: Sequence[TensorInfo],
    arrays: Iterable[Array | Pieces],
    metadata: Mapping[str, str],
    late: Late,
) -> None:
    """Write `arrays`, which `infos` describe in order, as the flat state dict that `torch.load` returns.

    `metadata` becomes a separate record, which torch ignores; `late` is asked after the last tensor.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _add_text(archive, "data.pkl", _state_dict_pickle(infos))
        _add_text(archive, ".format_version", b"1")
        _add_text(archive, ".storage_alignment", str(_ALIGNMENT).encode())
        _add_text(archive, "byteorder", b"little")
        for key, (info, pieces) in enumerate(contents(infos, arrays)):
            _add(archive, f"data/{key}", info.nbytes, pieces)
        _add_text(archive, "version", b"3\n")
        _add_text(archive, METADATA_RECORD, metadata_text(metadata, late).encode())


def _add_text(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    _add(archive, name, len(content), [content])


def _add(archive: zipfile.ZipFile, name: str, size: int, pieces: Iterable[bytes | memoryview]) -> None:
    """Add a record of `size` bytes at a multiple of 64 bytes, as torch does, so that it can be mapped."""
    info = zipfile.ZipInfo(f"archive/{name}", _EPOCH)
    assert archive.fp is not None
    start = archive.fp.tell() + _LOCAL_HEADER + len(info.filename) + 4
    padding = -start % _ALIGNMENT
    info.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
    info.file_size = size
    with archive.open(info, "w") as record:
        record.writelines(pieces)
    info.extra = b""  # the central directory needs no padding


def _state_dict_pickle(infos: Sequence[TensorInfo]) -> bytes:
    """Return the pickle, protocol 2, of an OrderedDict of contiguous tensors; storage n holds tensor n."""
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
