"""Terminal output that several commands share: reports, JSON, progress bars, sizes."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from effconvert.architecture.canonical import CANONICAL
from effconvert.architecture.facts import complete, only_assumed
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.errors import listing
from effconvert.preprocessing.recipes import Recipe
from effconvert.report.renderings.numbers_text import size as size_text

if TYPE_CHECKING:
    from effconvert.conversion.steps import Report

_NAMED = 4


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print (label, text) pairs in two columns; the indentation of a text is kept, for code."""
    printed = [[printable(cell) for cell in pair] for pair in pairs]
    width = max((len(label) for label, _ in printed), default=0)
    for label, text in printed:
        click.echo(f"{label:<{width}}  {text}".rstrip())


def printable(text: str) -> str:
    """Return `text` with escaped control characters: text from a file must not control the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def counted(number: int) -> str:
    """Return a number of tensors in words."""
    return f"{number:,} tensor{'s' * (number != 1)}"


def facts_text(facts: Mapping[str, Any], assumed: Sequence[str] = ()) -> str:
    """Return facts in one line; those in `assumed` are marked."""
    return complete(facts).in_words(assumed)


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """Return a recipe in one line."""
    numbers = f"mean {recipe['mean']}, std {recipe['std']}"
    if recipe["channels"] in ("rgb", "bgr"):
        return f"{recipe['name']}: {recipe['size']} px, {recipe['resize']}, {numbers}"
    if recipe["channels"] == "gray":
        return f"{recipe['name']}: {recipe['size']} px, {recipe['resize']}, gray, {numbers}"
    known = Recipe.from_dict(recipe).is_normalised
    count = len(recipe["mean"])
    channels = "one unknown channel" if count == 1 else f"{count} unknown channels"
    return f"{recipe['size']} px, {channels}" + (f", {numbers}" if known else "")


# Options of a conversion that its warnings mention in words.
_TOLD_IN_WORDS = ("assumed_head", "assumed_recipe")


def options_pairs(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the options of a conversion to show: all except those that its warnings mention."""
    shown = {name: value for name, value in options.items() if name not in _TOLD_IN_WORDS}
    return [("options", json.dumps(shown, sort_keys=True))] if shown else []


def print_report(report: "Report", as_json: JsonOutput | None, quiet: bool) -> None:
    """Print the report of a conversion, or give it as JSON."""
    if put_json(as_json, {"schema": "effconvert/conversion/1", **report.to_dict()}) or quiet:
        return
    weights = f" ({report.weights})" if report.weights else ""
    taken = "" if report.taken == "weights" else f", {report.taken}"
    under = f", under {report.root!r}" if report.root else ""
    left = [f"{count:,} {reason}{_named(report.left, reason)}" for reason, count in report.left_behind.items()]
    print_pairs(
        [
            ("source", f"{report.source}: {report.source_format}, layout {report.layout}{under}"),
            *([("hash", report.named_hash)] if report.named_hash else []),
            ("variant", f"{report.variant}{weights}, {report.parameters:,} parameters"),
            ("moved", f"{report.moved:,} tensors{taken}"),
            *([("classifier", f"{report.classifier}, which reads the pooled features")] if report.classifier else []),
            *[("left behind" if number == 0 else "", text) for number, text in enumerate(left)],
            ("facts", facts_text(report.facts, report.assumed)),
            ("recipe", recipe_text(report.recipe)),
            *options_pairs(report.options),
            (
                "written",
                f"{report.output}: {_layout_text(report.output_layout)}, {report.tensors:,} tensors, "
                f"{size_text(report.nbytes)}, read back and equal",
            ),
            *[("network" if number == 0 else "", line) for number, line in enumerate(report.network.splitlines())],
            *([("images", report.remark)] if report.remark else []),
        ]
    )
    if report.inexact is not None:
        words = f"inexact: the logits of this network differ from the exact ones by {report.inexact:.2g} of the largest"
        assumed = report.options["inexact"].get("assumed", ())
        click.secho(f"{words}{f', but {only_assumed(assumed)}' if assumed else ''}", bold=True)
    for caution in report.cautions:
        click.echo(f"warning: {caution}")
    if report.strange:
        click.echo(listing("warning: implausible values:", map(printable, report.strange)))


def _layout_text(name: str) -> str:
    """Return the name of a layout; of the canonical one also what that is."""
    return f"{name} (effconvert's own PyTorch network)" if name == CANONICAL else name


def _named(left: Mapping[str, str], reason: str) -> str:
    """Return the first names of the tensors that an option left behind for `reason`; --json has all."""
    names = [name for name, said in left.items() if said == reason]
    more = f" … and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f": {', '.join(names[:_NAMED])}{more}" if names else ""


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Callable[[str], Callable[[int, int | None], None] | None]]:
    """Yield a function that starts a bar with a name and returns a function of (bytes done, total bytes).

    It returns None if there is no terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda name: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def begin(name: str) -> Callable[[int, int | None], None]:
            task = progress.add_task(name, total=None, visible=False)
            return lambda done, total: progress.update(task, completed=done, total=total, visible=True)

        yield begin
