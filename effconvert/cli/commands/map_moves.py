"""`effconvert map moves`: the moves of a map for one network."""

from typing import TYPE_CHECKING

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.terminal import print_table, say
from effconvert.cli.options.names import VARIANT, layout_name
from effconvert.cli.options.shared import json_option, map_option

if TYPE_CHECKING:
    from effconvert.maps.moves import Move


def _names() -> tuple[str, ...]:
    from effconvert.maps.layouts import known_layouts

    return tuple(layout.name for layout in known_layouts())


@click.command("moves", cls=Command)
@click.argument("layout", type=layout_name(_names))
@click.option("--variant", type=VARIANT, default="b0", show_default=True, help="Choose the network.")
@map_option
@json_option
def command(layout: str, variant: str, as_json: JsonOutput | None) -> None:
    """Show for each tensor of LAYOUT its canonical name, the shapes, and the permutation of axes.

    The order is that of a canonical file. Other tensors in a file of the layout are listed at the end.

    Example: effconvert map moves timm --variant b0
    """
    from effconvert.architecture.variants import find_variant
    from effconvert.maps.layouts import find_layout
    from effconvert.maps.moves import compile_layout

    compiled = compile_layout(find_layout(layout), find_variant(variant))
    as_values = {"schema": "effconvert/moves/1", "layout": layout, "variant": variant}
    moves = [_plain(move) for move in compiled.moves]
    if put_json(as_json, {**as_values, "moves": moves, "fills": list(compiled.fills)}):
        return
    rows = [
        (f"{move.source} {list(move.source_shape)}", _axes(move), f"{move.target} {list(move.target_shape)}")
        for move in compiled.moves
    ]
    print_table((layout, "axes", "canonical"), rows, below=("canonical",), drop=("axes",))
    for name, fill in compiled.fills.items():
        say(f"{name} {list(fill.shape)}  is left behind: {fill.reason}")


def _axes(move: "Move") -> str:
    """Return the permutation of axes in words, with a reshape before it if there is one."""
    shown, shape = [], move.source_shape
    for step in move.steps:
        if step.shape != shape:
            shown.append(f"as {list(step.shape)}")
        shown.append(",".join(map(str, step.order)))
        shape = step.result
    if move.steps and shape != move.target_shape:
        shown.append(f"as {list(move.target_shape)}")
    return " ".join(shown) or "="


def _plain(move: "Move") -> dict[str, object]:
    steps = [{"shape": list(step.shape), "order": list(step.order)} for step in move.steps]
    shapes = {"source_shape": list(move.source_shape), "target_shape": list(move.target_shape)}
    return {"source": move.source, "target": move.target, **shapes, "steps": steps}
