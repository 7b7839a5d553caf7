"""Availability of frameworks on this machine, and how to install the missing ones."""

import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from effconvert.errors import EffconvertError, Unavailable
from effconvert.verification.launching import FRAMEWORKS, Framework, check_framework, interpreter, versions_in

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


@dataclass(frozen=True)
class Availability:
    """The availability of one framework.

    state: `usable`, `missing` or `broken`; `installed` if it was not imported. versions: of its packages. python: its
    interpreter. remedy: what to do, "" if nothing is missing.
    """

    name: str
    state: str
    versions: Mapping[str, str]
    python: str
    remedy: str = field(default="")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return asdict(self)


def frameworks_here(pythons: Mapping[str, str], quick: bool = False) -> list[Availability]:
    """Return the availability of each framework; `quick` only checks whether it is installed.

    pythons: {framework: interpreter}. Raises MissingPath for an interpreter that does not exist.
    """
    programs = {name: interpreter(name, pythons) for name in FRAMEWORKS}
    with ThreadPoolExecutor(os.cpu_count()) as executor:  # each thread waits for a process
        look = _installed if quick else _imported
        return list(executor.map(lambda name: look(FRAMEWORKS[name], programs[name]), FRAMEWORKS))


def _imported(framework: Framework, python: str) -> Availability:
    try:
        versions = check_framework(framework.name, python)
    except Unavailable as error:
        reason = str(error).splitlines()[0].removeprefix(f"{framework.name}: ")
        return Availability(framework.name, "missing", {}, python, f"{reason}; {_remedy(framework)}")
    except EffconvertError as error:
        return Availability(framework.name, "broken", {}, python, str(error))
    return Availability(framework.name, "usable", versions, python)


def _installed(framework: Framework, python: str) -> Availability:
    command = [python, "-c", _LOOK, *framework.packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        versions = versions_in(done.stdout, python)
    except OSError as error:
        return Availability(framework.name, "broken", {}, python, f"{python}: {error.strerror}")
    except EffconvertError as error:
        return Availability(framework.name, "broken", {}, python, str(error))
    if not versions:
        return Availability(framework.name, "missing", {}, python, _remedy(framework))
    return Availability(framework.name, "installed", versions, python)


def _remedy(framework: Framework) -> str:
    return f"{framework.install}; or install it in another environment and set {framework.variable}=PATH of its Python"
