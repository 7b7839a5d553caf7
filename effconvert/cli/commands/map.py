"""`effconvert map`: commands for maps, which describe how a library names the tensors of EfficientNet."""

from importlib import import_module

import click

# One line of help for each command, here so that `--help` imports none of them.
_COMMANDS = {
    "check": "Show all errors in a map, and check that it reads a checkpoint.",
    "moves": "Show the canonical name of each tensor of a layout.",
    "draft": "Draft a map of a file whose layout is unknown.",
}


class _Commands(click.Group):
    """Imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"effconvert.cli.commands.map_{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group("map", cls=_Commands)
def command() -> None:
    """Check, show and draft maps: files that describe the names and axes of a library's tensors of EfficientNet.

    The language is explained in mappings/README.md. With --map FILE, every command that reads or writes checkpoints
    knows the layout of your own map; set EFFCONVERT_MAPS to use all maps of a folder.

    Example: effconvert map moves timm --variant b0
    """
