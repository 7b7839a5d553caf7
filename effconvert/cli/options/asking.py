"""The options of the commands that ask a network about images: which images, how prepared, how the file is read."""

from dataclasses import replace
from typing import Any

import click

from effconvert.cli.options.running import given_reading, reading_options
from effconvert.cli.options.shared import PATH, with_options

# Which images, one or more.
images_argument = click.argument("images", type=PATH, nargs=-1, required=True, metavar="IMAGE...")
# How images are prepared, and how the file is read.
asking_options = with_options(
    click.option("--weights", help="Which training, where the file does not say it: decides how images are prepared."),
    click.option("--recipe", help="How images are prepared, as tf-official or timm; by default as the file says."),
    click.option("--size", type=click.IntRange(32, 4096), help="In pixels; by default the recipe's."),
    click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="What computes; by default cpu."),
    reading_options,
)


def given_question(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the options of `asking_options` say, by the names that the functions behind the commands have."""
    reading, key = given_reading(options)
    return {"options": replace(reading, weights=options.pop("weights")), "key": key, **options}
