"""The golden lists of moves: one line for each tensor, `source shape steps target shape`, under a line with the root.

`python tests/golden_moves.py LAYOUT …` writes those of these layouts anew, and of tf-official without any; a difference
in them is a change of what every conversion does.
"""

import sys
from pathlib import Path

from effconvert.layout import find_layout
from effconvert.moves import Move, compile_moves
from effconvert.variants import VARIANTS

GOLDEN = Path(__file__).parent / "golden" / "moves"
LAYOUT = "tf-official"


def path_of(variant: str, layout_name: str = LAYOUT) -> Path:
    """Where the golden list of `variant` is stored."""
    return (GOLDEN if layout_name == LAYOUT else GOLDEN / layout_name) / f"{variant}.txt"


def lines(variant: str, layout_name: str = LAYOUT) -> list[str]:
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
    for layout_name in sys.argv[1:] or [LAYOUT]:
        for variant in find_layout(layout_name).variants:
            path = path_of(variant, layout_name)
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(lines(variant, layout_name)) + "\n")
