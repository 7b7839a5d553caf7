"""Text for the terminal: sentences, pairs, tables and code that fit its width, wide and plain where it is piped.

No word is cut: one that is longer than a line, such as an address, stands whole, so that it can be copied.
"""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from effconvert.cli.display.escaping import printable, printable_lines

GOOD, DOUBTFUL, BAD, STRONG, FAINT = "good", "doubtful", "bad", "strong", "faint"
_STYLES: dict[str, dict[str, Any]] = {
    GOOD: {"fg": "green", "bold": True},
    DOUBTFUL: {"fg": "yellow", "bold": True},
    BAD: {"fg": "red", "bold": True},
    STRONG: {"bold": True},
    FAINT: {"dim": True},
}
_ENDS = {"l": "left", "r": "right"}
_BELOW = 4  # the indentation of what stands below its row
_HANGING = 2  # the indentation of the other lines of an error
_LEAST = 24  # the narrowest column of text that can be read
_READABLE = 32  # the narrowest one that a table gets
_MOVED, _BESIDE, _DROPPED = "below its row", "wrapped beside its row", "left out"


def columns(error: bool = False) -> int | None:
    """Return the width of the terminal, of standard `error` or output; None if it is piped, so nothing is wrapped."""
    stream = sys.stderr if error else sys.stdout
    return shutil.get_terminal_size().columns if stream is not None and stream.isatty() else None


def styled(text: str, meaning: str = "") -> str:
    """Return `text` in the colour of its `meaning`; pipes get none, nor do terminals with NO_COLOR."""
    return click.style(text, **_STYLES[meaning]) if meaning and text and not os.environ.get("NO_COLOR") else text


def say(text: str = "", meaning: str = "", begin: str = "", error: bool = False) -> None:
    """Print a sentence; `begin` stands before it, and its other lines hang below the sentence."""
    first, *others = _wrapped(printable(text), columns(error), len(begin))
    click.echo(styled(begin + first, meaning), err=error)
    for line in others:
        click.echo(styled(" " * len(begin) + line, meaning), err=error)


def say_error(text: str) -> None:
    """Print a message on standard error; each of its lines keeps its indentation, and its other lines hang below it."""
    total = columns(error=True)
    if total is None:
        click.echo(printable_lines(text), err=True)
        return
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip())
        first, *others = _wrapped(printable(line[indent:]), total, indent + _HANGING)
        click.echo(" " * indent + first, err=True)
        for other in others:
            click.echo(" " * (indent + _HANGING) + other, err=True)


def say_line(text: str) -> None:
    """Print a text in one line, however long, so that it can be copied."""
    click.echo(printable(text))


def say_command(command: Sequence[str], begin: str = "", after: str = "") -> None:
    """Print a command, quoted for the shell and in one line, so that it can be copied."""
    import shlex

    click.echo(begin + printable(shlex.join(command)) + after)


def say_heading(text: str) -> None:
    """Print the heading of a part, between empty lines."""
    click.echo()
    say(text, STRONG)
    click.echo()


def warn(text: str) -> None:
    """Print a warning."""
    print_pairs([("warning:", text)])


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print (label, text) pairs in two columns; the other lines of a text hang below its first.

    A text without a label belongs to the pair before it. The labels `warning` and `warning:` are in colour.
    """
    shown = [(printable(label), printable(text)) for label, text in pairs]
    beside, total = max((len(label) for label, _ in shown), default=0), columns()
    for label, text in shown:
        meaning = DOUBTFUL if label.startswith("warning") else ""
        if total and total - beside - 2 < _LEAST:
            for line in _wrapped(label, total, 0) if label else ():
                click.echo(styled(line, meaning))
            say(text, begin=" " * _BELOW)
            continue
        gap = 1 if label.endswith(":") and len(shown) == 1 else 2
        first, *others = _wrapped(text, total, beside + gap)
        click.echo(f"{styled(label, meaning)}{' ' * (beside - len(label) + gap)}{first}".rstrip())
        for line in others:
            click.echo(" " * (beside + gap) + line)


def print_code(words: str, text: str) -> None:
    """Print Python code as a block of its own below `words`, from the first column, so that it can be copied."""
    say_heading(words)
    for line in text.splitlines():
        click.echo(printable(line))
    click.echo()


def print_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[Any]],
    aligned: str = "",
    *,
    below: Sequence[str] = (),
    drop: Sequence[str] = (),
    drop_first: bool = False,
    meanings: Mapping[str, str] | None = None,
    indent: int = 0,
) -> None:
    """Print a table. aligned: `l` or `r` for each column; all `l` by default.

    Where it does not fit the terminal, first the columns `below`, in this order, move below their row, or wrap beside
    it if they are the last; then those of `drop` are left out, which is said; then the last ones move too. drop_first:
    `drop` before `below`. meanings: {text of a cell: its meaning}. None is shown as `-`.
    """
    cells = [["-" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    ways = [[(name, _MOVED) for name in below], [(name, _DROPPED) for name in drop]]
    spare = [way for part in (reversed(ways) if drop_first else ways) for way in part]
    place, lines = _fitted(headers, cells, aligned or "l" * len(headers), spare, (columns() or 0) - indent)
    paint, head, before = _painter(meanings or {}), len(lines) - len(cells), " " * indent
    width = max(map(len, lines), default=0)
    for number, line in enumerate(lines):
        row = cells[number - head] if number >= head else [name if number == 0 else "-" * len(name) for name in headers]
        shown = paint(line) if number >= head else line
        beside = next((row[index] for index in place if place[index] == _BESIDE), "")
        if beside:
            _say_beside(before + shown + " " * (width - len(line) + 2), indent + width + 2, beside)
        else:
            click.echo((before + shown).rstrip())
        moved = [index for index in sorted(place) if place[index] == _MOVED and row[index] not in ("", "-")]
        if moved and number >= head:
            say("; ".join(f"{headers[index]}: {row[index]}" for index in moved), begin=" " * (indent + _BELOW))
    if dropped := [headers[index] for index in sorted(place) if place[index] == _DROPPED]:
        say(f"(a wider window also shows: {', '.join(dropped)})", FAINT, begin=before)


def _fitted(
    headers: Sequence[str],
    cells: Sequence[Sequence[str]],
    aligned: str,
    spare: list[tuple[str, str]],
    total: int,
) -> tuple[dict[int, str], list[str]]:
    """Return {index of a column: where it is, if not in its place}, and the lines of the others, which fit `total`."""
    place: dict[int, str] = {}
    while True:
        kept = [index for index in range(len(headers)) if index not in place]
        lines = _rendered([headers[i] for i in kept], [[row[i] for i in kept] for row in cells], kept, aligned)
        beside = _BESIDE in place.values()
        fits = total <= 0 or max(map(len, lines), default=0) + (2 + _READABLE) * beside <= total
        if fits or len(kept) == 1:
            return place, lines
        name, where = spare.pop(0) if spare else (headers[kept[-1]], _MOVED)
        index = headers.index(name)
        if where == _MOVED and index == max(kept):
            width = sum(max(len(headers[i]), *(len(row[i]) for row in cells)) + 2 for i in kept[:-1])
            where = _BESIDE if width + _READABLE <= total else _MOVED
        place[index] = where


def _say_beside(begin: str, width: int, text: str) -> None:
    """Print `begin`, which is `width` columns wide, and `text` beside it, with its other lines below its first."""
    first, *others = _wrapped(text, columns(), width)
    click.echo(begin + first)
    for line in others:
        click.echo(" " * width + line)


def _rendered(headers: Sequence[str], rows: Sequence[Sequence[str]], kept: Sequence[int], aligned: str) -> list[str]:
    """Return the lines of a table; without any header, only its rows."""
    import tabulate

    tabulate.MIN_PADDING = 0  # else each header is two columns wider than its text
    if not rows:
        return []
    return tabulate.tabulate(
        rows,
        headers if any(headers) else (),
        tablefmt="simple" if any(headers) else "plain",
        colalign=[_ENDS[aligned[index]] for index in kept],
        disable_numparse=True,
    ).splitlines()


def _painter(meanings: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that colours the cells of a line that have a meaning; cells are two spaces apart."""

    def paint(line: str) -> str:
        return "  ".join(
            cell.replace(cell.strip(), styled(cell.strip(), meanings[cell.strip()]))
            if cell.strip() in meanings
            else cell
            for cell in line.split("  ")
        )

    return paint


def _wrapped(text: str, total: int | None, taken: int) -> list[str]:
    """Return the lines of `text` beside `taken` columns of the `total`; one line if nothing is wrapped."""
    if total is None:
        return [text]
    width = max(total - taken, _LEAST)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
