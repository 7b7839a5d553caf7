"""Temporary folders, which are removed also if the process was killed: by the next one that makes one."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from effconvert.errors import OutputProblem
from effconvert.locks import discard, lock, remove_unlocked

_PREFIX = "effconvert-work-"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder that only this user can read, and remove it in the end. Raises OutputProblem."""
    within = Path(tempfile.gettempdir())
    new = within / f".effconvert-new-{secrets.token_hex(8)}"  # it has its own name only when it is locked
    folder = within / f"{_PREFIX}{secrets.token_hex(8)}"
    try:
        remove_unlocked(entry for entry in within.iterdir() if entry.name.startswith(_PREFIX))
        new.mkdir(0o700)
        descriptor = os.open(new, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise OutputProblem(f"{within}: no temporary folder can be made in it: {error.strerror}") from error
    try:
        with suppress(OSError):  # a file system without locks
            lock(descriptor)
        new.rename(folder)
        yield folder
    finally:
        with suppress(OSError):  # what stays is removed by the next one
            discard(new)
            discard(folder)
        os.close(descriptor)
