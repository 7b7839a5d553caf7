"""Processes of runners, alone or several at the same time: when one of them fails, or the user interrupts, all end."""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from threading import Event, Lock

_PAUSE = 0.05


class Processes:
    """The runners' processes of one command."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended = False

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], ready: Event | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, and return what it wrote. Raises OSError.

        ready: when it is set, the process gets a line. If it is never set, `end` ends the process.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            with self._lock:
                if self._ended:
                    return subprocess.CompletedProcess(command, -1, "", "")
                stdin = subprocess.PIPE if ready else None
                process = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=errors, env=environment)
                self._running.add(process)
            try:
                if ready and process.stdin:
                    _tell(process, ready)
                code = process.wait()
            except BaseException:
                process.kill()
                process.wait()
                raise
            finally:
                self._running.discard(process)
            said = []
            for file in (out, errors):
                file.seek(0)
                said.append(file.read().decode(errors="replace"))
            return subprocess.CompletedProcess(command, code, *said)

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._ended

    def end(self) -> None:
        """End all processes, and start no more."""
        with self._lock:
            self._ended = True
            for process in self._running:
                process.kill()


def _tell(process: subprocess.Popen[bytes], ready: Event) -> None:
    """Send a line to the process when `ready` is set; give up if it ends before."""
    assert process.stdin
    while process.poll() is None:
        if ready.wait(_PAUSE):
            break
    try:
        process.stdin.write(os.linesep.encode())
        process.stdin.close()
    except OSError:  # it has ended, and says why
        pass
