"""Availability of frameworks on this machine, and how to install the missing ones."""

import os
import shlex
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import metadata
from types import MappingProxyType
from typing import Any

from effconvert.architecture.canonical import CANONICAL
from effconvert.errors import EffconvertError, Unavailable
from effconvert.option_words import option
from effconvert.verification.launching import ANY, RUNNERS, Framework, check_framework, interpreter, packages_in


@dataclass(frozen=True)
class Availability:
    """The availability of one framework.

    state: `usable`, `missing` or `broken`; `installed` if it was not imported. versions: of its packages. python: its
    interpreter. reason: why it is not usable. remedy: what to do. Both are "" if nothing is missing.
    """

    name: str
    state: str
    versions: Mapping[str, str]
    python: str
    reason: str = field(default="")
    remedy: str = field(default="")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return asdict(self)


def frameworks_here(pythons: Mapping[str, str], quick: bool = False, names: Collection[str] = ()) -> list[Availability]:
    """Return the availability of each framework, or of those called `names`.

    pythons: {framework: interpreter}. quick: only check whether it is installed.

    Raises MissingPath for an interpreter that does not exist.
    """
    programs = {name: interpreter(name, pythons) for name in RUNNERS if not names or name in names}
    return _looked_up(programs, quick)


def check_installed(programs: Mapping[str, str], given: Mapping[str, str] = MappingProxyType({})) -> None:
    """Check that each framework is in its interpreter, before one of them runs. programs: {framework: interpreter}.

    given: those that the user gave, as for `frameworks_here`; one for all frameworks may lack what another one has.

    Raises Unavailable with all that are missing, and how to get each.
    """
    needed = {name: python for name, python in programs.items() if name != CANONICAL}
    missing = {each.name: each.python for each in _looked_up(needed, quick=True) if each.state != "installed"}
    # A framework may be there without its package's metadata; only an import tells.
    found = [each for each in _looked_up(missing, quick=False) if each.state == "missing"]
    if not found:
        return
    lines = [
        f"  {each.name} in {each.python}: {each.reason}{_nor_in(each, given)}"
        + (
            f"; install it {'in one of them' if _nor_in(each, given) else 'there'}: {each.remedy}"
            if each.remedy
            else ""
        )
        + f"; or give another interpreter: {option('python', {each.name: 'PATH'})}, "
        f"or {RUNNERS[each.name].variable}=PATH"
        for each in found
    ]
    names = " and ".join(each.name for each in found)
    raise Unavailable("\n".join([f"{names} cannot be used; nothing was run:", *lines]))


def _nor_in(each: Availability, given: Mapping[str, str]) -> str:
    """Return the words on the interpreter that the user gave for all frameworks, if it lacks this one; else ""."""
    for_all = given.get(ANY, "")
    if not for_all or each.name in given or each.python == for_all:
        return ""
    return f", nor is it in {for_all} ({option('python', for_all)})"


def _looked_up(programs: Mapping[str, str], quick: bool) -> list[Availability]:
    look = _installed if quick else _imported
    with ThreadPoolExecutor(os.cpu_count()) as executor:  # each thread waits for a process
        return list(executor.map(lambda name: look(RUNNERS[name], programs[name]), programs))


def _imported(framework: Framework, python: str) -> Availability:
    try:
        versions = check_framework(framework.name, python)
    except Unavailable as error:
        reason = str(error).splitlines()[0].removeprefix(f"{framework.name}: ")
        return Availability(framework.name, "missing", {}, python, reason, _remedy(framework))
    except EffconvertError as error:
        return Availability(framework.name, "broken", {}, python, str(error))
    return Availability(framework.name, "usable", versions, python)


def _installed(framework: Framework, python: str) -> Availability:
    try:
        versions = packages_in(python, framework.packages)
    except EffconvertError as error:
        return Availability(framework.name, "broken", {}, python, str(error))
    if not versions:
        return Availability(framework.name, "missing", {}, python, "is not installed", _remedy(framework))
    return Availability(framework.name, "installed", versions, python)


def _remedy(framework: Framework) -> str:
    """Return the command that installs the framework in any environment; effconvert is not needed there."""
    extra = f'extra == "{framework.name}"'
    needed = [line.partition(";")[0].strip() for line in metadata.requires("effconvert") or () if extra in line]
    _, also, further = framework.install.partition("&&")
    return f"pip install {shlex.join(needed or framework.packages)}{f' &&{further}' if also else ''}"
