"""`effconvert tf2pt`: conversion of a TensorFlow checkpoint to a canonical file for PyTorch."""

from typing import Any

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.options.conversion import convert_to_torch, to_torch_options


@click.command("tf2pt", cls=Command)
@to_torch_options("Choose published weights: base, aa, ra, advprop, ns (l2: ns, ns-475). Default: aa, else the newest.")
def command(**options: Any) -> None:
    """Convert a TensorFlow checkpoint to PyTorch.

    With only --variant, the published checkpoint is downloaded into the cache and converted. With FILE, your own is
    converted: a folder, prefix, .index, .tar.gz or SavedModel. If the file has averages, they are taken.

    Examples:

    \b
      effconvert tf2pt --variant b7
      effconvert tf2pt efficientnet-b0/ --out b0.safetensors
    """
    convert_to_torch("tensorflow", **options)
