"""`effconvert mm2pt`: conversion of an OpenMMLab checkpoint to a canonical file for PyTorch."""

from typing import Any

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.options.conversion import convert_to_torch, to_torch_options


@click.command("mm2pt", cls=Command)
@to_torch_options("Choose published weights: base, aa, advprop, ra-ns …; see `effconvert list`. Default: aa.")
def command(**options: Any) -> None:
    """Convert an OpenMMLab mmpretrain (mmcls) checkpoint to PyTorch.

    With only --variant, the published .pth is downloaded into the cache, compared with the hash in its name, and
    converted. With FILE, your own is converted, published or from training; if it has averages, they are
    taken.

    Examples:

    \b
      effconvert mm2pt --variant b0 --weights aa
      effconvert mm2pt epoch_100.pth --out b0.safetensors
    """
    convert_to_torch("mmpretrain", **options)
