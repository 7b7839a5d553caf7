"""`effconvert diff`: two files, tensor by tensor."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from effconvert.cli.display.output import print_json, printable
from effconvert.cli.options.running import given_reading, reading_options
from effconvert.cli.options.shared import json_option, path_argument, quiet_option
from effconvert.errors import NumericMismatch

if TYPE_CHECKING:
    from effconvert.conversion.difference import Difference, Side

_SHOWN = 10


@click.command("diff")
@path_argument("a")
@path_argument("b")
@reading_options
@json_option
@quiet_option
def command(a: Path, b: Path, as_json: bool, quiet: bool, **options: Any) -> None:
    """Compare two files of any formats and layouts, tensor by tensor.

    Both are first converted to canonical names and axes; --root, --backbone, --classifier and --leave are for files
    that effconvert did not write. Exit code 0: every tensor is equal, and so are all known facts of the two networks;
    5: they differ.

    Example: effconvert diff b0.safetensors b0-timm.pth
    """
    from effconvert.conversion.difference import compare

    reading, key = given_reading(options)
    found = compare(a, b, reading, key)
    if as_json:
        print_json(found.to_dict())
    elif not quiet:
        _print_difference(found)
    if not found.same:
        sys.exit(NumericMismatch.exit_code)


def _print_difference(found: "Difference") -> None:
    from tabulate import tabulate

    for side in (found.first, found.second):
        click.echo(_side_text(side))
    for name, (one, other) in found.facts.items():
        click.echo(printable(f"fact {name}: {one} and {other}{' (assumed)' if name in found.assumed else ''}"))
    if found.dtypes:
        click.echo(f"dtypes: those of {found.dtypes:,} tensors differ")
    rows = [
        [printable(tensor.name), f"{tensor.largest:.3g}", f"{tensor.relative:.2g}", list(tensor.at)]
        for tensor in found.differing[:_SHOWN]
    ]
    if rows:
        click.echo(tabulate(rows, ["tensor", "max |Δ|", "of the largest", "at"], disable_numparse=True))
    if len(found.differing) > _SHOWN:
        click.echo(f"… and {len(found.differing) - _SHOWN:,} more tensors differ")
    for words, names in (("only in the first", found.only_in_first), ("only in the second", found.only_in_second)):
        if names:
            shown = printable(", ".join(names[:5]))
            click.echo(f"{len(names):,} tensors {words}, or in another shape: {shown}{' …' if len(names) > 5 else ''}")
    click.secho(_verdict(found), bold=True)


def _side_text(side: "Side") -> str:
    assumed = f"; {side.assumption}" if side.assumption else ""
    return printable(f"{side.path}: {side.layout}, {side.variant}, {side.taken}{assumed}")


def _verdict(found: "Difference") -> str:
    if found.same:
        return f"equal: all {found.equal:,} tensors"
    worst = max((tensor.largest for tensor in found.differing), default=0.0)
    words = f"{len(found.differing):,} differ, by at most {worst:.3g}" if found.differing else "none differs"
    missing = len({*found.only_in_first, *found.only_in_second})
    facts = ", but the networks are not the same" if found.facts.keys() - set(found.assumed) else ""
    kind = "close" if found.close and found.differing and not facts else "different"
    return f"{kind}: {found.equal:,} tensors are equal, {words}, {missing:,} are missing{facts}"
