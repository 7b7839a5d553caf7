"""The safetensors format: a JSON header, then the bytes of every tensor; read by position.

Source: https://github.com/huggingface/safetensors, README "Format".
"""

import json
import reprlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from effconvert.errors import UnreadableCheckpoint, listing
from effconvert.formats.checkpoint import (
    BFLOAT16,
    Array,
    Checkpoint,
    DataFile,
    Late,
    Shape,
    TensorInfo,
    as_array,
    check_name,
    check_shape,
)
from effconvert.formats.pieces import Pieces, contents
from effconvert.formats.strict_json import check_characters, parse_json, strings_in, with_late

FORMAT = "safetensors"
_STEPS_OF_TENSOR = 12
_LARGEST_HEADER = 8 << 20  # the format allows 100 MB, which as JSON would take 2.5 GB of memory; L2 takes 0.2 MB

_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype(np.float32), "F16": np.dtype(np.float16), "BF16": BFLOAT16, "F64": np.dtype(np.float64),
    "I64": np.dtype(np.int64), "I32": np.dtype(np.int32), "I16": np.dtype(np.int16), "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64), "U32": np.dtype(np.uint32), "U16": np.dtype(np.uint16), "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_), "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
}  # fmt: skip
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


class SafetensorsCheckpoint(Checkpoint):
    """An open safetensors file; the format has no checksums, so `read` cannot notice a flipped bit."""

    format = FORMAT

    def __init__(self, path: Path) -> None:
        """Open the file. Raises UnreadableCheckpoint for a header that breaks a rule of the format."""
        super().__init__()
        self.path = path
        self.files = (path,)
        self.skipped: Mapping[str, str] = {}
        self._file = self.open_file(path)
        try:
            header, self._start = _read_header(self._file)
            self.metadata = _metadata(header.pop("__metadata__", {}), path)
            self._file.budget.step(_STEPS_OF_TENSOR * len(header))
            self.tensors, self._offsets = _tensors(header, self._file.size - self._start, path)
            if self.metadata.get("format") == "ms" and "crc_num" in self.metadata:
                self._check_mindspore_crc(self.metadata["crc_num"])
        except UnreadableCheckpoint:
            self.close()
            raise

    def _check_mindspore_crc(self, declared: str) -> None:
        """Verify the CRC-32 of names and data, names ascending (mindspore/train/serialization.py, _exec_save)."""
        found = 0
        for name in sorted(self.tensors):
            found = zlib.crc32(name.encode(), found)
            found = self._file.crc32(self._start + self._offsets[name], self.tensors[name].nbytes, found)
        if str(found) != declared:
            raise UnreadableCheckpoint(f"{self.path}: damaged: its CRC-32 is {found}, expected {declared[:80]}")

    def checksum(self, name: str) -> int:
        return self._file.checksum(self._start + self._offsets[name], self.tensors[name].nbytes)

    def read(self, name: str) -> Array:
        info = self.tensors[name]
        return as_array(self._file.read(self._start + self._offsets[name], info.nbytes), info)


def write_safetensors(
    file: BinaryIO,
    infos: Sequence[TensorInfo],
    arrays: Iterable[Array | Pieces],
    metadata: Mapping[str, str],
    late: Late,
) -> None:
    """Write `arrays`, which `infos` describe in order, header first; `late` is asked after the last tensor."""
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    offset = 0
    for info in infos:
        end = offset + info.nbytes
        header[info.name] = {"dtype": _CODES[info.dtype], "shape": list(info.shape), "data_offsets": [offset, end]}
        offset = end
    content = json.dumps(header, separators=(",", ":"), ensure_ascii=False)
    content += " " * (-len(content.encode()) % 8)
    file.write(len(content.encode()).to_bytes(8, "little") + content.encode())
    for _, pieces in contents(infos, arrays):
        file.writelines(pieces)
    file.seek(8)
    file.write(with_late(content, late).encode())


def library_problems(path: Path, infos: Sequence[TensorInfo], metadata: Mapping[str, str]) -> list[str]:
    """Return the differences that the safetensors library finds in the header of `path`."""
    import safetensors

    problems = []
    with safetensors.safe_open(path, "np") as file:
        if set(file.keys()) != {info.name for info in infos}:
            return ["the safetensors library finds other tensors"]
        for info in infos:
            view = file.get_slice(info.name)
            found = (tuple(view.get_shape()), view.get_dtype())
            if found != (info.shape, _CODES[info.dtype]):
                problems.append(f"{info.name}: the safetensors library finds {found[1]} {found[0]}")
        if file.metadata() != dict(metadata):
            problems.append("the safetensors library finds other metadata")
    return problems


def is_safetensors(start: bytes, size: int) -> bool:
    """Return whether a file of `size` bytes that begins with `start` (16 bytes) has the form of a safetensors file."""
    length = int.from_bytes(start[:8], "little")
    return len(start) > 8 and start[8:9] == b"{" and 2 <= length <= size - 8


def _read_header(file: DataFile) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(file.read(0, 8), "little")
    if length > _LARGEST_HEADER or length > file.size - 8:
        raise UnreadableCheckpoint(f"{file.path}: its header declares {length:,} bytes, but the file has {file.size:,}")
    try:
        header = parse_json(file.read(8, length), file.budget, unique=True)
    except (ValueError, RecursionError) as error:
        raise UnreadableCheckpoint(f"{file.path}: the header is not the JSON of safetensors: {error}") from error
    if not isinstance(header, dict):
        raise UnreadableCheckpoint(f"{file.path}: the header is not a JSON object")
    return header, 8 + length


def _metadata(value: Any, path: Path) -> dict[str, str]:
    try:
        strings = strings_in(value, "__metadata__")
        check_characters(strings)
    except UnicodeEncodeError as error:
        raise UnreadableCheckpoint(f"{path}: __metadata__ holds half a character: {error.reason}") from error
    except ValueError as error:
        raise UnreadableCheckpoint(f"{path}: {error}") from error
    return strings


def _tensors(header: dict[str, Any], size: int, path: Path) -> tuple[dict[str, TensorInfo], dict[str, int]]:
    """Return the tensors and the start of each, in the order of the data, which they must cover without gaps."""
    problems = []
    spans = {}
    infos = {}
    for name, entry in header.items():
        check_name(name, path)
        try:
            dtype, shape, begin, end = _parse_entry(entry)
        except (KeyError, TypeError, ValueError):
            problems.append(f"{name}: {reprlib.repr(entry)} does not describe a tensor")
            continue
        infos[name] = TensorInfo(name, shape, dtype)
        spans[name] = (begin, end)
        if end - begin != infos[name].nbytes:
            problems.append(f"{name}: {end - begin:,} bytes, but shape {shape} of {dtype} takes {infos[name].nbytes:,}")
    order = sorted(spans, key=lambda name: spans[name])
    position = 0
    for name in order:
        if spans[name][0] != position:
            problems.append(f"{name}: begins at byte {spans[name][0]:,}, expected {position:,}")
        position = spans[name][1]
    if position != size and not problems:
        problems.append(f"the tensors take {position:,} bytes, but the file has {size:,}")
    if problems:
        raise UnreadableCheckpoint(listing(f"{path}: the file is damaged or cut off:", problems))
    return {name: infos[name] for name in order}, {name: spans[name][0] for name in order}


def _parse_entry(entry: Any) -> tuple[np.dtype[Any], Shape, int, int]:
    """Return dtype, shape, begin and end. Raises KeyError, TypeError or ValueError for anything else."""
    dtype, shape, offsets = _DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    if not isinstance(shape, list) or not isinstance(offsets, list):
        raise TypeError("shape and data_offsets must be lists")
    if not all(type(number) is int and 0 <= number < 1 << 63 for number in (*shape, *offsets)):
        raise ValueError("a number is negative, fractional or too large")
    check_shape(tuple(shape), dtype)
    begin, end = offsets
    return dtype, tuple(shape), begin, end
