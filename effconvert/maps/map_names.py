"""Names of layouts and runners, read from the maps without compiling them: for --help and choices."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from effconvert.architecture.canonical import CANONICAL
from effconvert.maps.documents import files_of_the_package


def layout_names() -> tuple[str, ...]:
    """Return all layouts of the package, canonical first."""
    return (CANONICAL, *(table["layout"] for table in _tables()))


def target_names() -> tuple[str, ...]:
    """Return the writable layouts of the package, canonical first."""
    return (CANONICAL, *(table["layout"] for table in _tables() if table.get("write", True)))


ONNX, TFLITE = "onnx", "tflite"  # the runners of deployed files, which hold their network and have no layout


def runner_names() -> tuple[str, ...]:
    """Return the frameworks that have a runner."""
    return tuple(dict.fromkeys(_libraries("runner")))


def runners_called(name: str) -> tuple[str, ...]:
    """Return the frameworks with a runner that `name` means, by the names of their layouts; none for an unknown name.

    Example: `runners_called("hf")` is `("huggingface",)`, `runners_called("mindspore")` is `("mindcv", "mindvision")`.
    """
    plain = name.lower().replace("_", "-")
    found = (library["runner"] for library, names in _named_libraries() if "runner" in library and plain in names)
    return tuple(dict.fromkeys(found))


def family_members(name: str) -> tuple[str, ...]:
    """Return the layouts of the package in a family, such as `mindspore`."""
    return tuple(table["layout"] for table in _tables() if table.get("library", {}).get("family") == name)


def _named_libraries() -> Iterator[tuple[Mapping[str, Any], set[str]]]:
    """Yield each table [library] of the package with all names of its layout."""
    for table in _tables():
        library = table.get("library", {})
        own = {table["layout"], library.get("runner", ""), library.get("family", "")}
        yield library, {*own, *library.get("names", ())} - {""}


def _libraries(key: str) -> Iterator[str]:
    return (table["library"][key] for table in _tables() if key in table.get("library", {}))


@cache
def _tables() -> tuple[Mapping[str, Any], ...]:
    return tuple(tomllib.loads(file.read_text(encoding="utf-8")) for file in files_of_the_package())
