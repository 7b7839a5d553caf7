"""`effconvert map draft`: a first map of an unknown file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.terminal import print_pairs
from effconvert.cli.options.names import VARIANT
from effconvert.cli.options.shared import (
    force_option,
    json_option,
    key_option,
    out_option,
    path_argument,
    quiet_option,
)

if TYPE_CHECKING:
    from effconvert.drafting.draft import Draft


@click.command("draft", cls=Command)
@path_argument("checkpoint", "FILE")
@click.option("--variant", type=VARIANT, required=True, help="Name the variant of the file, e.g. b0.")
@out_option("Write this map, e.g. my.toml.", required=True)
@click.option("--name", metavar="NAME", help="Name the layout. Default: the name of the output.")
@click.option("--root", metavar="PREFIX", help="Use the network with this prefix, if the file holds several.")
@click.option("--leave", metavar="PATTERN", multiple=True, help="Ignore these tensors, e.g. 'aux_head.*'. Repeatable.")
@force_option
@key_option
@json_option
@quiet_option
def command(
    checkpoint: Path,
    variant: str,
    out: Path,
    name: str | None,
    root: str | None,
    leave: tuple[str, ...],
    force: bool,
    key: str | None,
    as_json: JsonOutput | None,
    quiet: bool,
) -> None:
    """Draft a map of a file whose layout is unknown.

    Shapes, names, the order of the file and the values of its tensors tell which tensor is which. An open point is
    written as a list of candidates, marked QUESTION; the map cannot be used until each has one answer. Exit code 4: the
    draft has questions; it is written anyway.

    Example: effconvert map draft unknown.pth --variant b0 --out my.toml
    """
    from effconvert.atomic import check_output, check_suffix, new_file
    from effconvert.drafting.draft import draft_map
    from effconvert.errors import LayoutMismatch, listing

    check_suffix(out, ".toml")
    check_output(out, force)
    layout = out.stem if name is None else name
    draft = draft_map(checkpoint, variant, layout, root or "", leave, key.encode() if key else None)
    with new_file(out, force) as (file, _):
        file.write(draft.text.encode())
    if not put_json(as_json, _as_values(draft)) and not quiet:
        _print(checkpoint, out, draft)
    if not draft.is_complete:
        asked = [f"{question.where}: {_candidates(question.candidates)}" for question in draft.questions]
        raise LayoutMismatch(listing(f"{out}: is written; answer its questions ({len(asked):,}):", asked))


def _print(checkpoint: Path, out: Path, draft: "Draft") -> None:
    lists = f"no rule gives those of {', '.join(draft.lists)}" if draft.lists else "all follow rules"
    facts = ", ".join(f"{name} {value.strip(chr(34))}" for name, value in draft.facts.items())
    print_pairs(
        [
            ("file", str(checkpoint)),
            ("map", str(out)),
            ("decided", f"{len(draft.moves):,} of {len(draft.moves) + len(draft.open):,} tensors"),
            *([("questions", f"{len(draft.questions):,}, below")] if draft.questions else []),
            *((("told" if not number else ""), sentence) for number, sentence in enumerate(draft.said)),
            ("names", lists),
            ("assumed", f"{facts}; no tensor tells them"),
        ]
    )


def _candidates(candidates: tuple[str, ...]) -> str:
    if not candidates:
        return "why may it stay behind?"
    shown = [repr(candidate) for candidate in candidates[:4]]
    more = len(candidates) - len(shown)
    if len(candidates) == 1:
        return f"the file lacks it; what is its name in the library, if not {shown[0]}?"
    return " or ".join([*shown, f"{more} others"] if more > 0 else shown)


def _as_values(draft: "Draft") -> dict[str, object]:
    """Return the draft as plain values, for JSON."""
    return {
        "schema": "effconvert/draft/1",
        "complete": draft.is_complete,
        "decided": {target: move.source for target, move in draft.moves.items()},
        "open": {target: list(names) for target, names in draft.open.items()},
        "questions": [{"where": each.where, "candidates": list(each.candidates)} for each in draft.questions],
        "said": list(draft.said),
        "assumed": dict(draft.facts),
        "lists": list(draft.lists),
    }
