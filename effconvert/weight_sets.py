"""The sets of weights in one file: raw tensors and their moving averages, never mixed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from effconvert.map_language import Layout
from effconvert.moves import Move

RAW, AVERAGES = "raw", "averages"


@dataclass(frozen=True)
class WeightSets:
    """The tensors of each set: {name as the map has it: name in the file}."""

    raw: Mapping[str, str]
    averages: Mapping[str, str]

    def of(self, name: str) -> Mapping[str, str]:
        """Return the set called `raw` or `averages`."""
        return self.averages if name == AVERAGES else self.raw

    @property
    def bases(self) -> frozenset[str]:
        """Every name as the map has it."""
        return frozenset(self.raw) | frozenset(self.averages)


def split_sets(layout: Layout, names: Iterable[str]) -> WeightSets:
    """Return which of `names` are raw tensors and which averages of one."""
    raw, averages = {}, {}
    before, _, after = layout.average.partition("{name}")
    for name in names:
        if layout.average and name.startswith(before) and name.endswith(after):
            averages[name[len(before) : len(name) - len(after)]] = name
        else:
            raw[name] = name
    return WeightSets(raw, averages)


def average_name(layout: Layout, name: str) -> str:
    """Return how `layout` names the average of the tensor `name`."""
    return layout.average.replace("{name}", name)


def preferred_set(sets: WeightSets, moves: Iterable[Move], want_raw: bool) -> str:
    """Return the set to take: the averages wherever there are any, unless the raw weights are asked for."""
    if want_raw:
        return RAW
    return AVERAGES if any(move.source in sets.averages for move in moves) else RAW


def taking(layout: Layout, taken: str, moves: Iterable[Move]) -> list[Move]:
    """Return `moves` with the names that the set `taken` has in the file."""
    if taken == RAW:
        return list(moves)
    return [replace(move, source=average_name(layout, move.source)) for move in moves]
