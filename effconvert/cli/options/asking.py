"""Options of `predict` and `features`: the images, their preprocessing, and how the file is read."""

from dataclasses import replace
from typing import Any

import click

from effconvert.cli.options.names import RECIPE, TRAINING, device_choice
from effconvert.cli.options.running import given_reading, max_pixels_option, reading_options
from effconvert.cli.options.shared import PATH, with_options

# One or more images.
images_argument = click.argument("images", type=PATH, nargs=-1, required=True, metavar="IMAGE...")
# The preprocessing of images, and how the file is read.
asking_options = with_options(
    click.option(
        "--weights",
        type=TRAINING,
        help="Name the training, e.g. ns, if the file does not tell it; it decides the preprocessing.",
    ),
    click.option(
        "--recipe", type=RECIPE, help="Prepare images by this recipe, e.g. tf-official or timm. Default: the file's."
    ),
    click.option(
        "--size",
        type=click.IntRange(32, 4096),
        metavar="N",
        help="Set the image size in pixels. Default: the recipe's.",
    ),
    click.option("--device", type=device_choice(), default="cpu", help="Choose the device. Default: cpu."),
    max_pixels_option,
    reading_options,
)


def given_question(options: dict[str, Any]) -> dict[str, Any]:
    """Return the values of `asking_options` as arguments of the functions behind the commands."""
    reading, key = given_reading(options)
    return {"options": replace(reading, weights=options.pop("weights")), "key": key, **options}
