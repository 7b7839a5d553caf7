"""Progress on the terminal: bars of bytes, and steps with the time that each takes. Pipes and logs get none."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial


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
def steps(quiet: bool, transient: bool = False) -> Iterator[Callable[[str], Callable[[], None]]]:
    """Yield a function that begins a step, and returns one that ends it; several may run at the same time.

    A running step is shown with a spinner and its seconds, those that ended with a mark and what they took. A step that
    an error ends is taken away, as the message says what happened. transient: nothing stays on the screen.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda words: lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn
    from rich.table import Column

    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold")),
        TextColumn("{task.elapsed:.1f} s", justify="right"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=transient) as progress:

        def end(task: TaskID) -> None:
            progress.update(task, total=1, completed=1)
            progress.stop_task(task)

        def begin(words: str) -> Callable[[], None]:
            return partial(end, progress.add_task(words, total=None))

        try:
            yield begin
        except BaseException:
            for task in progress.tasks:
                if not task.finished:
                    progress.remove_task(task.id)
            raise
        for task in progress.tasks:
            if not task.finished:
                end(task.id)
        if not transient:
            progress.console.print()
