"""The layouts of the package: every mapping file, read once."""

import hashlib
import tomllib
from functools import cache
from importlib import resources

from effconvert.errors import BadMap, LayoutMismatch, listing
from effconvert.map_language import Layout
from effconvert.map_reader import MapReader


@cache
def layouts() -> tuple[Layout, ...]:
    """Return every layout of the package, sorted by name."""
    files = [file for file in resources.files("effconvert.mappings").iterdir() if file.name.endswith(".toml")]
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
    reader = MapReader(data)
    layout = reader.layout(hashlib.sha256(content).hexdigest())
    if reader.problems or layout is None:
        raise BadMap(listing(f"{where}: the map cannot be used:", reader.problems))
    return layout
