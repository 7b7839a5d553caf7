"""Metadata of a TensorFlow bundle, in a JSON file beside the index, because a bundle has no place for it.

It holds the SHA-256 of the index, and is ignored if the index has another: a training that continues writes a new one.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from effconvert.budget import Budget
from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.strict_json import parse_json, strings_in
from effconvert.hashing import file_sha256

NAME = "effconvert.json"
_INDEX = "index_sha256"
_LARGEST = 1 << 20


def write_sidecar(index: Path, metadata: Mapping[str, str]) -> None:
    """Write `metadata` beside `index`."""
    texts = {**metadata, _INDEX: file_sha256(index)}
    index.with_name(NAME).write_text(json.dumps(texts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_sidecar(index: Path) -> dict[str, str]:
    """Return the metadata that was written for `index`; empty if there is none, or if it is for another index."""
    path = index.with_name(NAME)
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        content = path.read_bytes()
        texts = strings_in(parse_json(content, Budget(path, len(content))), NAME)
    except (OSError, ValueError, RecursionError, UnreadableCheckpoint):
        return {}
    return texts if texts.pop(_INDEX, None) == file_sha256(index) else {}
