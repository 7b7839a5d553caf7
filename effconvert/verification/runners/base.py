"""Base of all runners: the command line, the check of the file, the saved run, and exit codes."""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

SCHEMA = "effconvert/run/1"
_COPY = """
To run it elsewhere, copy this file:

    python run_{0}.pyz FILE --settings settings.json --inputs inputs.npz --out run.npz

`effconvert run FILE --framework {0} --prepare FOLDER` writes settings and inputs.
"""

Arrays = dict[str, Any]  # {name: numpy array}
Settings = dict[str, Any]  # variant and facts of the network, and how to read its file


class Refusal(Exception):
    """A runner's error message in one line, with the exit code that identifies it."""

    exit_code: int


class CannotRead(Refusal):
    """A given file of arrays is missing or damaged."""

    exit_code = 3


class CannotBuild(Refusal):
    """The library has no network with the requested facts or shapes."""

    exit_code = 4


class CannotImport(Refusal):
    """The framework is missing in this interpreter, or does not work there."""

    exit_code = 9


class CannotLoad(Refusal):
    """The library's own loader cannot read the file; effconvert then reads it and gives the tensors."""

    exit_code = 10


@dataclass(frozen=True)
class Network:
    """A network with its weights.

    call: the Python code that builds it. loader: the function that loaded the weights. forward: runs the images and
    returns {layer: its output}; its argument is {layer: an array to use as the layer's input}. versions: {package:
    version} of the packages used, if not all of the runner's.
    """

    call: str
    loader: str
    forward: Callable[[Arrays], Arrays]
    versions: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Runner:
    """The parts of a runner that differ between frameworks.

    packages: whose versions are recorded. description: for --help. start: imports the framework and selects plain
    float32. make_network(file, tensors, settings, inputs): builds the library's own network and loads the file with the
    library's own loader, or loads `tensors` if they are given.
    """

    framework: str
    packages: tuple[str, ...]
    description: str
    start: Callable[[], None]
    make_network: Callable[[str, Arrays | None, Settings, Arrays], Network]


def main(runner: Runner, command: Sequence[str] | None = None) -> int:
    """Run the network on the inputs, write the output of every layer, and return the exit code."""
    arguments = parse_arguments(runner.description.rstrip() + "\n" + _COPY.format(runner.framework), command)
    try:
        runner.start()
    except ImportError as error:
        return _failed(runner, f"{runner.framework} cannot be imported: {error}", CannotImport.exit_code)
    if arguments.check:
        print(json.dumps({**_own_versions(), **package_versions(runner.packages)}))
        return 0
    try:
        settings = read_settings(arguments)
        check_file(arguments.file, settings)
        write_run(runner, arguments, settings)
    except Refusal as error:
        return _failed(runner, error, error.exit_code)
    except Exception as error:
        traceback.print_exc()
        return _failed(runner, f"{type(error).__name__}: {error}", 1)
    return 0


def _failed(runner: Runner, message: object, code: int) -> int:
    """Print the error as the last line, and return the exit code."""
    print(f"{runner.framework}: {' '.join(str(message).split())}", file=sys.stderr)
    return code


def parse_arguments(description: str, command: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="the weights")
    parser.add_argument("--settings", metavar="JSON", help="variant and facts of the network")
    parser.add_argument(
        "--inputs", metavar="NPZ", help="images [N, C, H, W], normalised, with the mean and std of the normalisation"
    )
    parser.add_argument("--tensors", metavar="NPZ", help="tensors to load instead of the file, by the library's names")
    parser.add_argument("--feed", metavar="NPZ", help="another run; each layer also gets its input from that run")
    parser.add_argument("--wait", action="store_true", help="wait for a line on stdin before --feed is read")
    parser.add_argument("--out", metavar="NPZ", help="the run to write")
    parser.add_argument("--check", action="store_true", help="only import the framework and print versions")
    arguments = parser.parse_args(command)
    if not arguments.check and not all((arguments.file, arguments.settings, arguments.inputs, arguments.out)):
        parser.error("FILE, --settings, --inputs and --out are needed")
    return arguments


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings in the file of --settings."""
    return dict(json.loads(Path(arguments.settings).read_text(encoding="utf-8")))


def check_file(file: str, settings: Settings) -> None:
    """Raise CannotBuild unless the file is the one of the settings."""
    path, expected = Path(file), settings.get("sha256", {})
    for name in sorted(expected):
        places = [path, path.parent / name, path / name, path / "variables" / name]
        found = [place for place in places if place.is_file() and place.name == name]
        if not found and path.is_file() and len(expected) == 1:
            found = [path]  # renamed after the settings were written
        if found and _file_sha256(found[0]) != expected[name]:
            raise CannotBuild(f"{found[0]} is not the file of the settings: its SHA-256 differs; run --prepare again")


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


def write_run(runner: Runner, arguments: argparse.Namespace, settings: Settings) -> None:
    """Run the network and write --out; with --feed run it again with each layer's input from that run.

    Raises the errors of the runner, and CannotRead.
    """
    inputs = _read_arrays(arguments.inputs)
    tensors = _read_arrays(arguments.tensors) if arguments.tensors else None
    network = runner.make_network(arguments.file, tensors, settings, inputs)
    layers = network.forward({})
    if arguments.wait:
        settings = _awaited(arguments.feed, settings)
    isolated = network.forward(_layer_inputs(arguments.feed)) if arguments.feed else {}
    packages = package_versions(runner.packages) if network.versions is None else network.versions
    record = {
        "schema": SCHEMA,
        "framework": runner.framework,
        "network": network.call,
        "loader": network.loader,
        "file": arguments.file,
        "settings": settings,
        "layers": list(layers),
        "inputs_sha256": pixels_sha256(inputs["images"]),
        "computing": {"dtype": "float32", "tf32": False, "autocast": False},
        "versions": {**_own_versions(), **packages},
    }
    arrays = {"run": np.array(json.dumps(record, sort_keys=True))}
    arrays.update(("layer/" + name, _shaped(name, array)) for name, array in layers.items())
    arrays.update(("fed/" + name, _shaped(name, array)) for name, array in isolated.items())
    save_arrays(arguments.out, {**arrays, **inputs})


def _awaited(feed: str, settings: Settings) -> Settings:
    """Wait until the other run is there, and return the settings with its hash. Raises CannotRead if it never comes."""
    if not sys.stdin.readline():
        raise CannotRead(f"{feed}: was not written")
    return {**settings, "follows": _file_sha256(Path(feed))}


def pixels_sha256(images: Any) -> str:
    """Return the SHA-256 of the pixels, which identifies runs on the same images."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def _read_arrays(path: str, names: Iterable[str] | None = None) -> Arrays:
    """Return {name: array} of an .npz, of all arrays or only `names`."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in (arrays.files if names is None else names)}
    except Exception as error:  # numpy, zipfile and its compressions raise many kinds
        raise CannotRead(f"{path}: missing or damaged: {error}") from error


def _layer_inputs(run: str) -> Arrays:
    """Return {layer: its input} in another run, that is, the output of the layer before."""
    names = json.loads(str(_read_arrays(run, ["run"])["run"]))["layers"]
    outputs = _read_arrays(run, ["layer/" + name for name in names[:-1]])
    return dict(zip(names[1:], outputs.values()))


def save_arrays(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Write {name: array} as an .npz, whatever the suffix of `path`."""
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _shaped(name: str, array: Any) -> Any:
    """Return the output of a layer as float32 [N, C, H, W], or [N, C] for the last two layers."""
    array = np.asarray(array, np.float32)
    return array.reshape(len(array), -1) if name in ("pooled", "logits") else array


def _own_versions() -> dict[str, str]:
    return {"python": platform.python_version(), "numpy": np.__version__}


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return {package: version} of the installed packages."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


# ---- Helpers for several frameworks --------------------------------------------------------------------------------


def call_text(function: str, *arguments: object, **keywords: object) -> str:
    """Return the Python code of a call."""
    given = [repr(argument) for argument in arguments]
    given += [f"{name}={value!r}" for name, value in keywords.items()]
    return f"{function}({', '.join(given)})"


def name_layers(stem: Any, blocks: Iterable[Any], **ends: Any) -> list[tuple[str, Any]]:
    """Return [(layer, its part of the network)] in order; ends that are None are left out."""
    numbered = [(f"blocks.{index}", block) for index, block in enumerate(blocks)]
    return [("stem", stem), *numbered, *((name, part) for name, part in ends.items() if part is not None)]
