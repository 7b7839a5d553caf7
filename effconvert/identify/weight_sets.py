"""The sets of weights in one file: raw tensors and their moving averages, never mixed."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from effconvert.maps.language import Layout
from effconvert.maps.moves import Move

RAW, AVERAGES, WEIGHTS = "raw", "averages", "weights"

_AVERAGED = re.compile(r"(?:^|[._/])(?:ema|averaged?|shadow)(?=[._/]|$)")


@dataclass(frozen=True)
class WeightSets:
    """The tensors of each set.

    names: {set: {name in the map: name in the file}}; the sets are `raw` and `averages`, or `weights` if the file holds
    one set and does not tell which. roots: {set: the scope of its names}. average: the name of a tensor's average in
    the file; "" if each set has its own scope.
    """

    names: Mapping[str, Mapping[str, str]]
    roots: Mapping[str, str]
    average: str = ""

    def holds(self, chosen: str, base: str) -> bool:
        """Return whether the set `chosen` has the tensor `base`."""
        return base in self.names.get(chosen, {})

    def name(self, chosen: str, base: str) -> str:
        """Return the name of the tensor `base` of the set `chosen` in the file, even if it is missing."""
        if self.holds(chosen, base):
            return self.names[chosen][base]
        plain = self.roots.get(chosen, "") + base
        return self.average.replace("{name}", plain) if chosen == AVERAGES and self.average else plain

    def with_synonyms(self, layout: Layout) -> "WeightSets":
        """Return the sets with the names of `layout` in place of those of other versions."""
        renamed = {chosen: _without_synonyms(held, layout) for chosen, held in self.names.items()}
        return replace(self, names=renamed)

    def preferred(self, moves: Iterable[Move], want_raw: bool) -> str:
        """Return the set to take: the averages if there are any for `moves`, unless raw weights are wanted."""
        if WEIGHTS in self.names:
            return WEIGHTS
        if want_raw or AVERAGES not in self.names:
            return RAW
        return AVERAGES if RAW not in self.names or any(self.holds(AVERAGES, move.source) for move in moves) else RAW

    def taking(self, chosen: str, moves: Iterable[Move]) -> list[Move]:
        """Return `moves` with the names of the set `chosen` in the file."""
        return [replace(move, source=self.name(chosen, move.source)) for move in moves]


def single_set(names: Mapping[str, str], root: str = "") -> WeightSets:
    """Return the one set of weights in a file: `names`, {name without the root: name in the file}, under `root`."""
    return WeightSets({WEIGHTS: names}, {WEIGHTS: root})


def sets_by_suffix(average: str, names: Mapping[str, str], root: str) -> WeightSets:
    """Return the sets of a file with tensors and their averages side by side, under `root`.

    average: the name of an average. names: {name: name in the file}.
    """
    raw, averages = {}, {}
    before, _, after = average.partition("{name}")
    for name, file in names.items():
        plain = name[len(before) : len(name) - len(after)]
        averaged = name.startswith(before) and name.endswith(after)
        if averaged and plain.startswith(root):
            averages[plain.removeprefix(root)] = file
        elif not averaged and name.startswith(root):
            raw[name.removeprefix(root)] = file
    return WeightSets({RAW: raw, AVERAGES: averages}, {RAW: root, AVERAGES: root}, average)


def is_averaged(root: str) -> bool:
    """Return whether the name of the scope `root` is one of averages: `state_dict_ema/`, `model_ema/module.`."""
    return bool(_AVERAGED.search(root.replace("_", ".")))


def average_name(layout: Layout, name: str) -> str:
    """Return the name in `layout` of the average of the tensor `name`."""
    return layout.average.replace("{name}", name)


def _without_synonyms(held: Mapping[str, str], layout: Layout) -> dict[str, str]:
    result = {}
    for base, file in held.items():
        layer, separator, tensor = base.rpartition(layout.separator)
        meant = layer + separator + layout.synonyms.get(tensor, tensor)
        result[base if meant in held else meant] = file
    return result
