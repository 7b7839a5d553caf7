"""The rows of a drafted map: placeholders and series for regular names, lists for all others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from effconvert.architecture.variants import FLAGS, Block
from effconvert.drafting.counting import Counted, Entry, before_number, counted, number_and_rest
from effconvert.drafting.names import pattern, split
from effconvert.drafting.pieces import Key, Leaves, Piece
from effconvert.drafting.templates import is_plain, template_of

Words = str | tuple[str, ...]  # several candidates if it is not decided
_MOST_NUMBERS = 4
_CALLS = ("expand", "depthwise", "se", "project", "routing")
_NATURAL_FLAGS = {"expand": "expanded", "se": "se", "routing": "condconv"}


@dataclass(frozen=True)
class Row:
    """A row: the canonical layer, the content of its kind, its source, its flags."""

    layer: str
    leaves: Leaves
    source: Words
    flags: tuple[str, ...] = ()


@dataclass
class Rows:
    """All rows of a map.

    series: {name: names that are drawn}. network: the series that never restart. lists: {series: the layer of each
    name}, for series that list names without a rule.
    """

    parts: dict[str, list[Row]] = field(default_factory=lambda: {"stem": [], "block": [], "head": []})
    series: dict[str, tuple[Words, ...]] = field(default_factory=dict)
    network: list[str] = field(default_factory=list)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)


def rows_of(pieces: Sequence[Piece], blocks: Mapping[str, tuple[str, str]], separator: str) -> Rows:
    """Return the rows for `pieces`. blocks: {source: (text of its block, the rest)}, if names have blocks."""
    writer = _Writer(pieces, blocks, separator)
    writer.regular()
    writer.counted_in_blocks()
    writer.drawn_words()
    writer.counted_through()
    return writer.finished()


class _Writer:
    """Makes the rows of blocks, layer by layer; those of stem and head need no rule."""

    def __init__(self, pieces: Sequence[Piece], blocks: Mapping[str, tuple[str, str]], separator: str) -> None:
        self.pieces, self.blocks, self.separator = pieces, blocks, separator
        self.result = Rows()
        held: dict[Key, dict[Block, Piece]] = {}
        for piece in pieces:
            if piece.layer.block:
                held.setdefault(piece.key, {})[piece.layer.block] = piece
            else:
                self.result.parts[piece.layer.part].append(Row(*piece.key, _words(piece.sources)))
        self.held = dict(sorted(held.items(), key=lambda entry: _CALLS.index(entry[0][0].partition(".")[0])))
        self.every = list({piece.layer.block: None for piece in pieces if piece.layer.block})
        self.templates = self._templates()
        self.made: dict[Key, list[Row]] = {}

    def finished(self) -> Rows:
        """Return all rows; layers without a rule draw from a list."""
        for key, pieces in self.held.items():
            self.result.parts["block"] += self.made[key] if key in self.made else [self._listed(key, pieces)]
        for part, rows in self.result.parts.items():
            if not rows:  # a network without a head; a map needs rows for each part
                rows.append(Row("", (), part))
        return self.result

    # Names that are the same in all blocks

    def regular(self) -> None:
        """Write the layers with the same name in all blocks, or with names that depend on a flag of the block."""
        for key, pieces in self.held.items():
            rows = self._alike(key, pieces)
            for flags in (("fused", "separable"), ("condconv", "ordinary")):
                rows = rows or self._by_flags(key, pieces, flags)
            if rows:
                self.made[key] = rows

    def _templates(self) -> dict[str, str]:
        """Return {text of a block without its numbers: its template}."""
        texts: dict[str, dict[Block, str]] = {}
        for piece in self.pieces:
            source = piece.sources[0]
            if piece.layer.block and source in self.blocks:
                text = self.blocks[source][0]
                texts.setdefault(pattern(split(text)), {})[piece.layer.block] = text
        found = {key: template_of(by_block) for key, by_block in texts.items()}
        return {key: template for key, template in found.items() if template and is_plain(key)}

    def _template(self, source: str) -> tuple[str, str] | None:
        """Return a source as (template of its block, the rest); None if its block has none."""
        if source not in self.blocks:
            return None
        text, local = self.blocks[source]
        template = self.templates.get(pattern(split(text)))
        return (template, local) if template is not None and is_plain(local) else None

    def _alike(self, key: Key, pieces: Mapping[Block, Piece], *given: str) -> list[Row]:
        found = set()
        for piece in pieces.values():
            templates = [self._template(source) for source in piece.sources]
            if any(template is None for template in templates):
                return []
            found.add(tuple("".join(template) for template in templates if template))
        flags = self._flags(key[0], set(pieces), *given)
        return [Row(*key, _words(found.pop()), flags)] if len(found) == 1 and flags is not None else []

    def _by_flags(self, key: Key, pieces: Mapping[Block, Piece], flags: Iterable[str]) -> list[Row]:
        rows = []
        for flag in flags:
            members = {block: piece for block, piece in pieces.items() if flag in block.flags}
            found = self._alike(key, members, flag)
            if not found:
                return []
            rows += found
        return rows

    def _flags(self, role: str, wanted: set[Block], *given: str) -> tuple[str, ...] | None:
        """Return the fewest flags that the `wanted` blocks have and no others."""
        natural = _NATURAL_FLAGS.get(role.partition(".")[0])
        base = tuple(dict.fromkeys([*([natural] if natural else []), *given]))
        for count in range(3):
            for more in combinations(sorted(FLAGS - set(base)), count):
                flags = (*base, *more)
                if {block for block in self.every if set(flags) <= block.flags} == wanted:
                    return flags
        return None

    # Names that are numbered

    def counted_in_blocks(self) -> None:
        """Write the layers that are numbered within their block."""
        for count in range(_MOST_NUMBERS):
            open_keys = set(self._open())
            for (template, before), keys in self._families(self.held, count).items():
                if open_keys & set(keys):
                    self._count(template, before, keys, count, restart=True)

    def counted_through(self) -> None:
        """Write the layers whose numbers run through the whole network."""
        for count in range(_MOST_NUMBERS):
            for (template, before), keys in self._families(self._open(), count).items():
                self._count(template, before, keys, count, restart=False)
            if not self.blocks:
                self._count_with_ends(count)

    def _open(self) -> list[Key]:
        """Return the layers without a row whose names have a block."""
        return [key for key in self.held if key not in self.made and self._is_local(key)]

    def _is_local(self, key: Key) -> bool:
        return all(len(piece.sources) == 1 and self._template(piece.sources[0]) for piece in self.held[key].values())

    def _locals(self, keys: Iterable[Key]) -> list[list[tuple[Key, str, str]]]:
        """Return for each block, in call order, (row, template, local name) for those of `keys` that it has."""
        found: dict[Block, list[tuple[Key, str, str]]] = {block: [] for block in self.every}
        for key in keys:
            for block, piece in self.held[key].items():
                if len(piece.sources) == 1 and (template := self._template(piece.sources[0])):
                    found[block].append((key, *template))
        return [entries for entries in found.values() if entries]

    def _families(self, keys: Iterable[Key], count: int) -> dict[tuple[str, str], list[Key]]:
        """Return {(template, text before the `count`-th number): its rows}, in call order."""
        families: dict[tuple[str, str], set[Key]] = {}
        for entries in self._locals(keys):
            for key, template, local in entries:
                families.setdefault((template, before_number(local, count)), set()).add(key)
        return {family: [key for key in self.held if key in members] for family, members in families.items()}

    def _count(self, template: str, before: str, keys: Sequence[Key], count: int, restart: bool) -> None:
        scopes: list[list[Entry]] = []
        for entries in self._locals(keys):
            if any((own, before_number(local, count)) != (template, before) for _, own, local in entries):
                return
            scopes.append([(key, *number_and_rest(local, count)) for key, _, local in entries])
        if not all(self._is_local(key) for key in keys):
            return
        found = counted(scopes, restart, self.separator)
        if found is not None:
            self._draw(found, template + before, keys, restart)

    def _draw(self, found: Counted, before: str, keys: Sequence[Key], restart: bool) -> tuple[str, str]:
        """Write rows that draw from the counted names, in place of those of `keys`; return series and text."""
        word = before[max(map(before.rfind, "/.:}")) + 1 :]
        text = before.removesuffix(word) if found.has_bare else before
        items = tuple(item.replace("{word}", word) for item in found.items)
        name = self._series(word.strip("_.") or "at", items)
        if not restart:
            self.result.network.append(name)
        for key in keys:
            self.made.pop(key, None)
        for unit in found.units:
            first, *others = unit.keys
            if first not in self.held:
                continue
            flags = self._flags(first[0], {block for key in unit.keys for block in self.held[key]}) or ()
            layer, leaves, behind = unit.row(self.separator)
            skipping = [Row("", (), f"{text}<{name}{_many(unit.skipped)}>", flags)] if unit.skipped else []
            self.made[first] = [*skipping, Row(layer, leaves, f"{text}<{name}{_many(unit.used)}>{behind}", flags)]
            self.made |= {key: [] for key in others}
        return name, text

    def _count_with_ends(self, count: int) -> None:
        """Write names whose numbers run through the whole network, including stem and head."""
        families: dict[str, list[Piece]] = {}
        for piece in self.pieces:
            if len(piece.sources) > 1 or not is_plain(piece.sources[0]):
                return
            families.setdefault(before_number(piece.sources[0], count), []).append(piece)
        for before, members in families.items():
            keys = {piece.key for piece in members if piece.layer.block}
            inner = sum(piece.layer.block is not None for piece in members)
            if not keys or keys & self.made.keys() or inner < sum(len(self.held[key]) for key in keys):
                continue
            scopes: dict[object, list[Entry]] = {}
            for piece in members:
                entry = (piece.key, *number_and_rest(piece.sources[0], count))
                scopes.setdefault(piece.layer.block or piece.layer.part, []).append(entry)
            found = counted(list(scopes.values()), False, self.separator)
            if found and not any(len(unit.keys) > 1 or unit.skipped or unit.behind[0] for unit in found.units):
                name, text = self._draw(found, before, (), restart=False)
                self._draw_ends(members, f"{text}<{name}>")

    def _draw_ends(self, members: Iterable[Piece], source: str) -> None:
        for piece in members:
            rows = self.result.parts[piece.layer.part]
            for place, row in enumerate(rows):
                if not piece.layer.block and (row.layer, row.leaves) == piece.key:
                    rows[place] = Row(*piece.key, source)

    # Names that are words

    def drawn_words(self) -> None:
        """Write layers whose names are words; a block without an expansion lacks the last one."""
        open_keys = set(self._open())
        for keys in self._sharing_names():
            entries = self._locals(keys)
            if not open_keys & set(keys) or not all(self._is_local(key) for key in keys):
                continue
            words = [local for _, _, local in max(entries, key=len)]
            templates = {template for held in entries for _, template, _ in held}
            if len(templates) > 1 or any([local for *_, local in held] != words[: len(held)] for held in entries):
                continue
            before = _common_start(words)
            drawn = tuple(word.removeprefix(before) for word in words)
            name = self._series(drawn[0].strip("_./"), drawn)
            for key in keys:
                flags = self._flags(key[0], set(self.held[key])) or ()
                self.made[key] = [Row(*key, f"{next(iter(templates))}{before}<{name}>", flags)]

    def _sharing_names(self) -> list[list[Key]]:
        """Return groups of layers that share names: one has a name in one block that another has in another block."""
        names: dict[Key, set[str]] = {key: set() for key in self.held}
        for entries in self._locals(self.held):
            for key, _, local in entries:
                names[key].add(local)
        groups: list[list[Key]] = []
        for key in self.held:
            touching = [group for group in groups if any(names[key] & names[other] for other in group)]
            groups = [group for group in groups if group not in touching]
            groups.append([*(other for group in touching for other in group), key])
        return groups

    # Names without a rule

    def _listed(self, key: Key, pieces: Mapping[Block, Piece]) -> Row:
        """Return a row that draws from a list of the names, one for each block."""
        role, leaves = key
        tensor = f".{leaves[0][1]}" if len(leaves) == 1 and not leaves[0][0] else ""
        name = self._series(f"{role}{tensor}", tuple(_words(piece.sources) for piece in pieces.values()))
        self.result.network.append(name)
        self.result.lists[name] = tuple(f"{piece.layer.name}{tensor}" for piece in pieces.values())
        return Row(role, leaves, f"<{name}>", self._flags(role, set(pieces)) or ())

    def _series(self, wish: str, items: tuple[Words, ...]) -> str:
        """Return the name of a series of `items`: `wish`, or one like it."""
        wish = "".join(character if character.isalnum() else "_" for character in wish) or "at"
        name, number = wish, 2
        while self.result.series.get(name, items) != items:
            name, number = f"{wish}_{number}", number + 1
        self.result.series[name] = items
        return name


def _words(words: Sequence[str]) -> Words:
    return words[0] if len(words) == 1 else tuple(words)


def _many(count: int) -> str:
    return f":{count}" if count > 1 else ""


def _common_start(words: Sequence[str]) -> str:
    """Return the common start of words, up to a sign."""
    first = words[0]
    for end in range(len(first), 0, -1):
        if not first[end - 1].isalnum() and all(word.startswith(first[:end]) for word in words):
            return first[:end]
    return ""
