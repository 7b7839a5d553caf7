"""`effconvert diff`: two files, tensor by tensor."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.terminal import BAD, GOOD, print_pairs, print_table, say
from effconvert.cli.display.words import counted
from effconvert.cli.options.running import given_reading, reading_options
from effconvert.cli.options.shared import json_option, path_argument, quiet_option
from effconvert.errors import NumericMismatch

if TYPE_CHECKING:
    from effconvert.conversion.difference import Difference, Side

_SHOWN = 10


@click.command("diff", cls=Command)
@path_argument("a")
@path_argument("b")
@reading_options
@json_option
@quiet_option
def command(a: Path, b: Path, as_json: JsonOutput | None, quiet: bool, **options: Any) -> None:
    """Compare two files of any formats and layouts, tensor by tensor.

    Both are first converted to canonical names and axes; --root, --backbone, --classifier and --leave are for files
    that effconvert did not write. Exit code 0: every tensor is equal, and so are all known facts of the two networks;
    5: they differ.

    Example: effconvert diff b0.safetensors b0-timm.pth
    """
    from effconvert.conversion.difference import compare

    reading, key = given_reading(options)
    found = compare(a, b, reading, key)
    if not put_json(as_json, {"schema": "effconvert/difference/1", **found.to_dict()}) and not quiet:
        _print_difference(found)
    if not found.same:
        sys.exit(NumericMismatch.exit_code)


def _print_difference(found: "Difference") -> None:
    say(_verdict(found), GOOD if found.same else BAD)
    if words := _sets_words(found):
        say(words)
    print_pairs([("A", _side_text(found.first)), ("B", _side_text(found.second)), *_details(found)])
    rows = [
        [tensor.name, f"{tensor.largest:.3g}", f"{tensor.relative:.2g}", ", ".join(map(str, tensor.at))]
        for tensor in found.differing[:_SHOWN]
    ]
    if rows:
        say()
        print_table(["tensor", "max |Δ|", "of the largest", "at"], rows, "lrrl", drop=("at",))
    if len(found.differing) > _SHOWN:
        say(f"… and {counted(len(found.differing) - _SHOWN, 'more tensor')} (--json has all)")


def _details(found: "Difference") -> Iterator[tuple[str, str]]:
    for name, (one, other) in found.facts.items():
        assumed = " (assumed)" if name in found.assumed else ""
        yield "fact", f"{name}: {one} in A, {other} in B{assumed}"
    if found.dtypes:
        yield "dtypes", f"{counted(found.dtypes)} {'have' if found.dtypes > 1 else 'has'} other dtypes"
    for words, names in (("only in A", found.only_in_first), ("only in B", found.only_in_second)):
        if names:
            shown = ", ".join(names[:5])
            yield words, f"{counted(len(names))}, or in another shape: {shown}{' …' if len(names) > 5 else ''}"


def _side_text(side: "Side") -> str:
    held = _set_of(side)
    taken = {"weights": "", "raw": ", raw weights"}.get(held, f", {held}")
    assumed = f"; {side.assumption}" if side.assumption else ""
    return f"{side.path}: {side.layout}, {side.variant}{taken}{assumed}"


def _set_of(side: "Side") -> str:
    """Return the set of weights that a file holds, also of a file with one set that was made of two."""
    return side.taken if side.origin == "weights" else side.origin


def _sets_words(found: "Difference") -> str:
    """Return a sentence if one file holds the raw weights and the other their averages; "" otherwise."""
    sides = {_set_of(side): side for side in (found.first, found.second)}
    if found.same or sides.keys() != {"raw", "averages"}:
        return ""
    averages = sides["averages"]
    words = f"{averages.path} is compared by its averages, {sides['raw'].path} holds raw weights"
    return f"{words}: {'give --raw' if averages.taken != 'weights' else 'convert both with --raw, or both without it'}"


def _verdict(found: "Difference") -> str:
    if found.same:
        return f"equal: all {counted(found.equal)}"
    count = len(found.differing)
    worst = f", by at most {found.differing[0].relative:.2g} of the largest value" if count else ""
    words = f"{count:,} {'differs' if count == 1 else 'differ'}{worst}" if count else "none differs"
    alone = (("A", found.only_in_first), ("B", found.only_in_second))
    lacking = "".join(f", {len(names):,} only in {side}" for side, names in alone if names)
    known = [name for name in found.facts if name not in found.assumed]
    facts = f", and the networks differ in {' and '.join(known)}" if known else ""
    kind = "close" if found.close and found.differing and not facts else "different"
    equal = f"{counted(found.equal)} {'is' if found.equal == 1 else 'are'} equal"
    return f"{kind}: {equal}, {words}{lacking}{facts}"
