"""Ctrl-C at any moment: one line that says what was written, and exit code 130."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SOON = 0.02  # seconds until an interruption is tried again
_interrupted = False


def was_interrupted() -> bool:
    """Return whether Ctrl-C was pressed: some imports turn it into another error."""
    return _interrupted


@contextmanager
def signals_handled() -> Iterator[None]:
    """Let a killed command clean up, and remember an interruption. Does nothing outside of the main thread."""
    global _interrupted
    _interrupted = False
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, _end)
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def in_words() -> str:
    """Return what an interrupted command says: the outputs that are in place, or that nothing was changed."""
    from effconvert.atomic import written_outputs

    written = ", ".join(map(str, written_outputs()))
    return f"interrupted; {f'already written: {written}' if written else 'nothing was changed'}"


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but not while a module is imported: numpy prints it and goes on with another error."""
    global _interrupted
    _interrupted = True
    if not _is_importing(frame):
        raise KeyboardInterrupt
    later = threading.Timer(_SOON, signal.pthread_kill, (threading.main_thread().ident, number))
    later.daemon = True
    later.start()


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether the frame is that of an import, or called by one; the command line itself may be imported."""
    while frame and frame.f_globals.get("__name__") != "effconvert.cli":
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
