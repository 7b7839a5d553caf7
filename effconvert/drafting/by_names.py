"""Evidence from names: which layers belong to one block, the order of blocks, and the order of layers in a block.

A name is read as text and numbers. Names that begin with the same text are grouped by their numbers. If the groups, in
the order of the numbers, hold the same layers as the blocks of the network, they are the blocks. Layers of equal shapes
are told apart by the part of the name that they share with a known layer, and by the numbers in their names.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from effconvert.architecture.variants import Block
from effconvert.drafting.fitting import embedding, fits
from effconvert.drafting.layers_of_file import FileLayer
from effconvert.drafting.names import Mark, Parts, joined, orders, pattern, split, words_in_common
from effconvert.drafting.network_layers import Layer
from effconvert.drafting.shapes import Measured

_MOST_MARKS = 6
Candidates = dict[str, list[FileLayer]]


@dataclass
class ByNames:
    """Evidence from names.

    candidates: {layer of the network: the layers of the file that it may be}. blocks: {layer of the file: (text and
    numbers of its block, the rest)}, if names have blocks. doubts: sentences on names that support several layers.
    """

    candidates: Candidates
    blocks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


def read_names(measured: Measured, found: Sequence[FileLayer]) -> ByNames | None:
    """Return the evidence from the names of the layers `found`; None if they do not follow the network."""
    inner = [layer for layer in measured.layers if layer.block]
    blocks = _blocks_of(measured, inner, found)
    if blocks is None:
        return _numbered_through(measured, found)
    candidates: Candidates = {}
    reading = ByNames(candidates, {})
    held = {layer.name for group in blocks.values() for layer, _ in group.values()}
    for members in _alike(measured, blocks):
        candidates |= _within(measured, members, reading)
    outside = [layer for layer in found if layer.name not in held]
    ends = [layer for layer in measured.layers if not layer.block]
    scope = {layer.name: layer for layer in outside}
    candidates |= _resolved(measured, [(ends, scope)], reading)
    reading.blocks = {
        layer.name: (layer.name.removesuffix(local) if local else layer.name, local)
        for group in blocks.values()
        for layer, local in group.values()
    }
    return reading if all(candidates.values()) else None


# Blocks ----------------------------------------------------------------------------------------------------------

Group = dict[str, tuple[FileLayer, str]]  # {local name, unique in the block: (the layer, its name after the block)}


def _blocks_of(measured: Measured, inner: Sequence[Layer], found: Sequence[FileLayer]) -> dict[Block, Group] | None:
    """Return the layers of each block; None if no numbers in the names give the blocks."""
    wanted: dict[Block, list[Layer]] = {}
    for layer in inner:
        assert layer.block
        wanted.setdefault(layer.block, []).append(layer)
    parts = {layer.name: split(layer.name) for layer in found}
    for together in (False, True):
        for groups in _groupings(found, parts, together):
            ordered = [groups[key] for key in sorted(groups)]
            places = embedding(list(wanted.values()), ordered, lambda layers, group: _holds(measured, layers, group))
            if places and places[0] == places[1]:
                return {block: ordered[places[0][number]] for number, block in enumerate(wanted)}
    return None


def _groupings(
    found: Sequence[FileLayer], parts: Mapping[str, Parts], together: bool
) -> Iterator[dict[tuple[int, ...], Group]]:
    """Yield the layers whose names begin with the same text, grouped by the first marks of their names.

    together: texts before the last mark that end with the same word count as the same.
    """
    for count in range(1, _MOST_MARKS):
        beginnings: dict[str, dict[tuple[int, ...], Group]] = {}
        for layer in found:
            begun = _beginning(parts[layer.name], count)
            if begun is None:
                continue
            before, rest = begun
            key = _last_word(before) if together else pattern(before)
            marks = orders(before)[-1:] if together else orders(before)
            group = beginnings.setdefault(key, {}).setdefault(marks, {})
            local = joined(rest)
            group[f"{pattern(before).replace('#', '*')}|{local}" if together else local] = (layer, local)
        yield from beginnings.values()


def _beginning(parts: Parts, count: int) -> tuple[Parts, Parts] | None:
    """Return a name up to its `count`-th mark, and the rest."""
    for place, part in enumerate(parts, 1):
        if isinstance(part, Mark):
            count -= 1
            if not count:
                return parts[:place], parts[place:]
    return None


def _last_word(before: Parts) -> str:
    text = next((part for part in reversed(before) if isinstance(part, str)), "")
    return "".join(character if character.isalnum() or character == "_" else " " for character in text).split(" ")[-1]


def _holds(measured: Measured, wanted: Iterable[Layer], group: Group) -> bool:
    """Return whether a group has a layer for each layer of a block, with the same number of each shape."""
    layers = [layer for layer, _ in group.values()]
    taken: set[str] = set()
    for layer in wanted:
        match = next((each for each in layers if each.name not in taken and fits(measured, layer, each)), None)
        if match is None:
            return False
        taken.add(match.name)
    return True


# Within blocks ---------------------------------------------------------------------------------------------------


def _alike(measured: Measured, blocks: Mapping[Block, Group]) -> list[list[tuple[list[Layer], Group]]]:
    """Return the blocks, grouped by their layers and local names."""
    layers: dict[Block, list[Layer]] = {}
    for layer in measured.layers:
        if layer.block:
            layers.setdefault(layer.block, []).append(layer)
    by_flags: dict[frozenset[str], list[Block]] = {}
    for block in blocks:
        by_flags.setdefault(block.flags, []).append(block)
    classes: list[list[tuple[list[Layer], Group]]] = []
    for members in by_flags.values():
        groups = [blocks[block] for block in members]
        if len({frozenset(group) for group in groups}) > 1:
            groups = [_ranked(group) for group in groups]
        by_names: dict[frozenset[str], list[tuple[list[Layer], Group]]] = {}
        for block, group in zip(members, groups, strict=True):
            by_names.setdefault(frozenset(group), []).append((layers[block], group))
        classes += by_names.values()
    return classes


def _ranked(group: Group) -> Group:
    """Return the group with numbers that run through all blocks replaced by their rank in the block."""
    patterns: dict[str, list[str]] = {}
    for local in sorted(group, key=lambda local: orders(split(local))):
        patterns.setdefault(pattern(split(local)), []).append(local)
    return {
        text.replace("#", str(rank), 1): group[local]
        for text, locals_ in patterns.items()
        for rank, local in enumerate(locals_)
    }


def _within(measured: Measured, members: Sequence[tuple[list[Layer], Group]], reading: ByNames) -> Candidates:
    scopes = [(layers, {local: layer for local, (layer, _) in group.items()}) for layers, group in members]
    return _resolved(measured, scopes, reading)


def _resolved(
    measured: Measured, scopes: Sequence[tuple[list[Layer], Mapping[str, FileLayer]]], reading: ByNames
) -> Candidates:
    """Return the candidates of every layer in scopes with the same local names, the same in each scope."""
    first, names = scopes[0]
    possible = {
        number: [
            local for local in names if all(fits(measured, layers[number], group[local]) for layers, group in scopes)
        ]
        for number in range(len(first))
    }
    _exclude(possible)
    while True:
        before = sum(map(len, possible.values()))
        for number, layer in enumerate(first):
            if len(possible[number]) > 1:
                told = _told(measured, first, number, possible, names)
                _apply(possible, number, told, layer, reading)
        _exclude(possible)
        if sum(map(len, possible.values())) == before:
            break
    return {
        layers[number].name: [group[local] for local in locals_]
        for layers, group in scopes
        for number, locals_ in possible.items()
    }


def _apply(
    possible: dict[int, list[str]], number: int, told: Sequence[set[str]], layer: Layer, reading: ByNames
) -> None:
    """Reduce the candidates of a layer to those that every rule with a result names."""
    left = set(possible[number])
    for names in told:
        left &= names
    if left:
        possible[number] = [local for local in possible[number] if local in left]
    elif told:
        reading.doubts.append(f"{layer.role}: the names support {' and '.join(sorted(set.union(*told)))}")


def _exclude(possible: dict[int, list[str]]) -> None:
    """Remove the only candidate of a layer from all other layers, until nothing changes."""
    done: set[int] = set()
    while True:
        sure = [number for number, locals_ in possible.items() if len(locals_) == 1 and number not in done]
        if not sure:
            return
        for number in sure:
            done.add(number)
            for other, locals_ in possible.items():
                if other != number and possible[number][0] in locals_ and len(locals_) > 1:
                    locals_.remove(possible[number][0])


def _told(
    measured: Measured,
    layers: Sequence[Layer],
    number: int,
    possible: Mapping[int, Sequence[str]],
    names: Mapping[str, FileLayer],
) -> list[set[str]]:
    """Return the results of all rules that have one for a layer with several candidates."""
    told = [_sharing(layers, number, possible), _counting(measured, layers, number, possible, names)]
    return [names for names in told if names]


def _sharing(layers: Sequence[Layer], number: int, possible: Mapping[int, Sequence[str]]) -> set[str]:
    """Return the BatchNorms that share more of their name with the convolution than any other does."""
    if not layers[number].is_norm:
        return set()
    convs = {
        layer.role.rpartition(".")[0]: possible[place][0]
        for place, layer in enumerate(layers)
        if layer.role.endswith("conv") and len(possible[place]) == 1
    }
    own = layers[number].role.rpartition(".")[0]
    if own not in convs:
        return set()

    def shared(local: str, conv: str) -> int:
        return words_in_common(local, convs[conv])

    found = {
        local
        for local in possible[number]
        if all(shared(local, own) > shared(local, conv) for conv in convs if conv != own)
    }
    most = max((shared(local, own) for local in found), default=0)
    return {local for local in found if shared(local, own) == most and most > 0}


def _counting(
    measured: Measured,
    layers: Sequence[Layer],
    number: int,
    possible: Mapping[int, Sequence[str]],
    names: Mapping[str, FileLayer],
) -> set[str]:
    """Return the candidates by number: of layers whose names differ only in a number, the lower one comes first."""
    families: dict[str, list[str]] = {}
    for local in names:
        families.setdefault(_family(local), []).append(local)
    found = set()
    for family in {_family(local) for local in possible[number]}:
        members = sorted(families[family], key=lambda local: orders(split(local)))
        members = [local for local in members if any(local in locals_ for locals_ in possible.values())]
        if len(members) < 2:
            continue
        places = embedding(members, range(len(layers)), lambda local, place: local in possible[place])
        if places is None:
            continue
        found |= {members[at] for at in range(len(members)) if places[0][at] == number == places[1][at]}
        if not found:
            found |= {members[at] for at in range(len(members)) if places[0][at] <= number <= places[1][at]} & set(
                possible[number]
            )
    return found if len(found) < len(possible[number]) else set()


def _family(local: str) -> str:
    """Return a local name without its last number: `bn`, `bn_1` and `bn_2` are one family."""
    parts = split(local)
    text = pattern(parts)
    return text.removesuffix("_#") if text.endswith("_#") else text


# Numbered through ------------------------------------------------------------------------------------------------


def _numbered_through(measured: Measured, found: Sequence[FileLayer]) -> ByNames | None:
    """Return the evidence from names that are numbered through the whole network, such as `conv2d_17`."""
    families: dict[str, list[FileLayer]] = {}
    for layer in found:
        families.setdefault(_family(layer.name), []).append(layer)
    candidates: Candidates = {layer.name: [] for layer in measured.layers}
    for members in families.values():
        members = sorted(members, key=lambda layer: orders(split(layer.name)))
        fitting = [layer for layer in measured.layers if any(fits(measured, layer, each) for each in members)]
        places = embedding(members, fitting, lambda each, layer: fits(measured, layer, each))
        if places is None:
            continue
        early, late = places
        for at, each in enumerate(members):
            for place in range(early[at], late[at] + 1):
                if fits(measured, fitting[place], each):
                    candidates[fitting[place].name].append(each)
    possible = {number: [each.name for each in layers] for number, layers in enumerate(candidates.values())}
    _exclude(possible)
    by_name = {layer.name: layer for layer in found}
    told = {name: [by_name[each] for each in possible[number]] for number, name in enumerate(candidates)}
    if not all(told.values()) or sum(len(layers) == 1 for layers in told.values()) < len(told) * 0.9:
        return None
    return ByNames(told)
