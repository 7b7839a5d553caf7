"""The reader of maps: a parsed map becomes a Layout, and all problems are collected."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from effconvert.architecture.canonical import CANONICAL
from effconvert.architecture.facts import Facts, changed
from effconvert.architecture.variants import FLAGS, VARIANTS
from effconvert.errors import BadMap, LayoutMismatch
from effconvert.maps.axes import Axes, parse_axes
from effconvert.maps.documents import Document
from effconvert.maps.entries import check_aliases, check_channels, check_words, read_builds, read_preprocessings
from effconvert.maps.language import PLACEHOLDER, Fill, Layout, Leaving, Library, Row, Slot, draws
from effconvert.maps.words import split_variants
from effconvert.reference_tables.reading import recipe_tables

_PARTS = ("stem", "block", "head")
_REASONS = ("ignore", "refused", "aliases", "same_tensors", "other_tensors")
_STRINGS = ("root", "separator", "average", "average_read", "backbone", "features")
_BLOCK_PLACEHOLDERS = ("index", "stage", "repeat", "group", "member", "letter")


class MapReader:
    """Reads one parsed map whose shape is right; `problems` is the list of all errors in its meaning."""

    def __init__(self, document: Document) -> None:
        self.data = document.values
        self.own = document.own
        self.sha256 = document.sha256
        self.problems: list[str] = []

    def layout(self) -> Layout:
        """Return the layout; it is valid if there are no `problems`."""
        if self.data["layout"] == CANONICAL:
            self.problems.append(f"layout: {CANONICAL!r} is this project's own; give yours another name")
        strings: dict[str, Any] = {key: self.data.get(key, "") for key in _STRINGS}
        for key in ("average", "average_read"):
            if strings[key] and strings[key].count("{name}") != 1:
                self.problems.append(f"{key}: {strings[key]!r} must hold {{name}} once")
        self._check_placeholders("root", strings["root"], ("variant",))
        variants = self._variants(self._table("variants"))
        facts, variant_facts = self._facts(self._table("facts"), variants)
        series = {name: self._series(name, value) for name, value in self._table("series").items()}
        kinds = self._kinds(self._table("kinds"), self._axes(self._table("axes")))
        names: dict[str, Any] = {key: self._inverted(key) for key in _REASONS}
        for name in names["refused"].keys() - VARIANTS.keys():
            self.problems.append(f"refused: {name!r} is an unknown variant")
        words, channels = self._table("words"), self.data.get("channels")
        check_words(words, self.own.get("words", ()), self._code(), self.problems)
        check_channels(channels, self.problems)
        builds = read_builds(self.data.get("builds", []), words, channels, variants, self.problems)
        check_aliases(names["aliases"], builds, variants, self.problems)
        return Layout(
            name=self.data["layout"],
            library=self._library(),
            **strings,
            bare=self.data.get("bare", False),
            write=self.data.get("write", True),
            variants=variants,
            facts=facts,
            variant_facts=variant_facts,
            synonyms=self._synonyms(kinds),
            series=series,
            network_series=self._network(series),
            kinds=kinds,
            layers=self._layers(self._table("layers"), kinds, series),
            leavings=tuple(read_leavings(self._table("leavings"))),
            fill=self._fills(kinds),
            builds=builds,
            preprocessings=read_preprocessings(self.data.get("preprocessings", []), words, self.problems),
            channels=channels,
            **names,
            sha256=self.sha256,
        )

    def _table(self, key: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.data.get(key, {})
        return found

    def _code(self) -> Iterable[Any]:
        """Yield every string that may use a word."""
        tables = [*self.data.get("builds", []), *self.data.get("preprocessings", [])]
        for table in (self._table("words"), *tables, *(table.get("words", {}) for table in tables)):
            for value in table.values():
                yield from value.values() if isinstance(value, Mapping) else [value]

    def _library(self) -> Library:
        values = {
            key: tuple(value) if isinstance(value, list) else value for key, value in self._table("library").items()
        }
        if (recipe := values.get("recipe")) and recipe not in recipe_tables():
            self.problems.append(f"library.recipe: {recipe!r} is unknown; known are {', '.join(recipe_tables())}")
        return Library(**{"title": self.data["layout"], **_fields(Library, values)})

    def _inverted(self, key: str) -> dict[str, str]:
        """Return {name: reason} for a table {reason: names}."""
        return {name: reason for reason, names in self._table(key).items() for name in names}

    def _variants(self, table: Mapping[str, Any]) -> dict[str, str]:
        names = [(name, name) for name in table.get("same", [])] + list(table.get("renamed", {}).items())
        for name in dict(names).keys() - VARIANTS.keys():
            self.problems.append(f"variants: {name!r} is unknown; known are {', '.join(VARIANTS)}")
        if len(dict(names)) != len(names):
            self.problems.append("variants: duplicate name")
        if not names:
            self.problems.append("variants: is empty; name at least one")
        return dict(names)

    def _facts(
        self, table: Mapping[str, Any], variants: Mapping[str, str]
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        general = {key: value for key, value in table.items() if not isinstance(value, dict)}
        keys = {key: value for key, value in table.items() if isinstance(value, dict)}
        particular: dict[str, dict[str, Any]] = {}
        for key, values in keys.items():
            for name in split_variants(key):
                if name not in variants:
                    self.problems.append(f"facts.{key}: the map does not cover the variant {name!r}")
                particular[name] = {**particular.get(name, {}), **values}
        for where, values in {"facts": general, **{f"facts.{key}": values for key, values in keys.items()}}.items():
            try:
                changed(Facts(), values)
            except LayoutMismatch as error:
                self.problems.append(f"{where}: {error}")
        return general, particular

    def _fills(self, kinds: Mapping[str, Mapping[str, Slot]]) -> dict[str, Fill]:
        """Return the filled tensors; those of an included map count only if a kind of this map names them."""
        named = {slot.fill for slots in kinds.values() for slot in slots.values()}
        fills = self._table("fill").items()
        return {
            name: Fill(**_fields(Fill, value)) for name, value in fills if name in named or self._is_own("fill", name)
        }

    def _synonyms(self, kinds: Mapping[str, Mapping[str, Slot]]) -> Mapping[str, str]:
        known = {tensor for tensors in kinds.values() for tensor in tensors}
        for name, meant in self._table("synonyms").items():
            if name in known:
                self.problems.append(f"synonyms.{name}: is the name of a tensor itself")
            if meant not in known:
                self.problems.append(f"synonyms.{name}: {meant!r} is not a tensor of any kind")
        return self._table("synonyms")

    def _series(self, name: str, value: list[str]) -> tuple[str, ...]:
        for item in value:
            self._check_placeholders(f"series.{name}", item, ("n",))
        if any("{n}" in item for item in value[:-1]):
            self.problems.append(f"series.{name}: only the last name may have {{n}}, which means all that follow")
        if len(set(value)) != len(value):
            self.problems.append(f"series.{name}: duplicate name")
        return tuple(value)

    def _network(self, series: Mapping[str, Any]) -> frozenset[str]:
        names = self._table("network").get("series", [])
        self.problems += [f"network.series: {name!r} is not a series" for name in names if name not in series]
        return frozenset(names)

    def _is_own(self, key: str, name: str) -> bool:
        """Return whether the map itself has it; an included file may hold more than is used."""
        return name in self.own.get(key, ())

    def _axes(self, table: Mapping[str, str]) -> dict[str, Axes]:
        parsed = {}
        for name, value in table.items():
            try:
                parsed[name] = parse_axes(value)
            except BadMap as error:
                self.problems.append(f"axes.{name}: {error}")
        return parsed

    def _kinds(self, table: Mapping[str, Any], axes: Mapping[str, Axes]) -> dict[str, dict[str, Slot]]:
        kinds: dict[str, dict[str, Slot]] = {}
        used = set()
        for kind, tensors in table.items():
            kinds[kind] = {}
            for tensor, target in tensors.items():
                kinds[kind][tensor], name = self._slot(f"kinds.{kind}.{tensor}", target, axes)
                used.add(name)
            targets = [slot.canonical for slot in kinds[kind].values() if slot.canonical]
            for canonical in sorted({target for target in targets if targets.count(target) > 1}):
                self.problems.append(f"kinds.{kind}: {canonical!r} is filled twice")
        unused = [name for name in axes if name not in used and self._is_own("axes", name)]
        self.problems += [f"axes.{name}: no kind uses it" for name in unused]
        return kinds

    def _slot(self, where: str, target: str, axes: Mapping[str, Axes]) -> tuple[Slot, str]:
        """Return the slot for `weight : conv` or `= filled`, and the name of its axes."""
        if target.startswith("="):
            fill = target[1:].strip()
            if fill not in self._table("fill"):
                self.problems.append(f"{where}: {fill!r} is not in [fill]")
            return Slot("", fill=fill), ""
        canonical, colon, name = (part.strip() for part in target.partition(":"))
        if colon and name not in self._table("axes"):
            self.problems.append(f"{where}: axes {name!r} are not in [axes]")
        return Slot(canonical, axes.get(name)), name

    def _layers(
        self, table: Mapping[str, Any], kinds: Mapping[str, Any], series: Mapping[str, Any]
    ) -> dict[str, tuple[Row, ...]]:
        layers: dict[str, tuple[Row, ...]] = {}
        for part in _PARTS:
            if part not in table:
                self.problems.append(f"layers.{part}: is missing")
            rows = [self._row(part, number, row, kinds, series) for number, row in enumerate(table.get(part, []), 1)]
            for number, row in enumerate(rows):
                if row in rows[:number] and row.layer:
                    self.problems.append(f"layers.{part} row {number + 1}: repeats an earlier row")
            layers[part] = tuple(rows)
        every = [row for rows in layers.values() for row in rows]
        used, drawn = {row.kind for row in every}, {name for row in every for _, _, name, _ in draws(row.source)}
        for key, names, taken, words in (
            ("kinds", kinds, used, "no layer uses it"),
            ("series", series, drawn, "no layer draws from it"),
        ):
            unused = [name for name in names if name not in taken and self._is_own(key, name)]
            self.problems += [f"{key}.{name}: {words}" for name in unused]
        return layers

    def _row(self, part: str, number: int, row: list[str], kinds: Mapping[str, Any], series: Mapping[str, Any]) -> Row:
        layer, kind, source, *flags = row
        problems = [f"kind {kind!r} is not in [kinds]"] if kind not in kinds else []
        if not layer and any(slot.canonical for slot in kinds.get(kind, {}).values()):
            problems.append(f"kind {kind!r} holds tensors; name a canonical layer")
        known = FLAGS if part == "block" else frozenset[str]()
        words = ", ".join(sorted(known)) or "none outside a block"
        problems += [f"flag {flag!r} is unknown; known are {words}" for flag in flags if flag not in known]
        found = list(draws(source))
        for written, _, name, _ in found:
            if name not in series:
                problems.append(f"{written} draws from {name!r}, which is not in [series]")
            if ":" in written and not re.fullmatch(r"<\w+:[1-9]\d*>", written):
                problems.append(f"{written} must read <series:number>")
        if len(found) > 1:
            problems.append("draws more than one name")
        where = f"layers.{part} row {number}"
        self.problems += [f"{where}: {words}" for words in problems]
        self._check_placeholders(where, source, _BLOCK_PLACEHOLDERS if part == "block" else ())
        return Row(layer, kind, source, frozenset(flags))

    def _check_placeholders(self, where: str, text: str, known: tuple[str, ...]) -> None:
        for match in PLACEHOLDER.finditer(text):
            if not re.fullmatch(rf"(?:{'|'.join(known) or '(?!)'})(?:\+\d+)?", match[1]):
                names = ", ".join(f"{{{name}}}" for name in known) or "none here"
                self.problems.append(f"{where}: placeholder {match[0]} is unknown; known are {names}")


def read_leavings(table: Mapping[str, Any]) -> Iterable[Leaving]:
    """Yield what trainings leave in files, from a table {reason: names}."""
    for reason, value in table.items():
        said = _fields(Leaving, value)
        yield from (Leaving(pattern, reason, **said) for pattern in value["names"])


def _fields(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of `table` that are fields of the dataclass `kind`; the schema refuses all others."""
    return {field.name: table[field.name] for field in fields(kind) if field.name in table}
