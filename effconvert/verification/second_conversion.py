"""Second conversion of a source, as a command or a call that can be copied: the fix for a file that differs."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from effconvert.conversion.outputs import SUFFIXES
from effconvert.identify.preprocessing import training_of
from effconvert.option_words import PLACEHOLDER, are_typed, in_full
from effconvert.verification.network_files import NetworkFile

_FOR_READING = ("variant", "weights", "raw", "root", "backbone", "classifier", "leave")
_RECORDED = ("raw", "root", "backbone", "classifier", "leave", "dtype", "drop_background_class", "recipe")


def command_again(source: NetworkFile, converted: NetworkFile, changes: Mapping[str, Any]) -> str:
    """Return what converts `source` again as `converted` was made, but with `changes` of its options; beside the old.

    It is "" if effconvert cannot write the layout of `converted`.
    """
    layout = converted.identity.layout
    if layout and not layout.write:
        return ""
    facts = {**(source.options.facts or {}), **changes.get("facts", {})}
    options = {"to": converted.identity.layout_name, **_options(source, converted), **changes, "facts": facts}
    if source.key:
        options["key"] = PLACEHOLDER
    path, out = str(source.path), str(_beside(converted))
    if are_typed():
        return " ".join(["effconvert convert", shlex.quote(path), *in_full({**options, "out": out})])
    return f"effconvert.convert({', '.join([_quoted(path), _quoted(out), *in_full(options)])})"


def _options(source: NetworkFile, converted: NetworkFile) -> dict[str, Any]:
    """Return the options with which `source` is read here, and those that its conversion into `converted` recorded."""
    reading = {name: getattr(source.options, name) for name in _FOR_READING}
    description = converted.identity.description
    if description is None or not set(source.sha256.values()) <= set(map(str, description.source.values())):
        return reading
    said = {name: description.options[name] for name in _RECORDED if name in description.options}
    recorded = description.weights if description.weights != training_of(source.identity, None) else None
    made = {"fold_eps": "fold_eps" in description.options, "allow_inexact": "inexact" in description.options}
    return {**reading, **({"weights": recorded} if recorded else {}), **said, **made}


def _beside(converted: NetworkFile) -> Path:
    """Return a new name beside the converted file, or beside its folder if its library writes one."""
    path, layout = converted.path, converted.identity.layout
    if layout and layout.library.folder:
        folder = path if path.is_dir() else path.parent
        return folder.with_name(f"{folder.name}-fixed") if folder.name else Path("fixed")
    suffix = max((each for each in SUFFIXES if path.name.endswith(each)), key=len, default="")
    return path.with_name(f"{path.name.removesuffix(suffix)}-fixed{suffix or '.safetensors'}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
