"""Sharded checkpoints: tensors in several files, and a JSON index with the file of each tensor.

Source: huggingface/transformers writes `model.safetensors.index.json` and `pytorch_model.bin.index.json`:
{"metadata": {"total_size": bytes}, "weight_map": {tensor: file beside the index}}.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from effconvert.budget import ENTRY
from effconvert.errors import UnreadableCheckpoint, listing
from effconvert.formats.checkpoint import Array, Checkpoint, DataFile, TensorInfo, check_name
from effconvert.formats.foreign.texts import json_in_words
from effconvert.formats.shards import is_plain, numbered
from effconvert.formats.strict_json import parse_json

_LARGEST_INDEX = 8 << 20  # B7's takes 0.1 MB
_MOST_SHARDS = 256  # each stays open


class ShardedCheckpoint(Checkpoint):
    """The shards of an index, open as one checkpoint; metadata is what is equal in all of them."""

    def __init__(self, path: Path, open_shard: Callable[[Path], Checkpoint]) -> None:
        """Open the index at `path` and, with `open_shard`, every file that it names.

        Raises UnreadableCheckpoint if the index is damaged, or if shards are missing, damaged, or hold other tensors
        than the index says.
        """
        super().__init__()
        self.path = path
        file = self.open_file(path)
        self._budget = file.budget  # also of the names in all shards together
        try:
            weight_map, total_size = _read_index(file)
            names = _shard_names(weight_map, path)
            self._shards = {name: self._open(path.with_name(name), open_shard) for name in names}
            _check_places(self._shards, weight_map, path)
            _check_size(self._shards, total_size, path)
        except UnreadableCheckpoint:
            self.close()
            raise
        shards = self._shards.values()
        self.format = f"{next(iter(shards)).format}, {len(names)} shards"
        self.files = (path, *(file for shard in shards for file in shard.files))
        self.tensors: Mapping[str, TensorInfo] = {n: info for shard in shards for n, info in shard.tensors.items()}
        self.skipped: Mapping[str, str] = {n: reason for shard in shards for n, reason in shard.skipped.items()}
        common = set.intersection(*(set(shard.metadata.items()) for shard in shards))
        self.metadata: Mapping[str, str] = dict(sorted(common))
        self._places = {name: shard for shard in shards for name in shard.tensors}

    def _open(self, path: Path, open_shard: Callable[[Path], Checkpoint]) -> Checkpoint:
        shard = open_shard(path)
        self.on_close(shard.close)
        self._states.update(shard.states)
        self._budget.allow(path.stat().st_size)
        self._budget.draw(
            sum(ENTRY + len(name) for name in (*shard.tensors, *shard.skipped)), "the names in its shards"
        )
        return shard

    def read(self, name: str) -> Array:
        return self._places[name].read(name)

    def checksum(self, name: str) -> int:
        return self._places[name].checksum(name)


def _read_index(file: DataFile) -> tuple[dict[str, str], int]:
    """Return {tensor: name of its shard}, and the number of bytes of all tensors, 0 if it is missing."""
    path = file.path
    content = file.whole(_LARGEST_INDEX, " of JSON, more than any index of shards has")
    try:
        index = parse_json(content, file.budget, unique=True)
    except (ValueError, RecursionError) as error:
        raise UnreadableCheckpoint(f"{path}: not the JSON of an index of shards: {error}") from error
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        words = "JSON without the weight_map of an index of shards; give the folder or the file of the weights"
        raise UnreadableCheckpoint(f"{path}: not a checkpoint but {json_in_words(index, len(content)) or words}")
    for name in weight_map:
        check_name(name, path)
    metadata = index.get("metadata")
    total_size = metadata.get("total_size") if isinstance(metadata, dict) else None
    return weight_map, total_size if isinstance(total_size, int) else 0


def _shard_names(weight_map: Mapping[str, Any], path: Path) -> list[str]:
    """Return the shards, sorted; each must be the plain name of a file beside the index."""
    bad = {repr(name)[:80] for name in weight_map.values() if not is_plain(name)}
    if bad:
        heading = f"{path}: names shards that are not plain names of files beside it:"
        raise UnreadableCheckpoint(listing(heading, sorted(bad)))
    names = sorted(set(weight_map.values()))
    if len(names) > _MOST_SHARDS:
        raise UnreadableCheckpoint(f"{path}: names {len(names):,} shards, at most {_MOST_SHARDS} are read")
    missing = [name for name in names if not path.with_name(name).is_file()]
    if missing:
        heading = f"{path}: {len(missing)} of its {len(names)} shards are not beside it:"
        raise UnreadableCheckpoint(listing(heading, missing))
    if unnamed := _unnamed(names):
        heading = f"{path}: the index is incomplete: the names of its shards tell that there are others:"
        raise UnreadableCheckpoint(listing(heading, unnamed))
    return names


def _unnamed(names: Sequence[str]) -> list[str]:
    """Return the missing shards, according to the numbers in `names`, such as 1 of 4."""
    said = [parts for name in names if (parts := numbered(name))]
    from_zero = any(not int(parts.number) for parts in said)
    expected = {name for parts in said for name in parts.names(0 if from_zero else 1)}
    return sorted(expected - set(names))


def _check_size(shards: Mapping[str, Checkpoint], total_size: int, path: Path) -> None:
    """Raise UnreadableCheckpoint if the index declares more bytes of tensors than the shards hold."""
    held = sum(info.nbytes for shard in shards.values() for info in shard.tensors.values())
    if total_size > held:
        raise UnreadableCheckpoint(
            f"{path}: the index is incomplete: it says that its tensors have {total_size:,} bytes, but the shards that "
            f"it names have {held:,}; get the whole index"
        )


def _check_places(shards: Mapping[str, Checkpoint], weight_map: Mapping[str, str], path: Path) -> None:
    """Raise UnreadableCheckpoint with every tensor that is not in exactly the shard given by the index."""
    holders: dict[str, list[str]] = {}
    for file, shard in shards.items():
        for name in (*shard.tensors, *shard.skipped):
            holders.setdefault(name, []).append(file)
    problems = []
    for name in dict.fromkeys((*weight_map, *holders)):
        found, expected = holders.get(name, []), weight_map.get(name)
        if expected is None:
            problems.append(f"{name}: in {', '.join(found)}, but not in the index")
        elif found != [expected]:
            problems.append(f"{name}: in {' and '.join(found) or 'no shard'}, expected in {expected}")
    if problems:
        raise UnreadableCheckpoint(listing(f"{path}: the shards do not hold what the index says:", problems))
