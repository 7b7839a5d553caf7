"""What a network has answered so far, in a file that grows with every batch and survives whatever ends the run.

The first line is JSON: what was evaluated and how. Records of a fixed size follow, each with a checksum, so that one
that was cut or damaged is known and computed again.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.atomic import lock, new_file, reported
from effconvert.errors import OutputProblem
from effconvert.validate.data.image_hashes import HASH_BYTES

Answers = NDArray[np.void]

# The image, by its place and its bytes; the fields of `Predictions` that are computed; a CRC-32 of the bytes before it.
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
    """Put a journal with `answers` at `path`, in one step in place of what is there. Raises OutputProblem."""
    with new_file(path, force=True) as (file, _):
        file.write(json.dumps(header, sort_keys=True).encode() + b"\n" + _with_checksums(answers).tobytes())


@contextmanager
def continued_journal(path: Path) -> Iterator[Callable[[Answers], None]]:
    """Give a function that adds answers [N] to the journal at `path`, which must be whole.

    It raises OutputProblem where they cannot be written; what was there before is still good then.
    """
    with reported(path):
        file = path.open("ab", buffering=0)
        with suppress(OSError):  # some file systems have no locks
            lock(file.fileno(), wait=True, shared=True)  # as long as it is open; see is_being_written

    def add(answers: Answers) -> None:
        try:
            left = memoryview(_with_checksums(answers).tobytes())
            while left:  # a disk that is nearly full takes a part, and complains the next time
                left = left[file.write(left) :]
        except OSError as error:
            words = "what was answered before is kept, and --resume goes on from there"
            raise OutputProblem(f"{path}: cannot be written: {error.strerror}; {words}") from error

    with file:
        yield add


def is_being_written(path: Path) -> bool:
    """Return whether a process is adding answers to the journal at `path`."""
    with reported(path), path.open("rb") as file, suppress(OSError):  # some file systems have no locks
        return not lock(file.fileno())
    return False


def read_journal(path: Path) -> tuple[dict[str, Any], Answers]:
    """Return the header and the whole answers of the journal at `path`; what was cut or damaged is left out.

    Raises OutputProblem for a file that is no journal.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST_HEADER)
            header = json.loads(line)
            data = file.read()
        if not line.endswith(b"\n") or not isinstance(header, dict):
            raise ValueError("no header")
    except (OSError, ValueError) as error:
        raise OutputProblem(f"{path}: not what an unfinished run leaves: {error}; --force begins anew") from error
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
