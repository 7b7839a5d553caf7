"""Runners that are served: a process imports a framework once, and forks for each run.

A child of such a server is given the command line, the folder, the environment and the output of the process that would
have been started, and runs the same file. Only the import of the framework is shared, which takes most of a start.

    python -m helpers.frameworks.served_runners SOCKET FRAMEWORK

serves one framework at a socket until its standard input is closed.
"""

import atexit
import importlib
import io
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from effconvert.verification.launching import Together
from effconvert.verification.processes import Processes
from helpers.places import TESTS
from helpers.verification.waiting import wait_for_the_other

_MODULES = "effconvert.verification.runners"
# What these compute when they start begins threads, which a child has not: it would wait for them forever.
_IMPORTED_ALONE = {"mindcv": ("mindspore", "mindcv"), "mindvision": ("mindspore",)}
_Done = subprocess.CompletedProcess[str]


class _Servers:
    """The servers of this process by framework, started when they are first asked for."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def socket_of(self, framework: str) -> Path:
        """Return the socket of the framework's server."""
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="served-")
                atexit.register(self.stop)
            path = Path(self._folder.name) / framework
            if framework not in self._started:
                command = [sys.executable, "-m", __name__, str(path), framework]
                environment = {**os.environ, "PYTHONPATH": str(TESTS)}
                self._started[framework] = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
        while not path.exists():
            assert self._started[framework].poll() is None, f"the server of {framework} does not start"
            time.sleep(0.05)
        return path

    def stop(self) -> None:
        """Let every server end."""
        for process in self._started.values():
            process.communicate()
        if self._folder:
            self._folder.cleanup()


_servers = _Servers()


def run_served(
    command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, **_: object
) -> _Done:
    """Run the command of a runner as `subprocess.run` with captured output does, by a server."""
    words = [word for word in command[1:] if word != "-P"]
    program = words[1] if words[0] == "-m" else words[0]
    framework = program.rpartition("run_")[2].removesuffix(".pyz")
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as connection:
        out, err = Path(folder) / "out", Path(folder) / "err"
        request = {"words": words, "cwd": str(cwd or Path.cwd()), "env": dict(os.environ if env is None else env)}
        connection.connect(str(_servers.socket_of(framework)))
        connection.sendall(json.dumps({**request, "out": str(out), "err": str(err)}).encode() + b"\n")
        answer = connection.makefile().readline()
        code = int(answer) if answer else -int(signal.SIGKILL)  # it fell without a word
        return subprocess.CompletedProcess(list(command), code, out.read_text(), err.read_text())


@contextmanager
def runners_served() -> Iterator[None]:
    """Let effconvert's verification take served runners within the block, for those of this interpreter."""
    start = Processes.run

    def run(
        self: Processes, command: Sequence[str], environment: Mapping[str, str], ready: threading.Event | None = None
    ) -> _Done:
        if command[0] != sys.executable:
            return start(self, command, environment, ready)
        wait_for_the_other(Together(self, ready))
        return run_served(command, env=environment)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Processes, "run", run)
        yield


def _serve(path: Path, framework: str) -> None:
    """Import the framework, and run what comes to the socket, each in a child."""
    if framework in _IMPORTED_ALONE:
        for package in _IMPORTED_ALONE[framework]:
            importlib.import_module(package)
    else:
        importlib.import_module(f"{_MODULES}.run_{framework}").RUNNER.start()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a child: it answers itself
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path.with_suffix(".new")))
    server.listen()
    path.with_suffix(".new").rename(path)
    parent = os.getpid()
    if os.fork() == 0:  # ends the server with the tests
        sys.stdin.read()
        os.kill(parent, signal.SIGTERM)
        os._exit(0)
    while True:
        connection, _ = server.accept()
        if os.fork() == 0:
            server.close()
            _answer(connection)
        connection.close()


def _answer(connection: socket.socket) -> None:
    """Run what is asked for, tell its exit code, and end this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request = json.loads(connection.makefile().readline())
    for name, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT), number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.stdin = io.StringIO("ready\n")  # who asked has waited
    code = _run(request["words"])
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(f"{code}\n".encode())
    os._exit(0)


def _run(words: list[str]) -> int:
    """Run a file, or a module after -m, as Python does, and return the exit code."""
    by_name = words[0] == "-m"
    sys.argv = words[1:] if by_name else list(words)
    try:
        if by_name:
            sys.modules.pop(words[1], None)  # or runpy warns
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2])
