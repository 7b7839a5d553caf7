"""`effconvert inspect`: the contents of a checkpoint."""

from pathlib import Path

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.options.shared import json_option, key_option, map_option, path_argument


@click.command("inspect", cls=Command)
@path_argument("path", "FILE")
@click.option("--tensors", is_flag=True, help="List every tensor, not only the first ones.")
@key_option
@map_option
@json_option
def command(path: Path, tensors: bool, key: str | None, as_json: JsonOutput | None) -> None:
    """Show the contents of a checkpoint: format, layout, variant, sets of weights, tensors.

    FILE is a file, a folder, a TensorFlow prefix, a SavedModel, or a .tar.gz of one, of any framework. The data is not
    read. Of an ONNX or TFLite file: what it wants of its images, and what it answers.

    Example: effconvert inspect b0.safetensors
    """
    from effconvert.cli.display.checkpoints import SHOWN, print_inspection
    from effconvert.identify.inspection import inspect

    found = inspect(path, key.encode() if key else None)
    if not put_json(as_json, {"schema": "effconvert/inspection/1", **found.to_dict()}):
        print_inspection(found, len(found.tensors) if tensors else SHOWN)
