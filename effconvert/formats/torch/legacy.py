"""The format of torch.save before PyTorch 1.6, without a zip file: five pickles, then the storages.

The pickles are a magic number, the protocol, the machine of the writer, the value, and the keys of the storages in file
order; each storage is a count (int64) and its numbers. There are no checksums.
Source: torch/serialization.py (_legacy_save, _legacy_load) and torch/csrc/serialization.cpp (THPStorage_writeFileRaw).
"""

import re
from typing import Any

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.torch.pickle_reader import Pickle, read_pickle
from effconvert.formats.torch.tensors import PickleError, Storage
from effconvert.formats.torch.zip import Place, Stored

# The magic number as protocols 2 to 5 write it, the last two in a frame.
_START = re.compile(rb"\x80[\x02-\x05](\x95.{8})?\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\.", re.DOTALL)
_PROTOCOL = 1001
_COUNT = 8


def is_legacy(start: bytes) -> bool:
    """Return whether a file that begins with `start` has the format of torch.save before PyTorch 1.6."""
    return _START.match(start) is not None


def read_legacy(file: DataFile) -> Stored:
    """Read the pickles, and the count before each storage.

    Raises UnreadableCheckpoint if a storage does not fit the pickle or is cut off, PickleError for a bad pickle.
    """
    _, protocol, system, content, order = _pickles(file)
    if protocol.value != _PROTOCOL:
        raise PickleError(f"says that the file has the form {str(protocol.value)[:40]}, expected {_PROTOCOL}")
    if type(system.value) is not dict or system.value.get("little_endian") is not True:
        raise UnreadableCheckpoint(f"{file.path}: written on a big-endian machine, which is not supported")
    places = _places(file, _in_order(order.value, content.storages), order.end)
    return Stored("PyTorch before 1.6", content.value, content.names, places, None)


def _pickles(file: DataFile) -> list[Pickle]:
    found: list[Pickle] = []
    for _ in range(5):
        found.append(read_pickle(file, found[-1].end if found else 0, file.size))
    return found


def _in_order(keys: Any, storages: dict[str, Storage]) -> list[Storage]:
    if type(keys) is not list or not all(isinstance(key, str) for key in keys):
        raise PickleError("has no list of the storages that follow")
    if len(keys) != len(storages) or set(keys) != storages.keys():
        raise PickleError(f"names {len(storages):,} storages, but {len(keys):,} others follow")
    return [storages[key] for key in keys]


def _places(file: DataFile, storages: list[Storage], position: int) -> dict[str, Place]:
    places = {}
    for storage in storages:
        count = int.from_bytes(file.read(position, _COUNT), "little")
        position += _COUNT
        if count != storage.count or position + storage.nbytes > file.size:
            raise UnreadableCheckpoint(
                f"{file.path}: damaged or cut off: {count:,} numbers at byte {position:,}, where storage "
                f"{storage.key[:80]} has {storage.count:,} in {storage.nbytes:,} bytes (the file has {file.size:,})"
            )
        places[storage.key] = Place(position, storage.nbytes, None)
        position += storage.nbytes
    if position != file.size:
        raise UnreadableCheckpoint(f"{file.path}: {file.size - position:,} bytes follow the last storage")
    return places
