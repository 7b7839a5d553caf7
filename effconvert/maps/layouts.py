"""All layouts: the mapping files of the package and of the user, each read once."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from effconvert.architecture.canonical import CANONICAL, CANONICAL_NAMES
from effconvert.errors import BadMap, MissingPath, UnknownName, known_names, listing, printable
from effconvert.maps.documents import common_tables, files_of_the_package, read_document, read_file
from effconvert.maps.language import Layout, Leaving, Library
from effconvert.maps.map_schema import shape_problems
from effconvert.maps.moves import compile_problems
from effconvert.maps.reader import MapReader, read_leavings
from effconvert.option_words import either

FOLDER_VARIABLE = "EFFCONVERT_MAPS"  # a folder of the user's maps
# The added maps, one path per line. They are in the environment because child processes need them too.
_ADDED_VARIABLE = "EFFCONVERT_ADDED_MAPS"


def known_layouts() -> tuple[Layout, ...]:
    """Return every layout: the user's first, then those of the package, each sorted by file name.

    The user's are the added maps, and those in the folder EFFCONVERT_MAPS. Raises MissingPath if that is not a folder,
    and BadMap with every problem of a map, or if two layouts have the same name.
    """
    own = dict.fromkeys([*_added(), *_maps_in(os.environ.get(FOLDER_VARIABLE, ""))])
    return _layouts(tuple((path, _stamp(path)) for path in own))


def add_maps(*paths: str | Path) -> None:
    """Add your own maps, for everything that this process and its child processes read and write from now on.

    If one map cannot be used, raises MissingPath or BadMap and adds none.

    Example: `effconvert.add_maps("my-library.toml")`
    """
    before = os.environ.get(_ADDED_VARIABLE, "")
    files = dict.fromkeys([*_added(), *(Path(path).absolute() for path in paths)])
    os.environ[_ADDED_VARIABLE] = "\n".join(map(str, files))
    try:
        known_layouts()
    except BaseException:
        os.environ[_ADDED_VARIABLE] = before
        raise


def layout_called(name: str) -> str:
    """Return the layout, or the family of layouts, that `name` means; an unknown name stays as it is.

    A layout has other names in its map, `[library] names`; case and underscores do not matter in them. A name that
    several layouts have means their family. Example: `layout_called("HF")` is `huggingface`.
    """
    layouts = known_layouts()
    if name == CANONICAL or any(name in (layout.name, layout.library.family) for layout in layouts):
        return name
    plain = name.lower().replace("_", "-")
    if plain in (CANONICAL, *CANONICAL_NAMES):
        return CANONICAL
    found = [each for each in layouts if plain in (each.name.lower(), each.library.family, *each.library.names)]
    if not found:
        return name
    return found[0].name if len(found) == 1 else found[0].library.family or found[0].name


def find_layout(name: str) -> Layout:
    """Return the layout called `name`, also by another of its names. Raises UnknownName with the known names."""
    return _named(layout_called(name), name, [layout.name for layout in known_layouts()])


def _named(called: str, name: str, shown: Sequence[str]) -> Layout:
    """Return the layout called so; `name` is what was typed, and `shown` the layouts that its refusal lists."""
    for layout in known_layouts():
        if layout.name == called:
            return layout
    aliases = [alias for layout in known_layouts() for alias in layout.library.names]
    known = known_names(name, shown, others=aliases)
    adding = either("--map FILE", "effconvert.add_maps")
    raise UnknownName(f"layout {name!r} is unknown; {known} ({adding} adds one of your own)")


def known_library(name: str) -> Library | None:
    """Return the library of the layout `name`; None if no map describes it."""
    return next((layout.library for layout in known_layouts() if layout.name == name), None)


def family(name: str) -> tuple[Layout, ...]:
    """Return the writable layouts with this name, or of the family with this name.

    A layout that cannot be written is returned too, so that the caller says why. Raises UnknownName with the writable
    ones.
    """
    called = layout_called(name)
    members = tuple(layout for layout in known_layouts() if layout.library.family == called and layout.write)
    writable = [layout.name for layout in known_layouts() if layout.write]
    return members or (_named(called, name, [CANONICAL, *writable]),)


def parse_layout(content: bytes, where: str, folder: Path | None = None) -> Layout:
    """Return the layout in the TOML `content`; `where` names it in messages, `folder` has files that it may include.

    It is compiled for each of its variants. Raises BadMap with every problem; each names its line or key.
    """
    document = read_document(content, where, folder)
    problems, is_readable = shape_problems(document.values)
    if is_readable:
        reader = MapReader(document)
        layout = reader.layout()
        problems += reader.problems or compile_problems(layout)
    if problems:
        raise BadMap(listing(f"{where}: the map cannot be used:", map(printable, problems)))
    return layout


def read_layout(path: Path) -> Layout:
    """Return the layout in a mapping file. Raises MissingPath, or BadMap with every problem."""
    return parse_layout(read_file(path), str(path), path.parent)


@cache
def leavings() -> tuple[Leaving, ...]:
    """Return what a training in PyTorch leaves beside the weights, for files in the canonical layout."""
    return tuple(read_leavings(common_tables("pytorch")["leavings"]))


@cache
def _layouts(files: tuple[tuple[Path, tuple[int, int]], ...]) -> tuple[Layout, ...]:
    own = [read_layout(path) for path, _ in files]
    everything = (*own, *_of_the_package())
    names = [layout.name for layout in everything]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadMap(f"layout {twice[0]!r}: two maps have this name; give yours another name")
    return everything


def _added() -> list[Path]:
    return [Path(line) for line in os.environ.get(_ADDED_VARIABLE, "").splitlines()]


def _stamp(path: Path) -> tuple[int, int]:
    """Return values that change with the file; zeros for a missing file, which is reported when it is read."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _maps_in(folder: str) -> list[Path]:
    if not folder:
        return []
    if not Path(folder).is_dir():
        raise MissingPath(f"{FOLDER_VARIABLE}={folder}: is not a folder")
    return sorted(path.absolute() for path in Path(folder).glob("*.toml"))


@cache
def _of_the_package() -> tuple[Layout, ...]:
    """Return the layouts of the package. Tests check their shape, so the schema is skipped here."""
    return tuple(_trusted(file.read_bytes(), file.name) for file in files_of_the_package())


def _trusted(content: bytes, where: str) -> Layout:
    reader = MapReader(read_document(content, where))
    layout = reader.layout()
    if reader.problems:
        raise BadMap(listing(f"{where}: the map cannot be used:", reader.problems))
    return layout
