"""`effconvert pt2tf`: conversion of a file to a TensorFlow checkpoint."""

from pathlib import Path
from typing import Any

import click

from effconvert.cli.click_classes import Command, more_option
from effconvert.cli.options.conversion import convert_file, from_torch_options
from effconvert.cli.options.names import Choice
from effconvert.cli.options.shared import path_argument


@click.command("pt2tf", cls=Command)
@path_argument("file")
@more_option(
    "--names",
    type=Choice(["raw", "average", "both"]),
    help="Choose the tensors; the official evaluation restores averages. Default: both, for raw weights raw.",
)
@from_torch_options("Write this folder.")
def command(file: Path, out: Path, **options: Any) -> None:
    """Convert a file of any layout to a TensorFlow V2 checkpoint.

    The folder then holds model.ckpt.index, model.ckpt.data-00000-of-00001 and checkpoint, under the official names;
    tf.train.load_checkpoint and the official evaluation restore it.

    Example: effconvert pt2tf b0.safetensors --out b0-tensorflow
    """
    convert_file(file, out, to="tf-official", **options)
