"""Terminal output of a validation: the data set, the progress, the results."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from effconvert.cli.display.output import print_pairs, printable, recipe_text

if TYPE_CHECKING:
    from effconvert.validate.accuracy.results import Result
    from effconvert.validate.accuracy.statistics import Proportion
    from effconvert.validate.data.dataset import Dataset
    from effconvert.validate.subjects import Subject

Advance = Callable[[int, int], None]

_COLORS = {"green": "green", "amber": "yellow", "red": "red"}
_SECONDS_BETWEEN_LINES = 60
_WORST = 5
_ENOUGH_FOR_GROUPS = 1000


class Display:
    """Prints a validation; `silent` prints nothing."""

    def __init__(self, silent: bool) -> None:
        self._silent = silent

    def found(self, dataset: "Dataset", subjects: Sequence["Subject"]) -> None:
        """Print the data set, and the warnings about the networks, before the first image."""
        if not self._silent:
            click.echo(printable(f"data     {dataset.path}: {dataset.kind}"))
            for sentence in dataset.findings:
                click.echo(printable(f"         {sentence}"))
            for one in subjects:
                for words in one.cautions:
                    click.echo(printable(f"warning  {one.file.path}: {words}"))

    def note(self, words: str) -> None:
        """Print a sentence about earlier runs."""
        if not self._silent:
            click.echo(printable(f"runs     {words}"))

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """End the command with a message when the user interrupts it."""
        try:
            yield
        except KeyboardInterrupt:
            click.echo(
                "effconvert: interrupted; all results so far are kept, and --resume continues from there", err=True
            )
            sys.exit(130)

    @contextmanager
    def progress(self) -> Iterator[Advance]:
        """Yield a function that shows the progress: as a bar, or in a log as one line per minute."""
        if self._silent:
            yield lambda done, total: None
        elif sys.stderr.isatty():
            with _bar() as advance:
                yield advance
        else:
            yield _lines()

    def results(self, results: Sequence["Result"], tables: bool) -> None:
        """Print the results; tables: with every group and class."""
        if not self._silent:
            for result in results:
                click.echo()
                _print_result(result)
                if tables:
                    _print_tables(result)


@contextmanager
def _bar() -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, rate="")
        begin: list[tuple[float, int]] = []

        def advance(done: int, total: int) -> None:
            begin.append((time.monotonic(), done)) if not begin else None
            progress.update(task, completed=done, total=total, rate=_rate_text(begin[0], done))

        yield advance


def _lines() -> Advance:
    begin: list[tuple[float, int]] = []
    last = time.monotonic()

    def advance(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        begin.append((now, done)) if not begin else None
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            rate = (done - begin[0][1]) / max(now - begin[0][0], 1e-9)
            left = f", {(total - done) / rate / 60:,.0f} min left" if rate else ""
            click.echo(f"{done:,} of {total:,} images, {_rate_text(begin[0], done)}{left}", err=True)

    return advance


def _rate_text(begin: tuple[float, int], done: int) -> str:
    seconds = time.monotonic() - begin[0]
    return f"{(done - begin[1]) / seconds:,.0f} images/s" if seconds > 0 and done > begin[1] else ""


def _print_result(result: "Result") -> None:
    record = result.measured.predictions.record
    summary, computing, run = result.summary, record["computing"], record["run"]
    print_pairs(
        [
            ("network", _network(record["model"])),
            ("recipe", recipe_text(record["recipe"])),
            *(("warning", words) for words in (*record["cautions"], *result.judgement.remarks)),
            ("images", _images(record["dataset"])),
            ("top-1", _accuracy(summary.top1)),
            ("top-5", _accuracy(summary.top5)),
            ("calibration", f"expected error {100 * summary.calibration.error:.2f} % (15 bins)"),
            *([("groups", _groups(result))] if summary.images >= _ENOUGH_FOR_GROUPS else []),
            ("computed", _computed(computing, run)),
            ("time", _parts(run)),
            *([("pipeline", _effect(computing["effect"]))] if "effect" in computing else []),
            ("kept in", _kept(result)),
        ]
    )
    for name, words in record["dataset"]["skipped"].items():
        click.echo(printable(f"left out: {name}: {words}"))
    _print_sources(result)
    _print_cost(result)
    click.secho(printable(result.judgement.sentence), bold=True, fg=_COLORS.get(result.judgement.colour))


def _network(model: dict[str, Any]) -> str:
    weights = f" ({model['weights']})" if model["weights"] else ""
    origin = (model["origin"] or model)["layout"]
    return f"{model['file']}: {model['variant']}{weights} of {origin}, {model['parameters']:,} parameters"


def _images(dataset: dict[str, Any]) -> str:
    of = "" if dataset["evaluated"] == dataset["images"] else f" of {dataset['images']:,}"
    labels = "" if dataset["labels"] == "own" else f", labels of {dataset['labels']}"
    skipped = f", {len(dataset['skipped']):,} left out as broken" if dataset["skipped"] else ""
    return f"{dataset['evaluated']:,}{of}, {dataset['classes']}{labels}{skipped}"


def _accuracy(found: "Proportion") -> str:
    low, high = found.interval
    return f"{found.percent:.3f} %  ({found.hits:,} of {found.images:,}; 95 %: {low:.3f} to {high:.3f})"


def _groups(result: "Result") -> str:
    rows = [f"{row.name} {row.top1.percent:.1f} %" for row in result.summary.groups[:_WORST]]
    return f"least accurate are {', '.join(rows)}" if rows else "none are known of these classes"


def _computed(computing: dict[str, Any], run: dict[str, Any]) -> str:
    rate = f"{run['images_per_second']:,} images/s" if run["images_per_second"] else "too few images to time"
    parts = [
        computing["device_name"],
        computing["dtype"],
        computing["execution"],
        f"{computing['at_once']} at once",
        rate,
    ]
    if run["ranks"] > 1:
        parts.append(f"{run['ranks']} processes")
    return ", ".join(str(part) for part in parts if part)


def _parts(run: dict[str, Any]) -> str:
    """Return the speed of each part, and what the run waited for."""
    networks = ", ".join(f"{rate:,} by the network" for rate in run["model_images_per_second"].values() if rate)
    prepared = run["prepared_per_core_second"]
    parts = [
        f"images/s: {prepared:,} prepared by each of {run['workers']} workers" if prepared else "",
        networks,
        f"{run['waiting_seconds']:.1f} s waited for images",
        f"{run['copying_seconds']:.1f} s of copies to the GPU" if run["copying_seconds"] else "",
    ]
    return "; ".join(part for part in parts if part)


def _kept(result: "Result") -> str:
    out, resumed, count = result.measured.out, result.measured.resumed, len(result.measured.predictions)
    return f"{out}; {resumed:,} of {count:,} results are from an earlier run" if resumed else str(out)


def _effect(effect: dict[str, Any]) -> str:
    return (
        f"fast: on {effect['images']:,} images, {effect['changed_top1']:,} predictions differ from the exact pipeline's"
        f", top-1 {effect['top1_difference']:+.2f} points"
    )


def _print_tables(result: "Result") -> None:
    from tabulate import tabulate

    headers = ["", "classes", "images", "top-1", "top-5"]
    if result.summary.groups:
        groups = [[row.name, row.classes, *_numbers(row.top1, row.top5)] for row in result.summary.groups]
        click.echo(tabulate(groups, headers, floatfmt=".2f"))
    classes = [[row.name, row.identifier, *_numbers(row.top1, row.top5)] for row in result.summary.classes]
    headers[1] = "class"
    click.echo(tabulate(classes, headers, floatfmt=".2f", disable_numparse=[0, 1]))


def _numbers(top1: "Proportion", top5: "Proportion") -> list[float]:
    return [top1.images, top1.percent, top5.percent]


def _print_sources(result: "Result") -> None:
    from tabulate import tabulate

    if not result.judgement.rows:
        return
    table = [
        [
            row.published.kind,
            f"{row.published.top1:g}",
            f"{row.top1.difference:+.3f}",
            "" if row.published.top5 is None else f"{row.published.top5:g}",
            "" if row.top5 is None else f"{row.top5.difference:+.3f}",
            row.published.size,
            "its own" if row.own else "another",
            row.top1.word if row.decides else "not judged",
            row.reason,
        ]
        for row in result.judgement.rows
    ]
    headers = ["published", "top-1", "Δ", "top-5", "Δ", "size", "preprocessing", "verdict", ""]
    click.echo(tabulate(table, headers, disable_numparse=True, maxcolwidths=[None] * 8 + [60]))


def _print_cost(result: "Result") -> None:
    cost = result.cost
    equal = sum(comparison.equal for comparison in cost.comparisons)
    click.echo(
        f"cost     {cost.parameters:,} parameters, {cost.statistics:,} BatchNorm statistics; {equal} of "
        f"{len(cost.comparisons)} published figures agree, by their own convention (see `effconvert cost`)"
    )
    for comparison in cost.failures:
        click.echo(printable(f"         {comparison.row.source}: {comparison.quantity}: {comparison.verdict}"))
