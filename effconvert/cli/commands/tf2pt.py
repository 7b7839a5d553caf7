"""`effconvert tf2pt`: a TensorFlow checkpoint becomes canonical PyTorch."""

from typing import Any

import click

from effconvert.cli.options.conversion import convert_to_torch, to_torch_options


@click.command("tf2pt")
@to_torch_options("base, aa, ra, advprop, ns (l2: ns, ns-475). Default: aa, else the newest.")
def command(**options: Any) -> None:
    """Convert a TensorFlow checkpoint to PyTorch.

    With --variant alone the published checkpoint is downloaded into the cache and converted; with --checkpoint your
    own is: a folder, prefix, .index, .tar.gz or SavedModel. Averages are taken where the file has them.

    Examples:

    \b
      effconvert tf2pt --variant b7
      effconvert tf2pt --checkpoint efficientnet-b0/ --out b0.safetensors
    """
    convert_to_torch("tensorflow", **options)
