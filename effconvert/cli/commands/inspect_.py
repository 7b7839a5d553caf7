"""`effconvert inspect`: the contents of a checkpoint."""

from pathlib import Path

import click

from effconvert.cli.display.output import print_json
from effconvert.cli.options.shared import json_option, key_option, map_option, path_argument


@click.command("inspect")
@path_argument("path")
@click.option("--tensors", is_flag=True, help="List every tensor, not only the first ones.")
@key_option
@map_option
@json_option
def command(path: Path, tensors: bool, key: str | None, as_json: bool) -> None:
    """Show the contents of a checkpoint: format, layout, variant, sets of weights, tensors.

    PATH is a file, a folder, a TensorFlow prefix, a SavedModel, or a .tar.gz of one, of any framework. The data is not
    read.

    Example: effconvert inspect b0.safetensors
    """
    from effconvert.cli.display.checkpoints import SHOWN, print_inspection
    from effconvert.identify.inspection import inspect

    found = inspect(path, key.encode() if key else None)
    if as_json:
        print_json(found.to_dict())
    else:
        print_inspection(found, len(found.tensors) if tensors else SHOWN)
