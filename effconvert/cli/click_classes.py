"""click's classes as effconvert uses them: options in two sections, commands in sections, names that are close."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import Any

import click

from effconvert.errors import EffconvertError, close_name

_JSON = "--json"
_JSON_SUFFIX = ".json"
STANDARD_OUTPUT = "-"
_NAMES = ("to", "variant", "framework")  # options whose value may be given as an argument by mistake
_EXTRA = re.compile(r"Got unexpected extra arguments? \((\S+).*\)")
_HYPHEN = "\N{NON-BREAKING HYPHEN}"


class _Formatter(click.HelpFormatter):
    """Writes help that has line breaks between words only, and not after a hyphen, as in `tf-official`."""

    def write(self, string: str) -> None:
        super().write(string.replace(_HYPHEN, "-"))

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", _HYPHEN))

    def write_dl(self, rows: Iterable[tuple[str, str]], *sizes: int, **named_sizes: int) -> None:
        super().write_dl([(name, words.replace("-", _HYPHEN)) for name, words in rows], *sizes, **named_sizes)


class Context(click.Context):
    """A context whose help has line breaks between words only."""

    formatter_class = _Formatter


class MoreOption(click.Option):
    """An option that few users need: --help shows it after the others."""


# Decorates a command with such an option.
more_option = partial(click.option, cls=MoreOption)


class Command(click.Command):
    """A command; --help shows first the options that most users need."""

    context_class = Context

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, _with_json_value(args))
        except click.MissingParameter as error:
            raise self._with_example(error, ctx) from error
        except click.UsageError as error:
            word = _behind_json(given)
            if not word or word not in error.message:
                if extra := _EXTRA.fullmatch(error.message):
                    raise click.UsageError(self._of_extra(ctx, extra[1]), ctx) from error
                raise
            words = f"{error.format_message()}; if it is the file for --json: that must end in {_JSON_SUFFIX}"
            raise click.UsageError(words, ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.MissingParameter as error:
            raise self._with_example(error, ctx) from error

    def _with_example(self, error: click.MissingParameter, ctx: click.Context) -> click.UsageError:
        """Return the error with the first example of the command's help."""
        lines = [line.strip().removeprefix("Example: ") for line in (self.help or "").splitlines()]
        example = next((line for line in lines if line.startswith("effconvert ")), "")
        words = " ".join(error.format_message().split())
        return click.UsageError(f"{words.rstrip('.')}.\nExample: {example}" if example else words, ctx)

    def _of_extra(self, ctx: click.Context, word: str) -> str:
        """Return the message for an argument that is one too many, and the option that may have been meant."""
        taken = " ".join(param.human_readable_name for param in self.params if isinstance(param, click.Argument))
        options = {str(param.name): param for param in self.params if isinstance(param, click.Option)}
        named = [name for name in _NAMES if name in options and _accepts(options[name], word, ctx)]
        meant = named[0] if named else "out" if "out" in options else ""
        advice = f"; did you mean --{meant} {word}?" if meant else ""
        return f"{word} is one argument too many: the command takes {taken or 'only options'}{advice}"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        shown = [(param, param.get_help_record(ctx)) for param in self.get_params(ctx)]
        options = [(param, record) for param, record in shown if record and isinstance(param, click.Option)]
        for title, is_more in (("Options", False), ("More options", True)):
            if rows := [record for param, record in options if isinstance(param, MoreOption) is is_more]:
                with formatter.section(title):
                    formatter.write_dl(rows)
        for kind in dict.fromkeys(param.type for param in self.params):
            if rows_of := getattr(kind, "help_rows", None):
                with formatter.section(kind.section[0]):  # type: ignore[attr-defined]
                    formatter.write_dl(rows_of())


def _accepts(option: click.Option, word: str, ctx: click.Context) -> bool:
    try:
        option.type.convert(word, option, ctx)
    except (click.UsageError, EffconvertError):
        return False
    return True


class CommandGroup(click.Group):
    """A group of commands in sections, each imported when it is called."""

    context_class = Context

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Mapping[str, str]],
        room: str,
        meant: Callable[[str], str] = lambda name: "",
        **options: Any,
    ) -> None:
        """Store the commands.

        sections: {title: {command: its line of help}}, so that `--help` imports none of them. room: the beginning of
        the names of their modules. meant: returns what to type for a name that is not a command, "" if unknown.
        """
        super().__init__(*args, **options)
        self.sections = sections
        self.room = room
        self.meant = meant

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for commands in self.sections.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(module_of(cmd_name, self.room)).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and not args[0].startswith("-"):
            self.require_command(ctx, args[0])
        return super().resolve_command(ctx, args)

    def require_command(self, ctx: click.Context, name: str) -> click.Command:
        """Return the command `name`. Raises click's usage error, which names the command that was probably meant."""
        if command := self.get_command(ctx, name):
            return command
        close = close_name(name, self.list_commands(ctx))
        words = self.meant(name) or (f"did you mean {close}?" if close else "")
        words = words or f"`{ctx.command_path} --help` lists all commands"
        raise click.UsageError(f"{name!r} is not a command; {words}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.list_commands(ctx)))
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{width}}", words) for name, words in commands.items()])


def module_of(command: str, room: str) -> str:
    """Return the module of a command; one whose name is a word of Python ends with an underscore."""
    return f"{room}{command}{'_' if command in _WORDS_OF_PYTHON else ''}"


_WORDS_OF_PYTHON = ("inspect", "list", "help")


def _behind_json(args: Sequence[str]) -> str:
    """Return the word behind a `--json` without a value, which may have been meant as its file; "" without one."""
    found = (word for option, word in pairwise(args) if option == _JSON and not word.endswith(_JSON_SUFFIX))
    return next((word for word in found if not word.startswith("-")), "")


def _with_json_value(args: Sequence[str]) -> list[str]:
    """Give every `--json` its value: the next word if that is a file of JSON by its name, else standard output.

    So `inspect --json b0.pth` prints, and the file b0.pth is not taken for the output.
    """
    given = list(args)
    end = given.index("--") if "--" in given else len(given)
    done: list[str] = []
    while given and len(args) - len(given) < end:
        word = given.pop(0)
        if word == _JSON:
            is_file = bool(given) and given[0].endswith(_JSON_SUFFIX)
            word = f"{_JSON}={given.pop(0) if is_file else STANDARD_OUTPUT}"
        done.append(word)
    return [*done, *given]
