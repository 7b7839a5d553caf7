"""`effconvert map`: commands for maps, which describe how a library names the tensors of EfficientNet."""

import click

from effconvert.cli.click_classes import CommandGroup

# One line of help for each command, here so that `--help` imports none of them.
_SECTIONS = {
    "Commands": {
        "check": "Show all errors in a map, and check that it reads a checkpoint.",
        "moves": "Show the canonical name of each tensor of a layout.",
        "draft": "Draft a map of a file whose layout is unknown.",
    }
}


@click.group("map", cls=CommandGroup, sections=_SECTIONS, room="effconvert.cli.commands.map_")
def command() -> None:
    """Check, show and draft maps: files that describe the names and axes of a library's tensors of EfficientNet.

    The language is explained in mappings/README.md. With --map FILE, every command that reads or writes checkpoints
    knows the layout of your own map; set EFFCONVERT_MAPS to use all maps of a folder.

    Example: effconvert map moves timm --variant b0
    """
