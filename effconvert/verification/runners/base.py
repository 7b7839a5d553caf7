"""Shared by all runners: the command line, the check of the file, the saved run, and exit codes."""

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
Settings = dict[str, Any]  # the variant and the facts of the network, and how its file was read


class Refusal(Exception):
    """What a runner says in one line, with the exit code by which effconvert knows it."""

    exit_code: int


class CannotRead(Refusal):
    """A file of arrays that the runner was given is missing or damaged."""

    exit_code = 3


class CannotBuild(Refusal):
    """The library has no network with the facts or the shapes that are asked for."""

    exit_code = 4


class CannotImport(Refusal):
    """The framework is missing in this interpreter, or does not work there."""

    exit_code = 9


class CannotLoad(Refusal):
    """The library's own loader does not take the file; effconvert then reads it and gives the tensors."""

    exit_code = 10


@dataclass(frozen=True)
class Network:
    """A network with its weights.

    call: the Python that builds it. loader: what loaded the weights. forward: runs the images and returns {layer: its
    output}; a layer in its argument {layer: array} is given that in place of what arrives. versions: {package: version}
    of what made it, where that is not every package of the runner.
    """

    call: str
    loader: str
    forward: Callable[[Arrays], Arrays]
    versions: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Runner:
    """What is different in each framework.

    packages: those whose versions are recorded. description: for --help. start: imports the framework, and makes it
    compute in plain float32. make_network(file, tensors, settings, inputs): builds the library's own network and loads
    the file by the library's own loader, or `tensors` where they are given.
    """

    framework: str
    packages: tuple[str, ...]
    description: str
    start: Callable[[], None]
    make_network: Callable[[str, Arrays | None, Settings, Arrays], Network]


def main(runner: Runner, command: Sequence[str] | None = None) -> int:
    """Run the network on the inputs, write what every layer gave, and return the exit code."""
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
    """Print what went wrong as the last line, and return the exit code."""
    print(f"{runner.framework}: {' '.join(str(message).split())}", file=sys.stderr)
    return code


def parse_arguments(description: str, command: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="the weights")
    parser.add_argument("--settings", metavar="JSON", help="variant and facts of the network")
    parser.add_argument(
        "--inputs", metavar="NPZ", help="images [N, C, H, W], normalised, and the mean and std that did it"
    )
    parser.add_argument("--tensors", metavar="NPZ", help="to load in place of the file, by the library's own names")
    parser.add_argument("--feed", metavar="NPZ", help="another run: each layer is also given what it got there")
    parser.add_argument("--out", metavar="NPZ", help="the run to write")
    parser.add_argument("--check", action="store_true", help="import the framework, print versions, do nothing else")
    arguments = parser.parse_args(command)
    if not arguments.check and not all((arguments.file, arguments.settings, arguments.inputs, arguments.out)):
        parser.error("FILE, --settings, --inputs and --out are needed")
    return arguments


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings that --settings names."""
    return dict(json.loads(Path(arguments.settings).read_text(encoding="utf-8")))


def check_file(file: str, settings: Settings) -> None:
    """Raise CannotBuild unless the file is the one that the settings were made for."""
    path, expected = Path(file), settings.get("sha256", {})
    for name in sorted(expected):
        places = [path, path.parent / name, path / name, path / "variables" / name]
        found = [place for place in places if place.is_file() and place.name == name]
        if not found and path.is_file() and len(expected) == 1:
            found = [path]  # renamed on its way
        if found and _file_sha256(found[0]) != expected[name]:
            raise CannotBuild(f"{found[0]} is not the file that the settings were made for: its SHA-256 is another")


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


def write_run(runner: Runner, arguments: argparse.Namespace, settings: Settings) -> None:
    """Run the network, with --feed once more so that each layer gets what it got in that run, and write --out.

    Raises what the runner does, and CannotRead.
    """
    inputs = _read_arrays(arguments.inputs)
    tensors = _read_arrays(arguments.tensors) if arguments.tensors else None
    network = runner.make_network(arguments.file, tensors, settings, inputs)
    layers = network.forward({})
    fed = network.forward(_entering(arguments.feed)) if arguments.feed else {}
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
    arrays.update(("fed/" + name, _shaped(name, array)) for name, array in fed.items())
    save_arrays(arguments.out, {**arrays, **inputs})


def pixels_sha256(images: Any) -> str:
    """Return the SHA-256 of the pixels, by which runs on the same images are known."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def _read_arrays(path: str, names: Iterable[str] | None = None) -> Arrays:
    """Return {name: array} of an .npz, all of them or those of `names`."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in (arrays.files if names is None else names)}
    except Exception as error:  # numpy, zipfile and each way to compress raise kinds of their own
        raise CannotRead(f"{path}: missing or damaged: {error}") from error


def _entering(run: str) -> Arrays:
    """Return {layer: what entered it} in another run: what the layer before gave."""
    names = json.loads(str(_read_arrays(run, ["run"])["run"]))["layers"]
    outputs = _read_arrays(run, ["layer/" + name for name in names[:-1]])
    return dict(zip(names[1:], outputs.values()))


def save_arrays(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Write {name: array} as an .npz, whatever the suffix of `path`."""
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _shaped(name: str, array: Any) -> Any:
    """Return the output of a layer as float32 [N, C, H, W], and of the last two as [N, C]."""
    array = np.asarray(array, np.float32)
    return array.reshape(len(array), -1) if name in ("pooled", "logits") else array


def _own_versions() -> dict[str, str]:
    return {"python": platform.python_version(), "numpy": np.__version__}


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return {package: version} of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


# ---- What several frameworks need of the same form -----------------------------------------------------------------


def call_text(function: str, *arguments: object, **keywords: object) -> str:
    """Return the Python of a call."""
    given = [repr(argument) for argument in arguments]
    given += [f"{name}={value!r}" for name, value in keywords.items()]
    return f"{function}({', '.join(given)})"


def name_layers(stem: Any, blocks: Iterable[Any], **ends: Any) -> list[tuple[str, Any]]:
    """Return [(layer, its part of the network)] in order; an end that is None is not there."""
    numbered = [(f"blocks.{index}", block) for index, block in enumerate(blocks)]
    return [("stem", stem), *numbered, *((name, part) for name, part in ends.items() if part is not None)]
