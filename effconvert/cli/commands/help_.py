"""`effconvert help`: the help of a command."""

import click

from effconvert.cli.click_classes import Command, CommandGroup, Context


@click.command("help", cls=Command)
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def command(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command, or of effconvert.

    Example: effconvert help verify
    """
    assert context.parent
    asked = context.parent
    for word in words:
        if not isinstance(asked.command, CommandGroup):
            raise click.UsageError(f"{asked.command_path} has no commands; leave out {word!r}", context)
        found = asked.command.require_command(asked, word)
        asked = Context(found, parent=asked, info_name=word, max_content_width=asked.max_content_width)
    click.echo(asked.get_help())
