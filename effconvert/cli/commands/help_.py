"""`effconvert help`: the help of a command."""

import click
from click.shell_completion import CompletionItem

from effconvert.cli.click_classes import Command, CommandGroup, Context


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the commands of the group that the words before lead to."""
    group = context.find_root().command
    for word in context.params.get("words") or ():
        group = group.get_command(context, word) if isinstance(group, CommandGroup) else None  # type: ignore[assignment]
    names = group.list_commands(context) if isinstance(group, CommandGroup) else []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command("help", cls=Command)
@click.argument("words", nargs=-1, metavar="[COMMAND]...", shell_complete=_complete)
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
