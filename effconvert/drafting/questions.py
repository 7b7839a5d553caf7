"""Questions of a draft; a person must give one answer to each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from effconvert.drafting.kinds import Kinds
from effconvert.drafting.leftovers import Leftovers
from effconvert.drafting.rows import Rows, Words


@dataclass(frozen=True)
class Question:
    """An open point: its place in the map, and the candidates; none if the answer is a sentence."""

    where: str
    candidates: tuple[str, ...]


def questions_of(rows: Rows, kinds: Kinds, left: Leftovers, keys: Mapping[str, Words]) -> tuple[Question, ...]:
    """Return every question, in the order of the map. keys: {key: value} of the keys before the tables of rows."""
    return tuple(_questions(rows, kinds, left, keys))


def _questions(rows: Rows, kinds: Kinds, left: Leftovers, keys: Mapping[str, Words]) -> Iterator[Question]:
    for key, value in keys.items():
        if isinstance(value, tuple):
            yield Question(key, value)
    for name, items in rows.series.items():
        for item, layer in zip(items, rows.lists.get(name, items), strict=True):
            if isinstance(item, tuple):
                yield Question(f"series.{name}, {layer}", item)
    for name, order in kinds.axes.items():
        if isinstance(order, tuple):
            yield Question(f"axes.{name}", order)
    for kind, slots in kinds.kinds.items():
        for leaf, target in slots.items():
            if isinstance(target, tuple):
                yield Question(f"kinds.{kind}{f', {leaf}' if leaf else ''}", target)
    for part, each in rows.parts.items():
        for row in each:
            if isinstance(row.source, tuple):
                yield Question(f"layers.{part}, {row.layer}", row.source)
    for name, reason in left.ignore.items():
        if not reason:
            yield Question(f"ignore, {name}", ())
