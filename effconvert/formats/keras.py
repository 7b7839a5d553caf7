"""Keras's files: HDF5 weights and models of Keras 2 and 3, `.weights.h5`, and `.keras`; no Keras needed.

Sources: keras/src/legacy/saving/legacy_h5_format.py and keras/src/saving/saving_lib.py.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import Array, Checkpoint, DataFile, TensorInfo, as_array, check_name
from effconvert.formats.hdf5 import Group, find_signature, read_tree
from effconvert.formats.hdf5_messages import Hdf5Error
from effconvert.formats.keras_archive import CONFIG_RECORD, WEIGHTS_RECORD
from effconvert.formats.keras_facts import graph_facts
from effconvert.formats.keras_graph import Config, Normalization, find_normalization
from effconvert.formats.keras_names import named_datasets

METADATA_ATTRIBUTE = "effconvert"
_LARGEST_TEXT = 32 << 20  # B7's config.json takes 1 MB
_PIECE = 1 << 20
_LOCAL_HEADER = 30
# What zipfile and json let through on archives made to break them, such as UnicodeDecodeError and RecursionError.
_FAILURES = (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, OverflowError, RuntimeError, ValueError)


class KerasCheckpoint(Checkpoint):
    """An open file of Keras.

    Tensors are named `layer/variable` as Keras 3 names them, a model inside a model like one that stands alone. A
    `.weights.h5` of Keras before 3.6 does not name its layers, only their classes: its tensors are `conv2d_1/kernel`.
    A classifier that a user put on the network is called `predictions` as well (keras_classifier.py).
    HDF5 has no checksums, so `read` cannot notice a flipped bit; a `.keras` file has one for all weights, verified
    when it is opened.
    """

    def __init__(self, path: Path) -> None:
        """Open the file. Raises UnreadableCheckpoint when it is damaged, or holds HDF5 that Keras does not write."""
        super().__init__()
        self.path = path
        self.files = (path,)
        self.skipped: dict[str, str] = {}
        self._file = DataFile(path)
        self.on_close(self._file.close)
        try:
            self._open()
        except UnreadableCheckpoint:
            self.close()
            raise
        except (Hdf5Error, struct.error, *_FAILURES) as error:
            self.close()
            raise UnreadableCheckpoint(f"{path}: not a file that Keras wrote whole: {str(error)[:500]}") from error

    def normalization(self) -> Normalization | None:
        """Return what the network does to pixels before its first convolution, None where the file does not tell.

        Raises UnreadableCheckpoint for damaged data.
        """
        return find_normalization(self, self._config)

    def graph_facts(self) -> Mapping[str, Any]:
        """Return the facts that the file's graph decides, none where it holds no graph.

        Raises LayoutMismatch where its layers are not alike, or are none of an EfficientNet.
        """
        return graph_facts(self._config, self.path) if self._config else {}

    def checksum(self, name: str) -> int:
        found = self._datasets[name]
        return self._file.checksum(found.offset, found.nbytes)

    def read(self, name: str) -> Array:
        found = self._datasets[name]
        return as_array(self._file.read(found.offset, found.nbytes), self.tensors[name])

    def _open(self) -> None:
        if self._file.read(0, 4) == b"PK\x03\x04":
            self.format = "Keras .keras"
            with zipfile.ZipFile(self.path) as archive:
                config = _text_record(archive, CONFIG_RECORD)
                start, size = self._weights(archive)
            root = read_tree(self._file, start, size)
        else:
            start = find_signature(self._file) or 0
            root = read_tree(self._file, start, self._file.size - start)
            self.format = "Keras HDF5 model" if "model_weights" in root.members else "Keras HDF5 weights"
            config = _attribute(root, "model_config")
        self._config = _parse_config(config) if config else None
        self.metadata = _parse_metadata(_attribute(root, METADATA_ATTRIBUTE) or "{}")
        found, self.skipped = named_datasets(root, self._config)
        self._datasets = dict(sorted(found.items(), key=lambda item: item[1].offset))
        self.tensors = {
            check_name(name, self.path): TensorInfo(name, dataset.shape, dataset.dtype)
            for name, dataset in self._datasets.items()
            if dataset.dtype is not None
        }

    def _weights(self, archive: zipfile.ZipFile) -> tuple[int, int]:
        """Return where the weights' HDF5 file lies in the archive, after comparing its CRC-32."""
        info = archive.getinfo(WEIGHTS_RECORD)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ValueError(f"its {WEIGHTS_RECORD} is compressed; Keras stores it as it is")
        header = self._file.read(info.header_offset, _LOCAL_HEADER)
        name_size, extra_size = struct.unpack_from("<HH", header, 26)
        start = info.header_offset + _LOCAL_HEADER + name_size + extra_size
        found = 0
        for at in range(start, start + info.file_size, _PIECE):
            found = zlib.crc32(self._file.read(at, min(_PIECE, start + info.file_size - at)), found)
        if found != info.CRC:
            raise ValueError(f"its {WEIGHTS_RECORD} has CRC-32 {found:08x}, the archive says {info.CRC:08x}")
        return start, info.file_size


def is_hdf5(path: Path) -> bool:
    """Return whether the file at `path` holds HDF5's signature where HDF5 looks for it."""
    file = DataFile(path)
    try:
        return find_signature(file) is not None
    finally:
        file.close()


def _text_record(archive: zipfile.ZipFile, name: str) -> str:
    info = archive.getinfo(name)
    if info.file_size > _LARGEST_TEXT:
        raise ValueError(f"its {name} declares {info.file_size:,} bytes")
    return archive.read(info).decode()


def _attribute(root: Group, name: str) -> str:
    text = root.attributes.get(name, "")
    if not isinstance(text, str):
        raise ValueError(f"its attribute {name} is no text")
    return text


def _parse_config(text: str) -> Config:
    config = json.loads(text)
    if not isinstance(config, dict):
        raise ValueError("its configuration is not a JSON object")
    return config


def _parse_metadata(text: str) -> Mapping[str, str]:
    texts = json.loads(text)
    if not isinstance(texts, dict) or not all(isinstance(value, str) for value in texts.values()):
        raise ValueError("its metadata is not an object of texts")
    return texts
