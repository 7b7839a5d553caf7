"""The golden lists of moves: one line for each tensor, `source shape steps target shape`, under a line with the root.

`PYTHONPATH=tests python -m helpers.golden_moves LAYOUT …` writes those of these layouts anew, of all without any; a
difference in them is a change of what every conversion does.
"""

import sys
from pathlib import Path

from effconvert.architecture.variants import VARIANTS
from effconvert.maps.layouts import find_layout, known_layouts
from effconvert.maps.moves import Move, compile_moves
from helpers import places

GOLDEN = places.GOLDEN / "moves"


def path_of(layout_name: str, variant: str) -> Path:
    """Where the golden list of `variant` is stored."""
    return GOLDEN / layout_name / f"{variant}.txt"


def lines(layout_name: str, variant: str) -> list[str]:
    """The golden list of `variant` as the map compiles now."""
    layout = find_layout(layout_name)
    root = layout.root.replace("{variant}", layout.variants[variant])
    moves = compile_moves(layout, VARIANTS[variant])
    return [root, *(_line(move, root) for move in moves)]


def _line(move: Move, root: str) -> str:
    steps = " then ".join(f"{_numbers(step.shape)}:{_numbers(step.order)}" for step in move.steps) or "same"
    source = move.source.removeprefix(root)
    return f"{source} {_numbers(move.source_shape)} {steps} {move.target} {_numbers(move.target_shape)}"


def _numbers(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


if __name__ == "__main__":
    for layout_name in sys.argv[1:] or [layout.name for layout in known_layouts()]:
        for variant in find_layout(layout_name).variants:
            path = path_of(layout_name, variant)
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(lines(layout_name, variant)) + "\n")
