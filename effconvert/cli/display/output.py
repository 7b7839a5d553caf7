"""Results as JSON: printed, or written to a file."""

import json
from pathlib import Path
from typing import Any

import click

from effconvert.atomic import check_output, new_file, reported
from effconvert.errors import OutputProblem


def print_json(value: Any) -> None:
    """Print `value` as JSON, keys sorted."""
    click.echo(json.dumps(value, indent=2, sort_keys=True))


def check_json_file(path: Path) -> None:
    """Raise OutputProblem if `json_written` would; called before the work."""
    check_output(path, force=True)
    if not path.exists():
        return
    if not path.is_file():  # a folder, or a device, which a file would replace
        raise OutputProblem(f"{path}: is not a file; give the name of a file")
    with reported(path), path.open("rb") as file:
        begins = file.read(1)
    if begins not in (b"", b"{"):
        raise OutputProblem(f"{path}: exists and is not JSON; give another name")


def json_written(path: Path, value: Any) -> None:
    """Write `value` as JSON to the file at `path`, in one step. Raises OutputProblem."""
    with new_file(path, force=True) as (file, _):
        file.write((json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())
