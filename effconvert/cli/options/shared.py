"""Options that several commands share."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from effconvert.cli.click_classes import STANDARD_OUTPUT, more_option
from effconvert.cli.options.names import FACT

F = TypeVar("F", bound=Callable[..., Any])


class _Path(click.Path):
    """A path that is not empty: an unset shell variable must not mean the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


# Existence is checked when it is opened, since a TensorFlow prefix is not a file.
PATH = _Path(path_type=Path)


class _JsonOutput(click.ParamType):  # type: ignore[type-arg]
    """Where --json goes: a file, or standard output."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from effconvert.cli.display.json_output import JsonOutput, check_json_file

        if isinstance(value, JsonOutput):
            return value
        path = None if value == STANDARD_OUTPUT else PATH.convert(value, param, ctx)
        if path and not (ctx and ctx.resilient_parsing):
            check_json_file(path)
        return JsonOutput(path)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


def _add_maps(context: click.Context, parameter: click.Parameter, value: tuple[Path, ...]) -> None:
    if value:
        from effconvert.maps.layouts import add_maps

        add_maps(*value)


# Evaluated first, since other options may name its layout.
map_option = more_option(
    "--map",
    type=PATH,
    metavar="MAP",
    multiple=True,
    is_eager=True,
    expose_value=False,
    callback=_add_maps,
    help="Add the map of your own layout, e.g. my.toml (or set EFFCONVERT_MAPS to a folder of maps). Repeatable.",
)
json_option = click.option(
    "--json",
    "as_json",
    type=_JsonOutput(),
    metavar="[FILE.json]",
    help="Print the result as JSON, and nothing else; or also write it to FILE.json, which is replaced.",
)
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
key_option = more_option(
    "--key",
    envvar="EFFCONVERT_KEY",
    help="Decrypt a MindSpore checkpoint with this key (or set EFFCONVERT_KEY, which other users cannot see).",
)
force_option = click.option("--force", is_flag=True, help="Replace an output that exists.")


def _one_classifier(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Refuse an empty --classifier, and one beside --backbone."""
    if value == "":
        raise click.BadParameter("give the layer's name, as the file has it", context, parameter)
    other = {"backbone": "classifier", "classifier": "backbone"}[str(parameter.name)]
    if value and context.params.get(other):
        raise click.UsageError(
            "--backbone leaves out the classifier; give only one of --backbone and --classifier", context
        )
    return value


# The tensors of a file that are taken.
source_options = (
    map_option,
    more_option("--raw", is_flag=True, help="Take the raw weights instead of their averages."),
    more_option(
        "--root", metavar="PREFIX", help="Use the network with this prefix, e.g. teacher., if the file holds several."
    ),
    more_option(
        "--backbone",
        is_flag=True,
        callback=_one_classifier,
        help="Leave out the classifier, and all tensors after or outside the network.",
    ),
    more_option(
        "--classifier",
        metavar="NAME",
        callback=_one_classifier,
        help="Name the classifier's layer, as in the file, e.g. head.fc.",
    ),
    more_option(
        "--leave", metavar="PATTERN", multiple=True, help="Leave these tensors behind, e.g. 'criterion.*'. Repeatable."
    ),
)

facts_option = more_option(
    "--facts",
    "assignments",
    type=FACT,
    multiple=True,
    help="Replace a fact of the network, e.g. bn_eps=1e-5. Repeatable.",
)


def given_facts(assignments: tuple[str, ...]) -> dict[str, str]:
    """Return the facts of --facts. Raises click's usage error for impossible ones."""
    from effconvert.architecture.facts import Facts, changed, parse_assignments
    from effconvert.errors import LayoutMismatch

    try:
        facts = parse_assignments(assignments)
        changed(Facts(), facts)
    except LayoutMismatch as error:
        raise click.UsageError(str(error)) from error
    return facts


def with_options(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Return a decorator that adds options and arguments to a command, in this order."""
    return lambda function: functools.reduce(lambda inner, option: option(inner), reversed(options), function)


def path_argument(name: str, metavar: str | None = None) -> Callable[[F], F]:
    """Return a decorator that adds an argument that is a path."""
    return click.argument(name, type=PATH, metavar=metavar)


def out_option(words: str, **options: Any) -> Callable[[F], F]:
    """Return a decorator that adds the option for the output; `words` is its help."""
    return click.option("--out", "-o", type=PATH, help=words, **options)
