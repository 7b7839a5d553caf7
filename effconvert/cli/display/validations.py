"""Terminal output of a validation: the data set, the progress, the results."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from effconvert.cli.display.accuracies import percent, percent_of, points
from effconvert.cli.display.engines import engine_pairs
from effconvert.cli.display.progress import steps
from effconvert.cli.display.terminal import BAD, DOUBTFUL, GOOD, STRONG, print_pairs, print_table, say, say_error
from effconvert.cli.display.words import counted, recipe_text
from effconvert.errors import some

if TYPE_CHECKING:
    from rich.progress import Progress

    from effconvert.validate.accuracy.judgement import Judged, SourceVerdict
    from effconvert.validate.accuracy.results import Result
    from effconvert.validate.accuracy.statistics import Proportion
    from effconvert.validate.data.dataset import Dataset
    from effconvert.validate.subjects import Subject

Advance = Callable[[int, int], None]

_MEANINGS = {"green": GOOD, "amber": DOUBTFUL, "red": BAD, "": ""}
_SECONDS_BETWEEN_LINES = 60
_WORST = 5
_ENOUGH_FOR_GROUPS = 1000
_SHOWN = 3
_NAMED = 8


class Display:
    """Prints a validation; `silent` prints nothing."""

    def __init__(self, silent: bool) -> None:
        self._silent = silent
        self._opening = ExitStack()
        self._bar: _Bar | None = None

    def found(self, dataset: "Dataset", subjects: Sequence["Subject"]) -> None:
        """Print the data set, and the warnings about the networks, each once, before the first image."""
        self._opening.close()
        if self._silent:
            return
        cautions: dict[str, list[str]] = {}
        for one in subjects:
            for words in one.cautions:
                cautions.setdefault(words, []).append(str(one.file.path))
        print_pairs(
            [
                ("data", f"{dataset.path}: {dataset.kind}"),
                *(("", sentence) for sentence in dataset.findings),
                *(("warning", f"{', '.join(files)}: {words}") for words, files in cautions.items()),
            ]
        )
        if self._bar:
            self._bar.wait("loading the networks and preparing the first images")

    def note(self, words: str) -> None:
        """Print a sentence about earlier runs."""
        if not self._silent:
            with self._bar.paused() if self._bar else ExitStack():
                print_pairs([("runs", words)])

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """End the command with a message when the user interrupts it."""
        try:
            yield
        except KeyboardInterrupt:
            say_error("effconvert: interrupted; all results so far are kept, and --resume continues from there")
            sys.exit(130)

    @contextmanager
    def progress(self) -> Iterator[Advance]:
        """Yield a function that shows the progress: as a bar, or in a log as one line per minute."""
        if self._silent:
            yield lambda done, total: None
        elif sys.stderr.isatty():
            with self._opening:
                self._opening.enter_context(steps(quiet=False, transient=True))("opening the files and the data")
                self._bar = _Bar()
                with self._bar:
                    yield self._bar.advance
        else:
            yield _lines()

    def results(self, results: Sequence["Result"], tables: bool) -> None:
        """Print the results; tables: with every group and class."""
        if self._silent:
            return
        for result in results:
            say()
            _print_result(result)
            if tables:
                _print_tables(result)
        say()
        _print_summary(results)
        _print_verdicts(results)


class _Bar:
    """A bar of images on standard error. It begins with the first images, so that no line is printed into it.

    Until then a step is shown, if there is one.
    """

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._begin = (0.0, 0)
        self._step, self._waiting = "", ExitStack()

    def wait(self, step: str) -> None:
        """Show the step that runs before the first image is done."""
        self._step = step
        self._waiting.enter_context(steps(quiet=False, transient=True))(step)

    def advance(self, done: int, total: int) -> None:
        """Show that `done` of `total` images are done."""
        if self._progress is None:
            self._waiting.close()
            self._progress, self._begin = _new_bar(), (time.monotonic(), done)
            self._task = self._progress.add_task("", total=None, rate="")
            self._progress.start()
        self._progress.update(self._task, completed=done, total=total, rate=_rate_text(self._begin, done))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bar, or the step before it, away while something is printed."""
        self._waiting.close()
        if self._progress:
            self._progress.stop()
        yield
        if self._progress:
            self._progress.start()
        elif self._step:
            self.wait(self._step)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self._waiting.close()
        if self._progress:
            self._progress.stop()


def _new_bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


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
            *(("warning", words) for words in result.judgement.remarks),
            ("images", _images(record["dataset"])),
            ("top-1", _accuracy(summary.top1)),
            ("top-5", _accuracy(summary.top5)),
            ("calibration", f"expected error {100 * summary.calibration.error:.2f} % (15 bins)"),
            *([("groups", _groups(result))] if summary.images >= _ENOUGH_FOR_GROUPS else []),
            ("computed", _computed(computing, run)),
            *(engine_pairs(computing["engine"]) if "engine" in computing else ()),
            ("time", _parts(run)),
            *([("pipeline", _effect(computing["effect"]))] if "effect" in computing else []),
            *_cost_pairs(result),
            ("kept in", _kept(result)),
            *_skipped_pairs(record["dataset"]["skipped"]),
            *([("published", words)] if (words := _unknown_training(result)) else []),
        ]
    )
    _print_sources(result)


def _print_summary(results: Sequence["Result"]) -> None:
    """Print one line for each file: what was measured, what was published, and the verdict."""
    files = [str(result.measured.predictions.record["model"]["file"]) for result in results]
    names = [Path(file).name for file in files]
    rows = []
    for file, result in zip(names if len(set(names)) == len(names) else files, results, strict=True):
        row = _shown_source(result.judgement.rows)
        rows.append(
            [
                file,
                f"{result.summary.images:,}",
                percent(result.summary.top1),
                percent(result.summary.top5),
                f"{row.published.kind} {row.published.top1:g}" if row else None,
                _difference(row.top1, result) if row else None,
                result.judgement.word,
            ]
        )
    headers = ["file", "images", "top-1 %", "top-5 %", "published", "difference", "verdict"]
    meanings = {result.judgement.word: _MEANINGS[result.judgement.colour] for result in results}
    print_table(headers, rows, "lrrrrrl", below=("published",), meanings=meanings)


def _shown_source(rows: Sequence["SourceVerdict"]) -> "SourceVerdict | None":
    """Return the deciding source with the largest difference; where none decides, the nearest, its own first."""
    deciding = [row for row in rows if row.decides]
    if deciding:
        return max(deciding, key=lambda row: abs(row.top1.difference))
    return min(rows, key=lambda row: (not row.own, abs(row.top1.difference)), default=None)


def _print_verdicts(results: Sequence["Result"]) -> None:
    """Print why each file has its verdict; the same words of several files once."""
    files: dict[str, list[str]] = {}
    for result in results:
        files.setdefault(result.judgement.sentence, []).append(result.measured.predictions.record["model"]["file"])
    meanings = {result.judgement.sentence: _MEANINGS[result.judgement.colour] or STRONG for result in results}
    for sentence, named in files.items():
        say(f"{', '.join(named)}: {sentence}" if len(results) > 1 else sentence, meanings[sentence])


def _skipped_pairs(skipped: dict[str, str]) -> Iterator[tuple[str, str]]:
    for number, (name, words) in enumerate(list(skipped.items())[:_SHOWN]):
        yield "" if number else "left out", f"{name}: {words}"
    if len(skipped) > _SHOWN:
        yield "", f"… and {counted(len(skipped) - _SHOWN, 'more image')} (--json has all)"


def _unknown_training(result: "Result") -> str:
    """Return what to give to see published values, if the file does not say which weights it holds; "" otherwise."""
    from effconvert.reference_tables.accuracy import accuracy_table
    from effconvert.validate.accuracy.comparability import training

    model = result.measured.predictions.record["model"]
    if result.judgement.rows or training(model) is not None:
        return ""
    names = sorted({row.weights for row in accuracy_table() if row.variant == model["variant"]})
    known = f"; for {model['variant']} these are {some(names, _NAMED)}" if names else ""
    return f"the file does not say which weights it holds: give --weights NAME to see what was published{known}"


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
    interval = f"{percent_of(low, found.images)} to {percent_of(high, found.images)}"
    return f"{percent(found)} %  ({found.hits:,} of {found.images:,}; 95 %: {interval})"


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
    columns = ("images", "top-1", "top-5")
    if result.summary.groups:
        say()
        groups = [[row.name, row.classes, *_numbers(row.top1, row.top5)] for row in result.summary.groups]
        print_table(["group", "classes", *columns], groups, "lrrrr")
    say()
    classes = [[row.name, row.identifier, *_numbers(row.top1, row.top5)] for row in result.summary.classes]
    print_table(["class", "identifier", *columns], classes, "llrrr", drop=("identifier",))


def _numbers(top1: "Proportion", top5: "Proportion") -> list[str]:
    return [f"{top1.images:,}", percent(top1), percent(top5)]


def _difference(judged: "Judged | None", result: "Result") -> str | None:
    """Return measured minus published; None if the run is not judged by it, as it then says nothing."""
    if judged is None or judged.limit is None:
        return None
    return points(judged.difference, result.summary.images)


def _print_sources(result: "Result") -> None:
    if not result.judgement.rows:
        return
    table = [
        [
            row.published.kind,
            f"{row.published.top1:g}",
            _difference(row.top1, result),
            None if row.published.top5 is None else f"{row.published.top5:g}",
            _difference(row.top5, result),
            row.published.size,
            "its own" if row.own else "another",
            row.top1.word if row.decides else "not judged",
            row.reason,
        ]
        for row in result.judgement.rows
    ]
    headers = ["published", "top-1", "Δ1", "top-5", "Δ5", "size", "preprocessing", "verdict", "why"]
    said = len({row[-1] for row in table}) == 1 and table[0][-1]  # the last sentence says it
    empty = [index for index in (2, 4) if all(row[index] is None for row in table)] + [8] * bool(said)
    kept = [index for index in range(len(headers)) if index not in empty]
    headers, aligned = [headers[index] for index in kept], "".join("lrrrrrlll"[index] for index in kept)
    say()
    print_table(headers, [[row[index] for index in kept] for row in table], aligned, below=[*{"why"} & {*headers}])


def _cost_pairs(result: "Result") -> Iterator[tuple[str, str]]:
    cost = result.cost
    equal = sum(comparison.equal for comparison in cost.comparisons)
    yield (
        "cost",
        f"{cost.parameters:,} parameters, {cost.statistics:,} BatchNorm statistics; {equal} of "
        f"{len(cost.comparisons)} published figures agree, by their own convention (see `effconvert cost`)",
    )
    for comparison in cost.failures:
        yield "", f"{comparison.row.source}: {comparison.quantity}: {comparison.verdict}"
