"""Progress on the terminal: bars of bytes, and steps with the time that each takes. Pipes and logs get none."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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


@contextmanager
def steps(quiet: bool, transient: bool = False) -> Iterator[Callable[[str], None]]:
    """Yield a function that begins a step, and so ends the one before.

    The running step is shown with a spinner and its seconds, those that ended with a mark and what they took.
    transient: nothing stays on the screen.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda words: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn
    from rich.table import Column

    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold")),
        TextColumn("{task.elapsed:.1f} s", justify="right"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=transient) as progress:

        def end() -> None:
            for task in progress.tasks:
                if not task.finished:
                    progress.update(task.id, total=1, completed=1)
                    progress.stop_task(task.id)

        def begin(words: str) -> None:
            end()
            progress.add_task(words, total=None)

        yield begin
        end()
        if not transient:
            progress.console.print()
