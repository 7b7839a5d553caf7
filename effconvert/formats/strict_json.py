"""JSON in checkpoints and beside them: limited file size, no duplicate names, metadata as strings."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from effconvert.budget import OBJECT, Budget
from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import Late, read_whole

_LARGEST = 8 << 20  # 21,000 classes with their names take 2 MB


def read_json_object(path: Path, largest: int = _LARGEST) -> dict[str, Any]:
    """Return the JSON object in the file at `path`, such as a config.json. Raises UnreadableCheckpoint for all else.

    largest: the number of bytes that may be read.
    """
    content = read_whole(path, largest, ", more than any configuration has")
    try:
        values = parse_json(content, Budget(path, len(content)))
    except (ValueError, RecursionError) as error:
        raise UnreadableCheckpoint(f"{path}: not JSON: {error}") from error
    if not isinstance(values, dict):
        raise UnreadableCheckpoint(f"{path}: not a JSON object")
    return values


def parse_json(content: bytes | str, budget: Budget, unique: bool = False) -> Any:
    """Parse JSON in UTF-8, after drawing the values that it holds on `budget`: one byte can be a hundred in memory.

    unique: no object may have a name twice. Raises ValueError or RecursionError if `content` is not JSON, or has a
    duplicate name; the error of the budget if it holds too much.
    """
    text = content if isinstance(content, str) else content.decode()  # json would accept UTF-16 too
    budget.draw(len(text) + OBJECT * _values_in(text), "the JSON in it")
    return json.loads(text, object_pairs_hook=_unique if unique else None)


def _values_in(text: str) -> int:
    """Return how many values JSON holds at most, an object with a value counted as three."""
    return sum(map(text.count, "[{{,:"))


def strings_in(value: Any, what: str) -> dict[str, str]:
    """Return `value`, an object of strings. Raises ValueError for anything else; `what` names it."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError(f"{what} is not an object of strings")
    return value


def check_characters(strings: Mapping[str, str]) -> None:
    """Raise UnicodeEncodeError, a ValueError, for half a character among keys and values."""
    "".join((*strings, *strings.values())).encode()


def metadata_text(metadata: Mapping[str, str], late: Late, ensure_ascii: bool = False) -> str:
    """Return `metadata` as JSON, with the values of `late` in place of its placeholders."""
    text = json.dumps(dict(metadata), sort_keys=True, ensure_ascii=ensure_ascii)
    return with_late(text, late)


def with_late(text: str, late: Late) -> str:
    """Return `text` with the values of `late` in place of its placeholders, which have the same length."""
    for placeholder, known in late().items():
        text = text.replace(placeholder, known)
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"{name[:80]!r} is a duplicate name")
    return result
