"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
force_option = click.option("--force", is_flag=True, help="Replace an output that exists.")


def path_argument(name: str) -> Callable[[F], F]:
    """An argument that is a path; whether it exists is checked where it is opened, since a prefix is no file."""
    return click.argument(name, type=click.Path(path_type=Path))
