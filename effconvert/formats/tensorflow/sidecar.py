"""What this project says of a TensorFlow bundle, which has no place for it itself: a file of texts beside the index.

It holds the SHA-256 of the index and counts only as long as that is the one: a training that goes on writes another.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from effconvert.formats.strict_json import strings_in
from effconvert.hashing import file_sha256

NAME = "effconvert.json"
_INDEX = "index_sha256"
_LARGEST = 1 << 20


def write_sidecar(index: Path, metadata: Mapping[str, str]) -> None:
    """Write `metadata` beside `index`."""
    texts = {**metadata, _INDEX: file_sha256(index)}
    index.with_name(NAME).write_text(json.dumps(texts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_sidecar(index: Path) -> dict[str, str]:
    """Return the texts that were written for `index`, empty where there are none, or none for this index."""
    path = index.with_name(NAME)
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        texts = strings_in(json.loads(path.read_text(encoding="utf-8")), NAME)
    except (OSError, ValueError, RecursionError):
        return {}
    return texts if texts.pop(_INDEX, None) == file_sha256(index) else {}
