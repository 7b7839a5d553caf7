"""The layouts of the package: every mapping file, read once, and what the trainings of a framework leave in files."""

import hashlib
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from effconvert.errors import BadMap, LayoutMismatch, listing
from effconvert.maps.language import Layout, Leaving
from effconvert.maps.reader import MapReader

_TRAININGS = "trainings.toml"


@cache
def layouts() -> tuple[Layout, ...]:
    """Return every layout of the package, sorted by name."""
    files = [
        file
        for file in resources.files("effconvert.mappings").iterdir()
        if file.name.endswith(".toml") and file.name != _TRAININGS
    ]
    return tuple(parse_layout(file.read_bytes(), file.name) for file in sorted(files, key=lambda file: file.name))


def find_layout(name: str) -> Layout:
    """Return the layout called `name`. Raises LayoutMismatch with the known names."""
    for layout in layouts():
        if layout.name == name:
            return layout
    raise LayoutMismatch(f"layout {name!r} is unknown; known are {', '.join(layout.name for layout in layouts())}")


def parse_layout(content: bytes, where: str) -> Layout:
    """Return the layout in the TOML `content`; `where` names it in messages.

    Raises BadMap with every problem found, each naming its line or key.
    """
    try:
        data = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadMap(f"{where}: not TOML: {error}") from error
    reader = MapReader(data, leavings())
    layout = reader.layout(hashlib.sha256(content).hexdigest())
    if reader.problems or layout is None:
        raise BadMap(listing(f"{where}: the map cannot be used:", reader.problems))
    return layout


@cache
def leavings() -> Mapping[str, tuple[Leaving, ...]]:
    """Return {framework: what its trainings leave beside the weights}.

    Raises BadMap with every entry that the language does not know.
    """
    content = (resources.files("effconvert.mappings") / _TRAININGS).read_text(encoding="utf-8")
    tables: dict[str, dict[str, Any]] = tomllib.loads(content)
    problems = [
        f"{framework}.{pattern}: must hold reason and axes, and may hold alone and within; is {entry!r}"
        for framework, entries in tables.items()
        for pattern, entry in entries.items()
        if not isinstance(entry, dict) or entry.keys() - {"alone", "within"} != {"reason", "axes"}
    ]
    if problems:
        raise BadMap(listing(f"{_TRAININGS}: cannot be used:", problems))
    return {
        framework: tuple(Leaving(pattern, **entry) for pattern, entry in entries.items())
        for framework, entries in tables.items()
    }
