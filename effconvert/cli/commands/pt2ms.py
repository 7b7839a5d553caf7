"""`effconvert pt2ms`: conversion of a file to a MindSpore checkpoint."""

from pathlib import Path
from typing import Any

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.options.conversion import convert_file, from_torch_options
from effconvert.cli.options.names import Choice
from effconvert.cli.options.shared import path_argument
from effconvert.maps.layouts import layout_called
from effconvert.maps.map_names import family_members


@click.command("pt2ms", cls=Command)
@path_argument("file")
@click.option(
    "--library",
    type=Choice(family_members("mindspore"), layout_called),
    help="Choose the library. Default: the one with the padding of the weights; MindCV pads like TensorFlow.",
)
@from_torch_options("Write this .ckpt or .safetensors file.")
def command(file: Path, out: Path, library: str | None, **options: Any) -> None:
    """Convert a file of any layout to a MindSpore checkpoint.

    mindspore.load_checkpoint reads it, and load_param_into_net takes every tensor. TensorFlow's weights have another
    BatchNorm epsilon than MindCV's b0 to b4: --fold-eps absorbs it.

    Example: effconvert pt2ms b0.safetensors --fold-eps --out b0.ckpt
    """
    convert_file(file, out, to=library or "mindspore", **options)
