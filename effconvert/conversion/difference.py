"""Comparison of two checkpoints of any formats and layouts, tensor by tensor, in canonical names and axes."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from effconvert.conversion.transfer import check_digest
from effconvert.errors import LayoutMismatch
from effconvert.formats import open_checkpoint
from effconvert.formats.checkpoint import Array, Checkpoint
from effconvert.identify.coverage import Coverage, read_network
from effconvert.identify.identification import Identity
from effconvert.identify.library_builds import differing_facts
from effconvert.maps.moves import Move
from effconvert.options import Options
from effconvert.shown import Row, Shown

_PLAIN = Options()
_CLOSE = 2**-8  # of a tensor's largest value: a bfloat16 has eight bits


@dataclass(frozen=True)
class TensorDifference:
    """The difference of one canonical tensor.

    largest: max |a - b|, infinite if a value is not a number. relative: the same divided by the largest |a| or |b|. at:
    the index of the largest.
    """

    name: str
    largest: float
    relative: float
    at: tuple[int, ...]


@dataclass(frozen=True)
class Side:
    """One of the two files: its layout, variant and assumptions, and the set of weights that was compared.

    origin: the set of weights that its conversion took, `weights` if the file does not say.
    """

    path: str
    layout: str
    variant: str
    taken: str
    assumption: str
    origin: str


@dataclass(frozen=True, repr=False)
class Difference(Shown):
    """The difference of two files.

    equal: number of tensors with the same values, in any dtype. differing: all other common tensors, the worst first.
    only_in_first, only_in_second: tensors that the other file lacks, or has in another shape. facts: {fact: its two
    values} for facts that differ. assumed: those of them that are assumed for one of the files. dtypes: number of
    tensors with different dtypes.
    """

    first: Side
    second: Side
    equal: int
    differing: tuple[TensorDifference, ...]
    only_in_first: tuple[str, ...]
    only_in_second: tuple[str, ...]
    facts: dict[str, tuple[Any, Any]]
    assumed: tuple[str, ...]
    dtypes: int

    @property
    def same(self) -> bool:
        """Whether both hold the same network with the same weights."""
        missing = self.only_in_first or self.only_in_second
        return self.equal > 0 and not self.differing and not missing and not self.facts.keys() - set(self.assumed)

    @property
    def close(self) -> bool:
        """Whether all differences are at most the rounding of half precision, and no tensor is missing."""
        missing = self.only_in_first or self.only_in_second
        return not missing and all(tensor.relative <= _CLOSE for tensor in self.differing)

    @property
    def line(self) -> str:
        """The verdict in one line, with the counts."""
        files = f"{self.first.path} and {self.second.path}"
        if self.same:
            return f"equal: {files}: all {self.equal:,} tensors"
        word = "close" if self.close and self.differing and not self.facts else "different"
        worst = f", by at most {self.differing[0].relative:.2g} of the largest value" if self.differing else ""
        missing = len({*self.only_in_first, *self.only_in_second})
        lacking = f", {missing:,} are missing" if missing else ""
        facts = f", facts differ: {', '.join(self.facts)}" if self.facts else ""
        counts = f"{self.equal:,} tensors are equal, {len(self.differing):,} differ{worst}{lacking}{facts}"
        return f"{word}: {files}: {counts}"

    def to_rows(self) -> list[Row]:
        """Return a row for each tensor that differs, the worst first, or that only one file has."""
        alone = {"first": self.only_in_first, "second": self.only_in_second}
        return [
            *(
                {
                    "tensor": each.name,
                    "largest": each.largest,
                    "relative": each.relative,
                    "at": each.at,
                    "only_in": None,
                }
                for each in self.differing
            ),
            *(
                {"tensor": name, "largest": None, "relative": None, "at": None, "only_in": side}
                for side, names in alone.items()
                for name in names
            ),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the difference as plain values, for JSON."""
        sides = {"first": vars(self.first), "second": vars(self.second)}
        differing = [
            {**vars(tensor), "largest": _json(tensor.largest), "relative": _json(tensor.relative)}
            for tensor in self.differing
        ]
        return {**vars(self), **sides, "differing": differing, "same": self.same, "close": self.close}


def compare(first: str | Path, second: str | Path, reading: Options = _PLAIN, key: bytes | None = None) -> Difference:
    """Return how the checkpoints at `first` and `second` differ.

    reading: how to read both files: `variant`, `facts`, `raw`; and, for files that effconvert did not write, `root`,
    `backbone`, `classifier`, `leave`. key: decrypts them. Values are compared exactly, after widening to float64.

    Raises MissingPath, UnreadableCheckpoint for a damaged file, LayoutMismatch if the layout is unknown, or if tensors
    are missing or unknown.
    """
    with open_checkpoint(first, key) as one, open_checkpoint(second, key) as other:
        (a, of_a), (b, of_b) = (
            read_network(checkpoint, _reading_of(checkpoint, reading)) for checkpoint in (one, other)
        )
        moves_a, side_a = _canonical(one, a, of_a)
        moves_b, side_b = _canonical(other, b, of_b)
        common = [name for name in moves_a if name in moves_b and _shape(moves_a[name]) == _shape(moves_b[name])]
        compared = [_difference(name, _read(one, moves_a[name]), _read(other, moves_b[name])) for name in common]
    unequal = [found for found in compared if found]
    differing = list(differing_facts(a.facts, b.facts))
    return Difference(
        first=side_a,
        second=side_b,
        equal=len(compared) - len(unequal),
        differing=tuple(sorted(unequal, key=lambda found: (-found.relative, found.name))),
        only_in_first=tuple(name for name in moves_a if name not in common),
        only_in_second=tuple(name for name in moves_b if name not in common),
        facts={name: (getattr(a.facts, name), getattr(b.facts, name)) for name in differing},
        assumed=tuple(sorted((a.assumed | b.assumed) & set(differing))),
        dtypes=sum(_dtype(one, moves_a[name]) != _dtype(other, moves_b[name]) for name in common),
    )


def _reading_of(checkpoint: Checkpoint, reading: Options) -> Options:
    """Return `reading` for a file; a file of effconvert holds one network and nothing else."""
    if "effconvert" in checkpoint.metadata:
        return Options(variant=reading.variant, facts=reading.facts, raw=reading.raw)
    return reading


def _canonical(checkpoint: Checkpoint, identity: Identity, coverage: Coverage) -> tuple[dict[str, Move], Side]:
    check_digest(checkpoint)
    moves = {move.target: move for move in coverage.moves}
    if not moves:
        raise LayoutMismatch(f"{checkpoint.path}: has no weights to compare")
    origin = identity.description.taken if identity.description else coverage.taken
    side = Side(
        str(checkpoint.path), identity.layout_name, identity.variant.name, coverage.taken, identity.assumption, origin
    )
    return moves, side


def _json(number: float) -> float | None:
    """Return `number`, None for infinity, which JSON does not have."""
    return number if math.isfinite(number) else None


def _shape(move: Move) -> tuple[int, ...]:
    return move.target_shape


def _dtype(checkpoint: Checkpoint, move: Move) -> Any:
    return checkpoint.tensors[move.source].dtype


def _read(checkpoint: Checkpoint, move: Move) -> Array:
    return move.apply(checkpoint.read(move.source))


def _difference(name: str, a: Array, b: Array) -> TensorDifference | None:
    """Return the difference, None if every value is equal; NaN is only equal to NaN."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return None
    wide, other = a.astype(np.float64), b.astype(np.float64)
    distance = np.where(same, 0.0, np.abs(wide - other))
    distance = np.where(np.isnan(distance), np.inf, distance)
    at = np.unravel_index(int(distance.argmax()), distance.shape)
    magnitudes = np.abs(np.concatenate([wide.ravel(), other.ravel()]))
    largest, scale = float(distance[at]), float(magnitudes[np.isfinite(magnitudes)].max(initial=0.0))
    relative = largest / scale if scale else math.inf
    return TensorDifference(name, largest, relative, tuple(int(index) for index in at))
