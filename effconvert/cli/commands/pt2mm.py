"""`effconvert pt2mm`: conversion of a file to an OpenMMLab checkpoint."""

from pathlib import Path
from typing import Any

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.options.conversion import convert_file, from_torch_options
from effconvert.cli.options.shared import path_argument


@click.command("pt2mm", cls=Command)
@path_argument("file")
@from_torch_options("Write this .pth file.")
def command(file: Path, out: Path, **options: Any) -> None:
    """Convert a file of any layout to an mmpretrain checkpoint.

    Example: effconvert pt2mm b0.safetensors --out b0-mmpretrain.pth
    """
    convert_file(file, out, to="mmpretrain", **options)
