"""Results as JSON: printed, or written to a file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from effconvert.atomic import check_output, new_file, reported
from effconvert.errors import OutputProblem, UnreadableCheckpoint
from effconvert.report.renderings.json_text import json_text

_LARGEST = 1 << 28  # bytes of a file that may be replaced
_BLANK = 1 << 10


@dataclass(frozen=True)
class JsonOutput:
    """What --json asks for; path: None is standard output."""

    path: Path | None


def print_json(value: Any) -> None:
    """Print `value` as JSON, keys sorted."""
    click.echo(json.dumps(value, indent=2, sort_keys=True))


def printed_as_json(asked: JsonOutput | None) -> bool:
    """Return whether standard output is for JSON only."""
    return asked is not None and asked.path is None


def put_json(asked: JsonOutput | None, value: Any) -> bool:
    """Print or write `value`, as --json asks, and return whether it was printed: then nothing else may be.

    Raises OutputProblem.
    """
    if asked is None:
        return False
    if asked.path is None:
        print_json(value)
        return True
    with new_file(asked.path, force=True) as (file, _):
        file.write(json_text(value).encode())
    return False


def check_json_file(path: Path) -> None:
    """Raise OutputProblem if `path` cannot be written, or is not a file that --json may replace.

    Called before the work. Only JSON of effconvert is replaced: an index of shards or a config.json is not.
    """
    if path.suffix != ".json":
        raise OutputProblem(f"{path}: a file of JSON ends in .json; give another name with --json")
    check_output(path, force=True)
    if not path.exists():
        return
    if not path.is_file():  # a folder, or a device, which a file would replace
        raise OutputProblem(f"{path}: is not a file; give the name of a file")
    if not _is_ours(path):
        raise OutputProblem(f"{path}: exists and was not written by --json; give another name")


def _is_ours(path: Path) -> bool:
    """Return whether the file at `path` is empty, or JSON that effconvert wrote."""
    from effconvert.formats.strict_json import read_json_object  # with numpy, which a new file does not need

    with reported(path):
        if path.stat().st_size < _BLANK and not path.read_bytes().strip():
            return True
    try:
        found = read_json_object(path, _LARGEST)
    except UnreadableCheckpoint:
        return False
    return str(found.get("schema", "")).startswith("effconvert/")
