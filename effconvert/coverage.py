"""Every source tensor is moved once or left behind with a reason, every target is filled once: all problems at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.checkpoint import FLOATS, Checkpoint
from effconvert.identification import Identity, is_left_behind
from effconvert.moves import Move
from effconvert.weight_sets import AVERAGES, RAW, preferred_set, taking


@dataclass(frozen=True)
class Coverage:
    """The moves to canonical with the names of the file, the set they take, and all else with the reason."""

    moves: tuple[Move, ...]
    taken: str
    left_behind: Mapping[str, str]


def check_coverage(checkpoint: Checkpoint, identity: Identity, want_raw: bool = False) -> Coverage:
    """Return what is moved and what is left behind.

    Raises LayoutMismatch with every problem: a tensor that is missing, unknown, of the wrong shape or dtype, or only
    in the other set of weights.
    """
    taken = preferred_set(identity.sets, identity.moves, want_raw)
    moves = taking(identity.layout, taken, identity.moves) if identity.layout else list(identity.moves)
    left_behind = dict(checkpoint.skipped)
    problems = [*_move_problems(checkpoint, identity, moves, taken)]
    other_set = _other_set(identity, taken)
    for name in sorted(checkpoint.tensors.keys() - {move.source for move in moves}):
        reason = other_set.get(name) or (identity.layout and is_left_behind(identity.layout, name))
        if reason:
            left_behind[name] = reason
        else:
            problems.append(f"{name}: unknown; no move takes it and no [ignore] pattern matches it")
    if problems:
        where = f"{checkpoint.path}: as {identity.layout_name}, {identity.variant.name}, {taken} weights:"
        raise LayoutMismatch(listing(where, problems))
    return Coverage(tuple(moves), taken, dict(sorted(left_behind.items())))


def _move_problems(checkpoint: Checkpoint, identity: Identity, moves: Sequence[Move], taken: str) -> Iterator[str]:
    other = RAW if taken == AVERAGES else AVERAGES
    for move, plain in zip(moves, identity.moves, strict=True):
        info = checkpoint.tensors.get(move.source)
        if info is None and plain.source in identity.sets.of(other):
            remedy = " (sets are never mixed; --raw takes the raw weights)" if other == RAW else ""
            yield f"{move.target} <- {move.source}: missing, only the {other} tensor is there{remedy}"
        elif info is None:
            yield f"{move.target} <- {move.source}: missing"
        elif info.shape != move.source_shape:
            yield f"{move.target} <- {move.source}: shape {info.shape}, expected {move.source_shape}"
        elif info.dtype not in FLOATS:
            yield f"{move.target} <- {move.source}: dtype {info.dtype}, expected a floating-point one"


def _other_set(identity: Identity, taken: str) -> dict[str, str]:
    """Return the tensors of the set that is not taken, with the reason."""
    reason = "raw weights; their averages are taken" if taken == AVERAGES else "averages; the raw weights are taken"
    names = identity.sets.of(RAW if taken == AVERAGES else AVERAGES)
    return {names[move.source]: reason for move in identity.moves if move.source in names}
