"""The saved corpus of a target: few small inputs that reach all lines which are known to be reached."""

import random
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from helpers.fuzzing.execution import Tally
from helpers.fuzzing.target import Target
from helpers.places import PROJECT, TESTS

SAVED = TESTS / "fuzz" / "corpus"
_LARGEST = 24_000  # bytes of one corpus, before it is packed
_SOURCES = (str(PROJECT / "effconvert"), str(PROJECT / "validate"))
_DATE = (2020, 1, 1, 0, 0, 0)

Line = tuple[str, int]


def load(target: Target) -> list[bytes]:
    """Return the saved corpus of a target; empty if there is none."""
    path = SAVED / f"{target.name}.zip"
    if not path.exists():
        return []
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist()]


def save(target: Target, inputs: Sequence[bytes]) -> Path:
    """Save a corpus, the same bytes for the same inputs."""
    SAVED.mkdir(parents=True, exist_ok=True)
    path = SAVED / f"{target.name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, content in enumerate(inputs):
            archive.writestr(zipfile.ZipInfo(f"{number:03d}", _DATE), content, zipfile.ZIP_DEFLATED)
    return path


def minimised(target: Target, inputs: Iterable[bytes], largest: int = _LARGEST) -> list[bytes]:
    """Return the smallest of `inputs` that together reach every line of the project that they reach, up to a size."""
    reached: set[Line] = set(lines_of(target, random.Random(0).randbytes(20)))
    kept: list[bytes] = []
    left = largest
    for content in sorted(set(inputs), key=lambda one: (len(one), one)):
        if len(content) > left:
            continue
        if fresh := lines_of(target, content) - reached:
            reached |= fresh
            kept.append(content)
            left -= len(content)
    return kept


def lines_of(target: Target, content: bytes) -> set[Line]:
    """Return the lines of effconvert that are run for an input."""
    found: set[Line] = set()

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        found.add((frame.f_code.co_filename, frame.f_lineno))
        return on_line

    def on_call(frame: FrameType, event: str, _: Any) -> Any:
        return on_line if frame.f_code.co_filename.startswith(_SOURCES) else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        Tally(target).run(content)
    finally:
        sys.settrace(before)
    return found
