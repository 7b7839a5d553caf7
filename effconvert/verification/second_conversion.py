"""Second conversion of a source, as a command or a call that can be copied: the fix for a file that differs."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from effconvert.conversion.outputs import SUFFIXES
from effconvert.identify.preprocessing import training_of
from effconvert.option_words import either, flag, option
from effconvert.verification.network_files import NetworkFile

_FOR_READING = ("variant", "weights", "raw", "root", "backbone", "classifier", "leave")
_RECORDED = ("raw", "root", "backbone", "classifier", "leave", "dtype", "drop_background_class", "recipe")
_UNKNOWN = "…"


def command_again(source: NetworkFile, converted: NetworkFile, changes: Mapping[str, Any]) -> str:
    """Return what converts `source` again as `converted` was made, but with `changes` of its options; beside the old.

    It is "" if effconvert cannot write the layout of `converted`.
    """
    layout = converted.identity.layout
    if layout and not layout.write:
        return ""
    options = {**_options(source, converted), **changes}
    facts = {**(source.options.facts or {}), **changes.get("facts", {})}
    given = [_written(name, value) for name, value in ({**options, "facts": facts}).items() if value]
    if source.key:
        given.append(option("key", _UNKNOWN))
    out, to = str(_beside(converted)), option("to", converted.identity.layout_name)
    if either("typed", ""):
        return " ".join(["effconvert convert", shlex.quote(str(source.path)), to, *given, f"--out {shlex.quote(out)}"])
    return f"effconvert.convert({', '.join([_quoted(str(source.path)), _quoted(out), to, *given])})"


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


def _written(name: str, value: Any) -> str:
    if value is True:
        return flag(name)
    return option(name, either(shlex.quote(value), value) if isinstance(value, str) else value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
