"""Every source tensor is moved once or left behind with a reason, every target is filled once: all problems at once."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.checkpoint import FLOATS, Checkpoint
from effconvert.identification import Identity
from effconvert.moves import Move
from effconvert.weight_sets import AVERAGES, RAW


@dataclass(frozen=True)
class Coverage:
    """The moves to canonical with the names of the file, the set they take, and all else with the reason."""

    moves: tuple[Move, ...]
    taken: str
    left_behind: Mapping[str, str]

    def counts(self) -> dict[str, Any]:
        """Return how many tensors are moved, and how many are left behind for which reason."""
        return {"moved": len(self.moves), "left_behind": dict(sorted(Counter(self.left_behind.values()).items()))}


def check_coverage(checkpoint: Checkpoint, identity: Identity, want_raw: bool = False) -> Coverage:
    """Return what is moved and what is left behind.

    Raises LayoutMismatch with every problem: a tensor that is missing, unknown, of the wrong shape or dtype, or only
    in the other set of weights.
    """
    sets = identity.sets
    taken = sets.preferred(identity.moves, want_raw)
    moves = sets.taking(taken, identity.moves)
    left_behind = dict(checkpoint.skipped) | dict(identity.reading.others) | _other_set(identity, taken)
    problems = [*_move_problems(checkpoint, identity, moves, taken)]
    problems += [
        f"{name}: unknown; the layout has no such tensor, nor a reason to leave it behind"
        for name in sorted(identity.reading.unknown)
        if name not in left_behind
    ]
    if problems:
        kind = f"{taken} weights" if taken in (RAW, AVERAGES) else "one set of weights"
        if identity.reading.unknown:
            problems.append("(--backbone takes the network without its classifier, and leaves all else behind)")
        where = f"{checkpoint.path}: as {identity.layout_name}, {identity.variant.name}, {kind}:"
        raise LayoutMismatch(listing(where, problems))
    return Coverage(tuple(moves), taken, dict(sorted(left_behind.items())))


def _move_problems(checkpoint: Checkpoint, identity: Identity, moves: Sequence[Move], taken: str) -> Iterator[str]:
    other = RAW if taken == AVERAGES else AVERAGES
    for move, plain in zip(moves, identity.moves, strict=True):
        info = checkpoint.tensors.get(move.source)
        if info is None and identity.sets.holds(other, plain.source):
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
    other = RAW if taken == AVERAGES else AVERAGES
    names, root = identity.sets.names.get(other, {}), identity.sets.roots.get(other)
    where = f" under {root!r}" if root != identity.sets.roots[taken] else ""
    reason = (
        f"raw weights{where}; their averages are taken"
        if other == RAW
        else f"averages{where}; the raw weights are taken"
    )
    return {names[move.source]: reason for move in identity.moves if move.source in names}
