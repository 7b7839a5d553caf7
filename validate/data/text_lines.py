"""Text and JSON that belong to a data set: labels, classes, chosen images."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from effconvert.budget import ENTRY, Budget
from effconvert.errors import DatasetProblem
from effconvert.formats.strict_json import parse_json

_FACTOR = 8  # times the file: a line of 30 letters, as labels of ImageNet have, takes 300 bytes of memory when parsed


def read_lines(path: Path, what: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not empty, without the blanks around it.

    what: the contents in words, for messages. Raises DatasetProblem for a file that cannot be read or is not UTF-8, and
    for one of more short lines than its budget bears, each of which becomes a hundred times as large in memory.
    """
    try:
        size = path.stat().st_size
        budget = Budget(path, size, DatasetProblem)
        budget.allow(_FACTOR * size)
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line := line.strip():
                    budget.draw(ENTRY + 2 * len(line), f"its lines as {what}")
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetProblem(f"{path}: cannot be read as {what}: {error}") from error


def is_json(path: Path, what: str) -> bool:
    """Return whether a file is JSON by its first letter. Raises DatasetProblem if it cannot be read as `what`."""
    try:
        with path.open("rb") as file:
            return file.read(64).removeprefix(codecs.BOM_UTF8).lstrip().startswith((b"[", b"{"))
    except OSError as error:
        raise DatasetProblem(f"{path}: cannot be read as {what}: {error.strerror}") from error


def read_json(path: Path) -> Any:
    """Return the JSON in a file. Raises DatasetProblem for all else, and if it holds more than its budget bears."""
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
        return parse_json(content, Budget(path, len(content), DatasetProblem))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetProblem(f"{path}: not JSON: {error}") from error
