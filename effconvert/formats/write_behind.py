"""A file whose bytes are written by another thread, while the next ones are made."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any, BinaryIO

_MOST_WAITING = 8  # pieces of a megabyte


class WriteBehind:
    """The part of a binary file that writers of whole files use: they write in order, and seek to write again.

    What is written must not change afterwards. An error of the system is raised by one of the next calls.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = file.tell()
        self._waiting: Queue[tuple[Callable[..., Any], Any] | None] = Queue(_MOST_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="write behind", daemon=True)
        self._thread.start()

    def write(self, data: bytes | memoryview) -> int:
        """Write `data` soon; return its length."""
        self._put(self._file.write, data)
        self._position += len(data)
        return len(data)

    def writelines(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Write each of `pieces`."""
        for piece in pieces:
            self.write(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to `offset` from the start; return it."""
        if whence != os.SEEK_SET:
            raise ValueError("only from the start")
        self._put(self._file.seek, offset)
        self._position = offset
        return offset

    def tell(self) -> int:
        """Return the position after all that was asked for."""
        return self._position

    def seekable(self) -> bool:
        """Every file here is."""
        return True

    def flush(self) -> None:
        """Do nothing: `close` waits for everything."""

    def close(self) -> None:
        """Wait until everything is written. Raises what the system said."""
        self._waiting.put(None)
        self._thread.join()
        if self._error:
            raise self._error

    def give_up(self) -> None:
        """Leave out what is not written yet."""
        self._error = self._error or InterruptedError()
        self._waiting.put(None)
        self._thread.join()

    def _put(self, function: Callable[..., Any], argument: Any) -> None:
        if self._error:
            raise self._error
        self._waiting.put((function, argument))

    def _work(self) -> None:
        while task := self._waiting.get():
            function, argument = task
            del task
            try:
                if not self._error:
                    function(argument)
            except BaseException as error:
                self._error = error
            del argument


@contextmanager
def written_behind(file: BinaryIO) -> Iterator[BinaryIO]:
    """Give a file to write; at the end of the block everything is in `file`."""
    behind = WriteBehind(file)
    try:
        yield behind  # type: ignore[misc]
    except BaseException:
        behind.give_up()
        raise
    behind.close()
    file.flush()


@contextmanager
def synced(file: BinaryIO) -> Iterator[None]:
    """Let the system bring `file` to the disk during the block, and wait for it in the end. Raises OSError."""
    errors: list[OSError] = []

    def sync() -> None:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=sync, name="sync")
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if errors:
        raise errors[0]
