"""`effconvert pt2timm`: conversion of a file to a timm checkpoint."""

from pathlib import Path
from typing import Any

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.options.conversion import convert_file, from_torch_options
from effconvert.cli.options.shared import path_argument


@click.command("pt2timm", cls=Command)
@path_argument("file")
@from_torch_options("Write this .safetensors or .pth file.")
def command(file: Path, out: Path, **options: Any) -> None:
    """Convert a file of any layout to a timm checkpoint.

    The report shows the call of timm.create_model that builds the network of the weights.

    Example: effconvert pt2timm b0.safetensors --out b0-timm.safetensors
    """
    convert_file(file, out, to="timm", **options)
