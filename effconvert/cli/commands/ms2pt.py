"""`effconvert ms2pt`: conversion of a MindSpore checkpoint to a canonical file for PyTorch."""

from typing import Any

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.options.conversion import convert_to_torch, to_torch_options


@click.command("ms2pt", cls=Command)
@to_torch_options("Choose published weights: mindvision (b0 to b7) or mindcv (b0, b1). Default: mindvision.")
def command(**options: Any) -> None:
    """Convert a MindSpore checkpoint to PyTorch.

    With only --variant, the file that mindvision published is downloaded into the cache and converted. With
    FILE, your own .ckpt of mindvision, MindCV or the model zoo is converted. --key decrypts an encrypted file.

    Examples:

    \b
      effconvert ms2pt --variant b0
      effconvert ms2pt b0.ckpt --out b0.safetensors
    """
    convert_to_torch("mindspore", **options)
