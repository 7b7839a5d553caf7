"""Mapping files as TOML tables, with the files that they include."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from effconvert.errors import BadMap, MissingPath

_LARGEST = 1 << 20  # bytes; the longest map of the package has 8 kB
_DEEPEST = 8
_JOINED = ("ignore",)  # tables whose lists are joined with those of the included files


@dataclass(frozen=True)
class Document:
    """A map as TOML, with the files that it includes.

    own: the keys in the tables of the file itself. sha256: the hash of the file and of all files that it includes.
    """

    values: Mapping[str, Any]
    own: Mapping[str, frozenset[str]]
    sha256: str


def read_document(content: bytes, where: str, folder: Path | None = None) -> Document:
    """Return the map in the TOML `content`; `where` names it in messages.

    folder: a folder in which included files are also searched, beside those of the package.

    Raises BadMap if the content is not TOML, or if an included file does not exist.
    """
    digest = hashlib.sha256()
    values = _parsed(content, where)
    own = {key: frozenset(value) for key, value in values.items() if isinstance(value, dict)}
    return Document(_with_included(values, content, where, folder, digest, ()), own, digest.hexdigest())


def read_file(path: Path) -> bytes:
    """Return the bytes of a mapping file. Raises MissingPath or BadMap."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise MissingPath(f"{path}: {error.strerror}; give a map, a .toml file") from error
    if len(content) > _LARGEST:
        raise BadMap(f"{path}: has more than {_LARGEST:,} bytes: too large for a map")
    return content


def files_of_the_package() -> list[Traversable]:
    """Return the mapping files of the package, sorted by name."""
    found = (file for file in resources.files("effconvert.mappings").iterdir() if file.name.endswith(".toml"))
    return sorted(found, key=lambda file: file.name)


def common_tables(name: str) -> Mapping[str, Any]:
    """Return the shared tables of the package with this `name`, such as `pytorch`."""
    return _shared(name)[1]


def _with_included(
    values: dict[str, Any], content: bytes, where: str, folder: Path | None, digest: Any, within: tuple[str, ...]
) -> dict[str, Any]:
    digest.update(content)
    names = values.get("include", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadMap(f"{where}: include: must be a list of strings, is {names!r}")
    for name in names:
        if name in within or len(within) == _DEEPEST:
            raise BadMap(f"{where}: include: {name!r} includes itself, or is nested more than {_DEEPEST} deep")
        content, parsed, place = _included(name, where, folder)
        further = _with_included(parsed, content, place, folder, digest, (*within, name))
        values = _merged(values, further)
    return values


def _included(name: str, where: str, folder: Path | None) -> tuple[bytes, dict[str, Any], str]:
    """Return the included file as bytes and parsed, and its name in messages."""
    beside = folder / name if folder else None
    if beside and beside.is_file():
        content = read_file(beside)
        return content, _parsed(content, str(beside)), str(beside)
    known = sorted(file.name.removesuffix(".toml") for file in _common().iterdir() if file.name.endswith(".toml"))
    if name in known:
        return *_shared(name), f"{name}.toml"
    raise BadMap(f"{where}: include: {name!r} is not a file beside the map, nor one of {', '.join(known)}")


def _common() -> Traversable:
    return resources.files("effconvert.mappings").joinpath("common")


@cache
def _shared(name: str) -> tuple[bytes, dict[str, Any]]:
    """Return the shared tables of the package with this `name`; they are read once, since most maps include them."""
    content = _common().joinpath(f"{name}.toml").read_bytes()
    return content, _parsed(content, f"{name}.toml")


def _parsed(content: bytes, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMap(f"{where}: not TOML: {error}") from error


def _merged(own: Mapping[str, Any], included: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two maps: the entries of tables, and lists of tables, are joined; for any other value `own` wins."""
    both = {**included, **own}
    for key in own.keys() & included.keys():
        first, second = own[key], included[key]
        if isinstance(first, dict) and isinstance(second, dict):
            both[key] = {**second, **first}
            if key in _JOINED:
                both[key] |= {name: [*first[name], *second[name]] for name in first.keys() & second.keys()}
        elif isinstance(first, list) and isinstance(second, list) and key != "include":
            both[key] = [*first, *second]
    return both
