"""Launching of a framework's runner in the framework's own interpreter, with its inputs as files."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from effconvert.architecture.canonical import CANONICAL
from effconvert.atomic import reported
from effconvert.errors import (
    EffconvertError,
    LayoutMismatch,
    MissingPath,
    NumericMismatch,
    OutputProblem,
    Unavailable,
    UnreadableCheckpoint,
)
from effconvert.maps.layouts import known_layouts
from effconvert.maps.map_names import ONNX, TFLITE, runner_names
from effconvert.option_words import option
from effconvert.temporary import temporary_folder
from effconvert.verification.processes import Processes
from effconvert.verification.runner_archive import write_runner
from effconvert.verification.runners.base import CannotImport, CannotLoad, save_arrays

KEY_VARIABLE = "EFFCONVERT_KEY_OF_THE_FILE"  # a key must not be in a process's arguments
ANY = "any"  # in place of a framework: the interpreter of all frameworks that it has
_LOOK = """
import json, sys
from importlib import metadata
found = {}
for package in sys.argv[1:]:
    try:
        found[package] = metadata.version(package)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
_OF_PYTHON = ("PYTHONPATH", "PYTHONHOME")
_FULL = f"[Errno {errno.ENOSPC}]"
_MORE = "; EFFCONVERT_DEBUG=1 shows more"
_NO_PYTHON = "is it a Python interpreter?"
# A runner reports a missing framework itself, but it imports numpy first, and no framework works without numpy.
_NO_NUMPY = "ModuleNotFoundError: No module named 'numpy'"


@dataclass(frozen=True)
class Framework:
    """A framework with a runner.

    packages: their names for pip. install: the command that installs it.
    """

    name: str
    packages: tuple[str, ...]
    install: str

    @property
    def variable(self) -> str:
        """The environment variable for its interpreter."""
        return f"EFFCONVERT_PYTHON_{self.name.upper()}"

    @property
    def layouts(self) -> tuple[str, ...]:
        """The layouts that it can run."""
        return tuple(layout.name for layout in known_layouts() if layout.library.runner == self.name)


def _described() -> Iterator[Framework]:
    """Yield the frameworks that the package's maps name."""
    for name in runner_names():
        # The package's maps come first here: a user's map may name a runner but does not change it.
        found = [layout.library for layout in reversed(known_layouts()) if layout.library.runner == name]
        library = next(library for library in found if library.packages)
        yield Framework(name, library.packages, library.install or f'pip install "effconvert[{name}]"')


FRAMEWORKS = {framework.name: framework for framework in _described()}
# What runs files that are a whole network, and have no layout.
DEPLOYED = {
    ONNX: Framework(ONNX, ("onnxruntime",), 'pip install "effconvert[onnx]"'),
    TFLITE: Framework(TFLITE, ("ai-edge-litert",), 'pip install "effconvert[tflite]"'),
}
RUNNERS = FRAMEWORKS | DEPLOYED


@dataclass(frozen=True)
class Together:
    """Processes that run at the same time. ready: set when the run is written that the others are given."""

    processes: Processes
    ready: Event | None = None


class LoaderRefused(EffconvertError):
    """The library's own loader cannot read the file."""


def framework_of(layout: str) -> str:
    """Return the framework that runs files of `layout`. Raises Unavailable without one."""
    for framework in FRAMEWORKS.values():
        if layout in framework.layouts:
            return framework.name
    if layout == CANONICAL:
        return CANONICAL
    raise Unavailable(
        f"no framework here can run files of the layout {layout}; the frameworks are {', '.join(FRAMEWORKS)}"
    )


def interpreter(name: str, pythons: Mapping[str, str]) -> str:
    """Return the Python of the framework: from `pythons`, from its environment variable, or this one.

    The one that `pythons` has for `ANY` is taken if the framework is installed there. Raises MissingPath for one that
    does not exist.
    """
    if name == CANONICAL:
        return sys.executable
    variable = RUNNERS[name].variable
    own, for_all, set_there = pythons.get(name), pythons.get(ANY), os.environ.get(variable)
    given = ((option("python", {name: own}), own), (option("python", for_all or ""), for_all))
    for said, path in (*given, (f"{variable}={set_there}", set_there)):
        if path and not (Path(path).is_file() and os.access(path, os.X_OK)):
            raise MissingPath(f"{said}: is not an executable file; give the path of a Python interpreter")
        if path and (path != for_all or packages_in(path, RUNNERS[name].packages)):
            return path
    return sys.executable


def packages_in(python: str, packages: Sequence[str]) -> dict[str, str]:
    """Return {package: version} of those that an interpreter has; it imports none of them.

    Raises EffconvertError if it is not a Python interpreter.
    """
    try:
        done = subprocess.run(
            [python, "-c", _LOOK, *packages], capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise EffconvertError(f"{python}: {error.strerror}") from error
    return versions_in(done.stdout, python)


def run_network(
    name: str,
    python: str,
    file: Path,
    settings: Mapping[str, Any],
    inputs: Mapping[str, NDArray[Any]],
    out: Path,
    feed: Path | None = None,
    tensors: Mapping[str, NDArray[Any]] | None = None,
    key: bytes | None = None,
    together: Together | None = None,
) -> None:
    """Run the network of `settings` with the weights in `file` on `inputs`, in a separate process, and write `out`.

    inputs: `images`, `mean` and `std`. feed: a run whose outputs are also given to each layer in isolation. tensors: to
    load instead of the file, {the library's name: array}. key: of an encrypted file, for the canonical network.
    together: the processes that run at the same time; the network waits for the one that writes `feed` when its own
    outputs are computed.

    Raises Unavailable if the framework cannot be imported, LayoutMismatch if it has no such network, LoaderRefused if
    its own loader cannot read the file, OutputProblem if the disk is full, EffconvertError for other failures.
    """
    with _private_folder() as folder:
        beside = {kind: folder / kind for kind in ("settings", "inputs", "tensors")}
        with reported(folder):
            beside["settings"].write_text(json.dumps(settings, sort_keys=True))
            save_arrays(beside["inputs"], inputs)
            if tensors is not None:
                save_arrays(beside["tensors"], tensors)
        arguments = [str(file), "--settings", str(beside["settings"]), "--inputs", str(beside["inputs"])]
        arguments += ["--out", str(out)]
        if tensors is not None:
            arguments += ["--tensors", str(beside["tensors"])]
        if feed is not None:
            arguments += ["--feed", str(feed), *(["--wait"] if together and together.ready else [])]
        variables = {KEY_VARIABLE: key.decode()} if key and name == CANONICAL else {}
        _start(name, python, folder, arguments, variables, together)
    if not out.exists() or not out.stat().st_size:
        raise EffconvertError(f"{name}: {python} wrote neither a run nor an error: {_NO_PYTHON}")


def check_framework(name: str, python: str) -> dict[str, str]:
    """Import the framework in its interpreter, and return {package: version}.

    Raises Unavailable, and EffconvertError for other failures.
    """
    with _private_folder() as folder:
        return versions_in(_start(name, python, folder, ["--check"]), python)


def versions_in(said: str, python: str) -> dict[str, str]:
    """Return {package: version} from the last line of an interpreter's output. Raises EffconvertError without it."""
    try:
        return dict(json.loads(said.splitlines()[-1]))
    except (IndexError, ValueError, TypeError) as error:
        raise EffconvertError(f"{python}: did not print any versions: {_NO_PYTHON}") from error


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Give a temporary folder that only its owner can read."""
    with temporary_folder() as folder:
        yield folder


def _command(name: str, python: str, folder: Path) -> list[str]:
    """Return the command that starts the runner, without arguments; a framework's runner is written to `folder`."""
    if name == CANONICAL:
        return [python, "-P", "-m", "effconvert.verification.runners.run_canonical"]
    with reported(folder):
        return [python, str(write_runner(name, folder))]


def _start(
    name: str,
    python: str,
    folder: Path,
    arguments: list[str],
    variables: Mapping[str, str] = MappingProxyType({}),
    together: Together | None = None,
) -> str:
    command = [*_command(name, python, folder), *arguments]
    # These variables are for this interpreter, and would mislead another one.
    kept = os.environ if python == sys.executable else {n: v for n, v in os.environ.items() if n not in _OF_PYTHON}
    try:
        processes = together.processes if together else Processes()
        done = processes.run(command, {**kept, **variables}, together.ready if together else None)
    except OSError as error:
        raise Unavailable(f"{python}: {error.strerror}") from error
    if done.returncode == 0:
        return done.stdout
    raise _failure(name, python, done)


def _failure(name: str, python: str, done: subprocess.CompletedProcess[str]) -> EffconvertError:
    """Return the error that a runner's exit code and last line mean."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    said = lines[-1] if lines else f"its process ended with exit code {done.returncode} and without a message"
    if (done.returncode == CannotImport.exit_code or said == _NO_NUMPY) and name != CANONICAL:
        framework = RUNNERS[name]
        return Unavailable(
            f"{said}\n  in {python}; install it there: {framework.install}\n"
            f"  or give another interpreter: {option('python', {name: 'PATH'})}, or {framework.variable}=PATH"
        )
    if done.returncode == CannotLoad.exit_code:
        return LoaderRefused(said)
    for kind in (UnreadableCheckpoint, LayoutMismatch, NumericMismatch):
        if done.returncode == kind.exit_code:
            return kind(said)
    if _FULL in said:
        return OutputProblem(
            f"{said}: runs need about 20 bytes for each value of a layer; set TMPDIR to a folder with more space"
        )
    if done.returncode < 0:
        said = f"{name}: its process was ended by signal {-done.returncode}"
    more = "".join(f"\n  {line}" for line in lines[-20:])
    return EffconvertError(f"{said} (in {python}){more if os.environ.get('EFFCONVERT_DEBUG') else _MORE}")
