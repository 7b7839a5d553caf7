"""Options that several commands share."""

import functools
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])


class _Path(click.Path):
    """A path that is not empty: an unset shell variable must not mean the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


# Whether it exists is checked where it is opened, since a TensorFlow prefix is not a file.
PATH = _Path(path_type=Path)


class LayoutName(click.ParamType):  # type: ignore[type-arg]
    """The name of a layout, a map of the user's among them."""

    name = "layout"

    def __init__(self, known: Callable[[], tuple[str, ...]]) -> None:
        """Take the function that gives the names that may be given."""
        self.known = known

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "LAYOUT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        known = self.known()
        if value not in known:
            close = get_close_matches(value, known, 1)
            meant = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
            self.fail(f"{value!r} is not a layout that can be written; {meant}", param, ctx)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in self.known() if name.startswith(incomplete)]


def _add_maps(context: click.Context, parameter: click.Parameter, value: tuple[Path, ...]) -> None:
    if value:
        from effconvert.maps.layouts import add_maps

        add_maps(*value)


# First of all, since other options may name its layout.
map_option = click.option(
    "--map",
    type=PATH,
    metavar="MAP",
    multiple=True,
    is_eager=True,
    expose_value=False,
    callback=_add_maps,
    help="A map of your own layout, a .toml file; repeatable. Also all of the folder that EFFCONVERT_MAPS names.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
key_option = click.option(
    "--key",
    envvar="EFFCONVERT_KEY",
    help="Of an encrypted MindSpore checkpoint; also EFFCONVERT_KEY, which no other user sees.",
)
force_option = click.option("--force", is_flag=True, help="Replace an output that exists.")


def _one_classifier(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Refuse an empty --classifier, and one beside --backbone."""
    if value == "":
        raise click.BadParameter("give the layer's name, as the file has it", context, parameter)
    other = {"backbone": "classifier", "classifier": "backbone"}[str(parameter.name)]
    if value and context.params.get(other):
        raise click.UsageError("--backbone takes no classifier; give either that or --classifier", context)
    return value


# Which of a file's tensors are taken.
source_options = (
    map_option,
    click.option("--raw", is_flag=True, help="Take the raw weights instead of their averages."),
    click.option("--root", metavar="PREFIX", help="Of a file that holds several networks: what stands before the one."),
    click.option(
        "--backbone",
        is_flag=True,
        callback=_one_classifier,
        help="Leave out the classifier, and what stands behind or outside of the network.",
    ),
    click.option(
        "--classifier",
        metavar="NAME",
        callback=_one_classifier,
        help="The layer that is the classifier, as the file names it.",
    ),
    click.option(
        "--leave", metavar="PATTERN", multiple=True, help="Leave these tensors behind, as 'criterion.*'; repeatable."
    ),
)

facts_option = click.option(
    "--facts", "assignments", multiple=True, metavar="NAME=VALUE", help="As fused_stride=expand; repeatable."
)


def given_facts(assignments: tuple[str, ...]) -> dict[str, str]:
    """Return the facts that --facts gives. Raises click's usage error for those that nothing can have."""
    from effconvert.architecture.facts import Facts, changed, parse_assignments
    from effconvert.errors import LayoutMismatch

    try:
        facts = parse_assignments(assignments)
        changed(Facts(), facts)
    except LayoutMismatch as error:
        raise click.UsageError(str(error)) from error
    return facts


def with_options(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Return what adds options and arguments to a command, in this order."""
    return lambda function: functools.reduce(lambda inner, option: option(inner), reversed(options), function)


def path_argument(name: str) -> Callable[[F], F]:
    """An argument that is a path."""
    return click.argument(name, type=PATH)
