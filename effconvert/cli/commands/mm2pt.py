"""`effconvert mm2pt`: an OpenMMLab checkpoint becomes canonical PyTorch."""

from typing import Any

import click

from effconvert.cli.options.conversion import convert_to_torch, to_torch_options


@click.command("mm2pt")
@to_torch_options("base, aa, advprop, ra-ns … as `effconvert list --framework mmpretrain` shows. Default: aa.")
def command(**options: Any) -> None:
    """Convert an OpenMMLab mmpretrain (mmcls) checkpoint to PyTorch.

    With --variant alone the published .pth is downloaded into the cache, compared with the hash in its name, and
    converted; with --checkpoint your own is, published or from training: where it has averages, they are taken.

    Examples:

    \b
      effconvert mm2pt --variant b0 --weights aa
      effconvert mm2pt --checkpoint epoch_100.pth --out b0.safetensors
    """
    convert_to_torch("mmpretrain", **options)
