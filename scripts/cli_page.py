"""Prints docs/cli.md: the help of every command, as `effconvert COMMAND --help` prints it."""

from collections.abc import Iterator

import click

from effconvert.cli import SECTIONS, cli
from effconvert.cli.click_classes import Context

_WIDTH = 100
_HEAD = """# Command line

Every command with its `--help`. This page is written by `make pages`; a test compares it with the commands.

Commands that write a file refuse one that exists, unless `--force` is given.
What a failure means is on the page [Exit codes](exit-codes.md).
"""


def main() -> None:
    print(_HEAD)
    for title, commands in SECTIONS.items():
        print(f"{title}:\n")
        print("\n".join(f"- [`{name}`](#effconvert-{name}): {words}" for name, words in commands.items()), end="\n\n")
    root = Context(cli, info_name="effconvert", terminal_width=_WIDTH, max_content_width=_WIDTH)
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        assert command
        print("\n".join(_sections(command, root, name)))


def _sections(command: click.Command, parent: click.Context, name: str) -> Iterator[str]:
    context = Context(command, info_name=name, parent=parent, terminal_width=_WIDTH, max_content_width=_WIDTH)
    context.help_option_names = ["-h", "--help"]
    level = "#" * (2 if parent.parent is None else 3)
    yield f"\n{level} {context.command_path}\n\n```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for part in command.list_commands(context):
            inner = command.get_command(context, part)
            assert inner
            yield from _sections(inner, context, part)


if __name__ == "__main__":
    main()
