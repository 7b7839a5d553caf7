"""The options of the commands that ask a network about images: which images, how prepared, how the file is read."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click

from effconvert.cli.options.running import given_reading, reading_options
from effconvert.cli.options.shared import PATH

F = TypeVar("F", bound=Callable[..., Any])

_PREPARING = (
    click.option("--weights", help="Which training, where the file does not say it: decides how images are prepared."),
    click.option("--recipe", help="How images are prepared, as tf-official or timm; by default as the file says."),
    click.option("--size", type=click.IntRange(32, 4096), help="In pixels; by default the recipe's."),
    click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="What computes; by default cpu."),
)


def images_argument(function: F) -> F:
    """Add the argument that names images and folders of them, one or more."""
    return click.argument("images", type=PATH, nargs=-1, required=True, metavar="IMAGE...")(function)


def asking_options(function: F) -> F:
    """Add the options that say how images are prepared and how the file is read."""
    return functools.reduce(lambda inner, option: option(inner), reversed(_PREPARING), reading_options(function))


def given_question(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the options of `asking_options` say, by the names that the functions behind the commands have."""
    reading, key = given_reading(options)
    return {"options": replace(reading, weights=options.pop("weights")), "key": key, **options}
