"""`effconvert timm2pt`: a timm checkpoint becomes canonical PyTorch."""

from typing import Any

import click

from effconvert.cli.options.conversion import convert_to_torch, to_torch_options


@click.command("timm2pt")
@to_torch_options("A tag as `effconvert list --framework timm` shows, or aa, ns …, or a network: efficientnet_b0.")
def command(**options: Any) -> None:
    """Convert a timm checkpoint to PyTorch.

    With --variant alone the published file is downloaded into the cache, compared with the hash in its name, and
    converted; with --checkpoint your own is. timm's tf_efficientnet_b0 and efficientnet_b0 have the same tensors and
    are not the same network: where the file does not say which, --facts does.

    Examples:

    \b
      effconvert timm2pt --variant cc-b1-8e
      effconvert timm2pt --checkpoint model_best.pth.tar --facts padding=symmetric --out b0.safetensors
    """
    convert_to_torch("timm", **options)
