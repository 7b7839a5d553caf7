"""Journal of a network's answers: a file that grows with every batch and survives a crash.

The first line is JSON: what is evaluated and how. Records of a fixed size follow, each with a checksum, so that a cut
or damaged record is recognised and computed again.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.atomic import new_file, reported
from effconvert.errors import OutputProblem
from effconvert.locks import lock
from effconvert.option_words import flag
from effconvert.validate.data.image_hashes import HASH_BYTES

Answers = NDArray[np.void]

# The image's id and hash; the computed fields of `Predictions`; a CRC-32 of the bytes before it.
ANSWER = np.dtype(
    [
        ("id", "<i8"),
        ("hash", "u1", (HASH_BYTES,)),
        ("top5", "<i4", (5,)),
        ("label_logit", "<f4"),
        ("margin", "<f4"),
        ("confidence", "<f4"),
        ("checksum", "<u4"),
    ]
)
_LONGEST_HEADER = 1 << 20


def begin_journal(path: Path, header: Mapping[str, Any], answers: Answers) -> None:
    """Write a journal with `answers` to `path`, atomically, replacing an old one. Raises OutputProblem."""
    with new_file(path, force=True) as (file, _):
        file.write(json.dumps(header, sort_keys=True).encode() + b"\n" + _with_checksums(answers).tobytes())


@contextmanager
def continued_journal(path: Path) -> Iterator[Callable[[Answers], None]]:
    """Give a function that appends answers [N] to the journal at `path`, which must not be damaged.

    It raises OutputProblem if they cannot be written; earlier answers stay valid.
    """
    with reported(path):
        file = path.open("ab", buffering=0)
        with suppress(OSError):  # some file systems have no locks
            lock(file.fileno(), wait=True, shared=True)  # held while open; see is_being_written

    def add(answers: Answers) -> None:
        try:
            left = memoryview(_with_checksums(answers).tobytes())
            while left:  # an almost full disk writes a part first, and fails at the next write
                left = left[file.write(left) :]
        except OSError as error:
            words = f"earlier answers are kept; {flag('resume')} continues from there"
            raise OutputProblem(f"{path}: cannot be written: {error.strerror}; {words}") from error

    with file:
        yield add


def is_being_written(path: Path) -> bool:
    """Return whether a process is adding answers to the journal at `path`."""
    with reported(path), path.open("rb") as file, suppress(OSError):  # some file systems have no locks
        return not lock(file.fileno())
    return False


def read_journal(path: Path) -> tuple[dict[str, Any], Answers]:
    """Return the header and the valid answers of the journal at `path`; cut or damaged records are left out.

    Raises OutputProblem for a file that is not a journal.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST_HEADER)
            header = json.loads(line)
            data = file.read()
        if not line.endswith(b"\n") or not isinstance(header, dict):
            raise ValueError("no header")
    except (OSError, ValueError) as error:
        raise OutputProblem(
            f"{path}: not the journal of an unfinished run: {error}; {flag('force')} starts again"
        ) from error
    whole = np.frombuffer(data[: len(data) // ANSWER.itemsize * ANSWER.itemsize], ANSWER)
    good = np.array([answer["checksum"] == _checksum(answer) for answer in whole], bool)
    return header, whole[good]


def _with_checksums(answers: Answers) -> Answers:
    answers = answers.copy()
    for answer in answers:
        answer["checksum"] = _checksum(answer)
    return answers


def _checksum(answer: np.void) -> int:
    return zlib.crc32(answer.tobytes()[: -ANSWER["checksum"].itemsize])
