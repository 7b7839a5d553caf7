"""Terminal output of a verdict."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from effconvert.cli.display.output import printable

if TYPE_CHECKING:
    from effconvert.verification.comparison import Comparison, LayerDifference
    from effconvert.verification.verdict import Verdict

_COLUMNS = ("layer", "mode", "max |Δ|", "mean |Δ|", "of the largest", "allowed", "cosine", "at", "")


def print_comparisons(reference: str, verdict: "Verdict", every_layer: bool) -> None:
    """Print a table for each pair: every layer, or only the most informative ones."""
    from tabulate import tabulate

    for pair in verdict.pairs:
        click.echo(printable(f"{pair.framework} against {reference}:"))
        rows = pair.comparison.rows if every_layer else tuple(_telling(pair.comparison))
        click.echo(tabulate([_cells(row) for row in rows], _COLUMNS, disable_numparse=True))
        missing = [f"{layer} (only the {side} has it)" for layer, side in pair.comparison.only.items()]
        if missing:
            click.echo(f"not compared: {printable(', '.join(missing))}")
        if pair.comparison.top1 is not None:
            shares = f"top-1 agrees on {pair.comparison.top1:.0%} of the images, top-5 on {pair.comparison.top5:.0%}"
            click.echo(f"{shares} (for information, not part of the verdict)")


def print_verdict(verdict: "Verdict") -> None:
    """Print the verdict in one sentence."""
    click.secho(printable(verdict.sentence), bold=True)


def _telling(comparison: "Comparison") -> Iterator["LayerDifference"]:
    """Yield the first layer that differs, the worst and the last one of each mode."""
    chosen = [comparison.first, comparison.worst]
    for mode in ("accumulated", "fed"):
        rows = comparison.of(mode)
        chosen += [max(rows, key=_badness), rows[-1]] if rows else []
    yield from (row for row in comparison.rows if row in chosen)


def _badness(row: "LayerDifference") -> float:
    return row.relative / row.allowed if row.relative == row.relative else float("inf")


def _cells(row: "LayerDifference") -> list[str]:
    numbers = [f"{value:.2g}" for value in (row.largest, row.mean, row.relative)]
    at = ", ".join(map(str, row.at))
    if row.shapes:
        numbers, at = ["", "", "another shape"], ""
    elif any(row.not_finite):
        numbers = ["", "", f"{row.not_finite[1]:,} not finite"]
    cosine = f"{row.cosine:.8f}" if row.cosine == row.cosine else ""
    return [printable(row.layer), row.mode, *numbers, f"{row.allowed:.1e}", cosine, at, "" if row.passed else "differs"]
