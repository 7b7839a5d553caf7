"""The golden lists of moves: one line for each tensor, `source shape steps target shape`, under a line with the root.

`python tests/golden_moves.py` writes them anew; a difference in them is a change of what every conversion does.
"""

from pathlib import Path

from effconvert.layout import find_layout
from effconvert.moves import Move, compile_moves
from effconvert.variants import VARIANTS

GOLDEN = Path(__file__).parent / "golden" / "moves"
LAYOUT = "tf-official"


def lines(variant: str) -> list[str]:
    """The golden list of `variant` as the map compiles now."""
    layout = find_layout(LAYOUT)
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
    GOLDEN.mkdir(exist_ok=True)
    for name in VARIANTS:
        (GOLDEN / f"{name}.txt").write_text("\n".join(lines(name)) + "\n")
