"""`effconvert timm2pt`: conversion of a timm checkpoint to a canonical file for PyTorch."""

from typing import Any

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.options.conversion import convert_to_torch, to_torch_options


@click.command("timm2pt", cls=Command)
@to_torch_options("Choose published weights: a tag of timm (see `effconvert list`), aa, ns …, or efficientnet_b0.")
def command(**options: Any) -> None:
    """Convert a timm checkpoint to PyTorch.

    With only --variant, the published file is downloaded into the cache, compared with the hash in its name, and
    converted. With FILE, your own is converted. timm's tf_efficientnet_b0 and efficientnet_b0 have the
    same tensors, but are not the same network: if the file does not tell which it is, use --facts.

    Examples:

    \b
      effconvert timm2pt --variant cc-b1-8e
      effconvert timm2pt best.pth.tar --facts padding=symmetric -o b0.pth
    """
    convert_to_torch("timm", **options)
