"""`effconvert tables`: published numbers with their sources."""

from pathlib import Path
from typing import Any

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.terminal import say
from effconvert.cli.options.names import DATASET, SOURCE, TRAINING, VARIANT, Choice
from effconvert.cli.options.shared import PATH, force_option, json_option
from effconvert.reference_tables.selection import KINDS


@click.command("tables", cls=Command)
@click.option("--variant", type=VARIANT, help="Show one variant, e.g. b0.")
@click.option("--weights", type=TRAINING, help="Show one training, e.g. ns.")
@click.option("--source", type=SOURCE, help="Show one source, e.g. readme, or one publisher, e.g. timm.")
@click.option("--quantity", type=Choice(KINDS), help="Show accuracies, costs, or facts about files only.")
@click.option("--dataset", type=DATASET, help="Show accuracies on one data set, e.g. imagenet-real.")
@click.option("--disagreements", is_flag=True, help="Show only contradictions between sources, with reasons.")
@click.option("--csv", "csv_file", type=PATH, metavar="FILE", help="Write the numbers to FILE, one per line.")
@force_option
@json_option
def command(
    variant: str | None,
    weights: str | None,
    source: str | None,
    quantity: str | None,
    dataset: str | None,
    disagreements: bool,
    csv_file: Path | None,
    force: bool,
    as_json: JsonOutput | None,
) -> None:
    """Show every published number with its source, and where sources disagree.

    Without an option, the sources are listed. A number that does not decide is never compared with a measurement; its
    note says why. The tables are in reference/, where they can be corrected.

    Example: effconvert tables --variant b0
    """
    from effconvert.atomic import check_suffix
    from effconvert.reference_tables.selection import Wanted, select

    if csv_file:
        check_suffix(csv_file, ".csv", "--csv")
    wanted = Wanted(variant or "", weights or "", source or "", quantity or "", dataset or "")
    try:
        selection = select(wanted)
    except LookupError as error:
        raise click.UsageError(str(error.args[0])) from error
    rows = selection.disagreements if disagreements else selection.numbers
    if csv_file:
        _write_csv(csv_file, [row.to_dict() for row in rows], force)
    as_values = {
        "schema": "effconvert/tables/1",
        "numbers": [] if disagreements else [number.to_dict() for number in selection.numbers],
        "disagreements": [each.to_dict() for each in selection.disagreements],
        "sources": [each.to_dict() for each in selection.sources],
    }
    if put_json(as_json, as_values):
        return
    from effconvert.cli.display import published_numbers

    if csv_file:
        what = "disagreements" if disagreements else "numbers"
        say(f"written: {csv_file}, {len(rows):,} {what}")
    elif disagreements and not selection.disagreements:
        say("no sources disagree")
    elif disagreements:
        notes = published_numbers.Notes()
        published_numbers.print_disagreements(selection.disagreements, notes)
        say()
        notes.print()
    elif not selection.numbers:
        say("no published number matches")
    elif wanted == Wanted():
        published_numbers.print_summary(selection)
    else:
        published_numbers.print_selection(selection)


def _write_csv(path: Path, rows: list[dict[str, Any]], force: bool) -> None:
    from effconvert.atomic import new_file
    from effconvert.report.renderings.text import csv_text

    headers = list(rows[0]) if rows else []
    with new_file(path, force) as (file, _):
        file.write(csv_text(headers, ([_cell(value) for value in row.values()] for row in rows)).encode())


def _cell(value: Any) -> Any:
    """Return the text of a cell, with all reasons or numbers if there are several."""
    if not isinstance(value, list):
        return value
    return "; ".join(f"{one['source']} {one['value']}" if isinstance(one, dict) else str(one) for one in value)
