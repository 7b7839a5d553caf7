"""`effconvert map check`: a check of a map, and of a checkpoint that it should read."""

from pathlib import Path

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.terminal import GOOD, say
from effconvert.cli.options.shared import PATH, key_option, path_argument


def _print_schema(context: click.Context, parameter: click.Parameter, is_asked: bool) -> None:
    """Print the schema and exit."""
    if is_asked and not context.resilient_parsing:
        from effconvert.maps.map_schema import schema_text

        click.echo(schema_text(), nl=False)
        context.exit()


@click.command("check", cls=Command)
@path_argument("map_file", "MAP")
@click.argument("checkpoint", type=PATH, required=False, metavar="[FILE]")
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of maps, for editors, and exit.",
)
@key_option
def command(map_file: Path, checkpoint: Path | None, key: str | None) -> None:
    """Check a map: its shape by the JSON Schema, then its meaning, for every variant that it names.

    FILE is a checkpoint, which is read by this map only: every tensor must have a place, or a reason to stay behind.
    Exit code 4: the map cannot be used, or does not read the file; all errors are shown at once.

    Example: effconvert map check my-library.toml
    """
    from effconvert.identify.map_check import check_map

    found = check_map(map_file, checkpoint, key.encode() if key else None)
    layout = found.layout
    say(f"{map_file}: layout {layout.name}, of {layout.library.title}: the map is good", GOOD)
    say(f"variants: {', '.join(layout.variants)}")
    for remark in found.remarks:
        say(remark)
