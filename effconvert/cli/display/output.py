"""Terminal output that several commands share: reports, JSON, progress bars, sizes."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from effconvert.architecture.facts import complete, only_assumed
from effconvert.atomic import check_output, new_file, reported
from effconvert.cli.display.escaping import printable as printable
from effconvert.cli.display.escaping import warn as warn
from effconvert.errors import OutputProblem, listing
from effconvert.preprocessing.recipes import Recipe
from effconvert.report.renderings.numbers_text import size as size_text

if TYPE_CHECKING:
    from effconvert.conversion.steps import Report

_NAMED = 4


def print_json(value: Any) -> None:
    """Print `value` as JSON, keys sorted."""
    click.echo(json.dumps(value, indent=2, sort_keys=True))


def check_json_file(path: Path) -> None:
    """Raise OutputProblem if `json_written` would; called before the work."""
    check_output(path, force=True)
    if not path.exists():
        return
    if not path.is_file():  # a folder, or a device, which a file would replace
        raise OutputProblem(f"{path}: is not a file; give the name of a file")
    with reported(path), path.open("rb") as file:
        begins = file.read(1)
    if begins not in (b"", b"{"):
        raise OutputProblem(f"{path}: exists and is not JSON; give another name")


def json_written(path: Path, value: Any) -> None:
    """Write `value` as JSON to the file at `path`, in one step. Raises OutputProblem."""
    from effconvert.report.renderings.text import json_text

    with new_file(path, force=True) as (file, _):
        file.write(json_text(value).encode())


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print (label, text) pairs in two columns; the indentation of a text is kept, for code."""
    printed = [[printable(cell) for cell in pair] for pair in pairs]
    width = max((len(label) for label, _ in printed), default=0)
    for label, text in printed:
        click.echo(f"{label:<{width}}  {text}".rstrip())


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


def print_report(report: "Report", as_json: bool, quiet: bool) -> None:
    """Print the report of a conversion."""
    if as_json:
        print_json(report.to_dict())
        return
    if quiet:
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
                f"{report.output}: {report.output_layout}, {report.tensors:,} tensors, {size_text(report.nbytes)}, "
                "read back and equal",
            ),
            *[("network" if number == 0 else "", line) for number, line in enumerate(report.network.splitlines())],
            *([("images", report.remark)] if report.remark else []),
        ]
    )
    if report.inexact is not None:
        words = f"inexact: the logits of this network differ from the exact ones by {report.inexact:.2g} of the largest"
        assumed = report.options["inexact"].get("assumed", ())
        click.secho(printable(f"{words}{f', but {only_assumed(assumed)}' if assumed else ''}"), bold=True)
    for caution in report.cautions:
        warn(caution)
    if report.strange:
        warn(listing("implausible values:", report.strange))


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
