"""Turns a parsed mapping file into a Layout and collects what the map language does not know, every problem at once."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from effconvert.architecture.facts import Facts, changed
from effconvert.architecture.variants import FLAGS, VARIANTS
from effconvert.errors import BadMap, LayoutMismatch
from effconvert.maps.axes import Axes, parse_axes
from effconvert.maps.entries import (
    check_aliases,
    read_build,
    read_channels,
    read_fill,
    read_preprocessing,
    read_synonyms,
)
from effconvert.maps.language import PLACEHOLDER, Build, Layout, Leaving, Preprocessing, Row, Slot, draws

_SCHEMA = 1
_PARTS = ("stem", "block", "head")
_NAMES = ("aliases", "same_tensors", "other_tensors")
_TABLES = (
    "variants", "refused", "facts", "synonyms", "series", "network", "axes", "kinds", "layers", "ignore", "fill",
    *_NAMES,
)  # fmt: skip
_TEXTS = ("layout", "root", "separator", "average", "average_read", "backbone", "features", "framework")
_TABLE_LISTS = ("builds", "preprocessings")
_LISTS = ("suffixes", "dtypes")
_SWITCHES = {"write": True, "bare": False}
_BLOCK_PLACEHOLDERS = ("index", "stage", "repeat", "group", "member", "letter")


class MapReader:
    """Reads one parsed map; `problems` are all that was found wrong with it."""

    def __init__(self, data: dict[str, Any], trainings: Mapping[str, tuple[Leaving, ...]]) -> None:
        """Read `data`. trainings: {framework: what its trainings leave beside the weights}."""
        self.data = data
        self.trainings = trainings
        self.problems: list[str] = []

    def layout(self, sha256: str) -> Layout | None:
        """Return the layout, None where there are problems; `sha256` is the file's."""
        known = ("schema", *_TEXTS, *_SWITCHES, *_TABLES, *_LISTS, *_TABLE_LISTS, "channels")
        for key in self.data.keys() - set(known):
            self.problems.append(f"{key}: unknown key; known are {', '.join(known)}")
        if self.data.get("schema") != _SCHEMA:
            self.problems.append(f"schema: is {self.data.get('schema')!r}, this version reads {_SCHEMA}")
        texts = {key: self._text(key) for key in _TEXTS}
        lists = {key: self._texts(key) for key in _LISTS}
        switches = {key: self._switch(key, usual) for key, usual in _SWITCHES.items()}
        tables = {key: self._table(key) for key in _TABLES}
        if not texts["layout"]:
            self.problems.append("layout: a name is missing")
        for key in ("average", "average_read"):
            if texts[key] and texts[key].count("{name}") != 1:
                self.problems.append(f"{key}: {texts[key]!r} must hold {{name}} once")
        self._check_placeholders("root", texts["root"], ("variant",))
        variants = self._variants(tables["variants"])
        facts, variant_facts = self._facts(tables["facts"], variants)
        series = {name: self._series(name, value) for name, value in tables["series"].items()}
        network = self._network(tables["network"], series)
        kinds = self._kinds(tables["kinds"], self._axes(tables["axes"]))
        layers = self._layers(tables["layers"], kinds, series)
        fill = {name: read_fill(name, value, self.problems) for name, value in tables["fill"].items()}
        builds = self._builds(variants)
        channels = read_channels(self.data.get("channels"), builds, self.problems)
        refused = self._reasons("refused", tables["refused"])
        for name in refused.keys() - VARIANTS.keys():
            self.problems.append(f"refused.{name}: unknown variant")
        ignore = self._reasons("ignore", tables["ignore"])
        synonyms = read_synonyms(tables["synonyms"], kinds, self.problems)
        framework = texts.pop("framework")
        if framework and framework not in self.trainings:
            self.problems.append(f"framework: {framework!r} is unknown; known are {', '.join(self.trainings)}")
        names = {key: self._reasons(key, tables[key]) for key in _NAMES}
        check_aliases(names["aliases"], builds, variants, self.problems)
        preprocessings = self._preprocessings()
        if self.problems:
            return None
        return Layout(
            name=texts["layout"],
            root=texts["root"],
            separator=texts["separator"],
            average=texts["average"],
            average_read=texts["average_read"],
            backbone=texts["backbone"],
            features=texts["features"],
            suffixes=lists["suffixes"],
            dtypes=lists["dtypes"],
            bare=switches["bare"],
            write=switches["write"],
            variants=variants,
            refused=refused,
            facts=facts,
            variant_facts=variant_facts,
            synonyms=synonyms,
            series=series,
            network_series=network,
            kinds=kinds,
            layers=layers,
            ignore=ignore,
            leavings=self.trainings.get(framework, ()),
            fill={name: value for name, value in fill.items() if value},
            builds=builds,
            preprocessings=preprocessings,
            channels=channels,
            **names,
            sha256=sha256,
        )

    def _text(self, key: str) -> str:
        value = self.data.get(key, "")
        if not isinstance(value, str):
            self.problems.append(f"{key}: must be a text, is {value!r}")
            return ""
        return value

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self.data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.problems.append(f"{key}: must be a list of texts, is {value!r}")
            return ()
        return tuple(value)

    def _switch(self, key: str, usual: bool) -> bool:
        value = self.data.get(key, usual)
        if not isinstance(value, bool):
            self.problems.append(f"{key}: must be true or false, is {value!r}")
        return bool(value)

    def _table(self, key: str) -> dict[str, Any]:
        value = self.data.get(key, {})
        if not isinstance(value, dict):
            self.problems.append(f"{key}: must be a table, is {value!r}")
            return {}
        return value

    def _variants(self, table: dict[str, Any]) -> dict[str, str]:
        for key in table.keys() - {"same", "renamed"}:
            self.problems.append(f"variants.{key}: unknown key; known are same, renamed")
        same, renamed = table.get("same", []), table.get("renamed", {})
        if not isinstance(same, list) or not isinstance(renamed, dict):
            self.problems.append("variants: same must be a list and renamed a table")
            return {}
        names = [(name, name) for name in same] + list(renamed.items())
        for name, own in names:
            if name not in VARIANTS:
                self.problems.append(f"variants: {name!r} is unknown; known are {', '.join(VARIANTS)}")
            if not isinstance(own, str):
                self.problems.append(f"variants.renamed.{name}: must be a text, is {own!r}")
        if len(dict(names)) != len(names):
            self.problems.append("variants: a name stands twice")
        if not names:
            self.problems.append("variants: none named")
        return dict(names)

    def _facts(
        self, table: dict[str, Any], variants: Mapping[str, str]
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        general = {key: value for key, value in table.items() if not isinstance(value, dict)}
        particular = {key: value for key, value in table.items() if isinstance(value, dict)}
        for key in particular.keys() - variants.keys():
            self.problems.append(f"facts.{key}: the map does not cover this variant")
        for where, values in {"facts": general, **{f"facts.{key}": part for key, part in particular.items()}}.items():
            try:
                changed(Facts(), values)
            except LayoutMismatch as error:
                self.problems.append(f"{where}: {error}")
        return general, particular

    def _series(self, name: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            self.problems.append(f"series.{name}: must be a list of texts, is {value!r}")
            return ()
        for item in value:
            self._check_placeholders(f"series.{name}", item, ("n",))
        if any("{n}" in item for item in value[:-1]):
            self.problems.append(f"series.{name}: only the last name may hold {{n}}, for it stands for all that follow")
        if len(set(value)) != len(value):
            self.problems.append(f"series.{name}: a name stands twice")
        return tuple(value)

    def _network(self, table: dict[str, Any], series: Mapping[str, Any]) -> frozenset[str]:
        for key in table.keys() - {"series"}:
            self.problems.append(f"network.{key}: unknown key; known is series")
        names = table.get("series", [])
        if not isinstance(names, list):
            self.problems.append(f"network.series: must be a list, is {names!r}")
            return frozenset()
        for name in names:
            if name not in series:
                self.problems.append(f"network.series: {name!r} is not a series")
        return frozenset(name for name in names if isinstance(name, str))

    def _axes(self, table: dict[str, Any]) -> dict[str, Axes]:
        parsed = {}
        for name, value in table.items():
            try:
                parsed[name] = parse_axes(value if isinstance(value, str) else repr(value))
            except BadMap as error:
                self.problems.append(f"axes.{name}: {error}")
        return parsed

    def _kinds(self, table: dict[str, Any], axes: Mapping[str, Axes]) -> dict[str, dict[str, Slot]]:
        kinds: dict[str, dict[str, Slot]] = {}
        used = set()
        for kind, tensors in table.items():
            kinds[kind] = {}
            if not isinstance(tensors, dict):
                self.problems.append(f"kinds.{kind}: must be a table, is {tensors!r}")
                continue
            for tensor, target in tensors.items():
                slot, name = self._slot(f"kinds.{kind}.{tensor}", target, axes)
                used.add(name)
                kinds[kind][tensor] = slot
            targets = [slot.canonical for slot in kinds[kind].values() if slot.canonical]
            for canonical in sorted({target for target in targets if targets.count(target) > 1}):
                self.problems.append(f"kinds.{kind}: {canonical!r} is filled twice")
        for name in axes.keys() - used:
            self.problems.append(f"axes.{name}: no kind uses it")
        return kinds

    def _slot(self, where: str, target: Any, axes: Mapping[str, Axes]) -> tuple[Slot, str]:
        """Return the slot that `weight : conv` or `= filled` names, and the name of its axes."""
        if not isinstance(target, str):
            self.problems.append(f"{where}: must be a text, is {target!r}")
            return Slot(""), ""
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
        self, table: dict[str, Any], kinds: Mapping[str, Any], series: Mapping[str, Any]
    ) -> dict[str, tuple[Row, ...]]:
        for key in table.keys() - set(_PARTS):
            self.problems.append(f"layers.{key}: unknown key; known are {', '.join(_PARTS)}")
        layers: dict[str, tuple[Row, ...]] = {}
        drawn = set()
        for part in _PARTS:
            rows = table.get(part)
            if not isinstance(rows, list) or not rows:
                self.problems.append(f"layers.{part}: must be a list of rows")
                continue
            parsed = [self._row(part, number, row, kinds, series) for number, row in enumerate(rows, 1)]
            layers[part] = tuple(row for row in parsed if row)
            for number, row in enumerate(parsed):
                if row and row in parsed[:number] and row.layer:
                    self.problems.append(f"layers.{part} row {number + 1}: repeats an earlier row")
            drawn |= {name for row in layers[part] for _, _, name, _ in draws(row.source)}
        used = {row.kind for rows in layers.values() for row in rows}
        self.problems += [f"kinds.{kind}: no layer is of it" for kind in kinds if kind not in used]
        self.problems += [f"series.{name}: no layer draws from it" for name in series if name not in drawn]
        return layers

    def _row(self, part: str, number: int, row: Any, kinds: Mapping[str, Any], series: Mapping[str, Any]) -> Row | None:
        where = f"layers.{part} row {number}"
        if not isinstance(row, list) or len(row) < 3 or not all(isinstance(item, str) for item in row):
            self.problems.append(f"{where}: must be [canonical layer, kind, source layer, flags …], is {row!r}")
            return None
        layer, kind, source, *flags = row
        if kind not in kinds:
            self.problems.append(f"{where}: kind {kind!r} is not in [kinds]")
        if not layer and any(slot.canonical for slot in kinds.get(kind, {}).values()):
            self.problems.append(f"{where}: kind {kind!r} holds tensors, so a canonical layer must be named")
        for flag in flags:
            if flag not in FLAGS or part != "block":
                known = ", ".join(sorted(FLAGS)) if part == "block" else "none outside a block"
                self.problems.append(f"{where}: flag {flag!r} is unknown; known are {known}")
        self._check_placeholders(where, source, _BLOCK_PLACEHOLDERS if part == "block" else ())
        found = list(draws(source))
        for written, _, name, _ in found:
            if name not in series:
                self.problems.append(f"{where}: {written} draws from {name!r}, which is not in [series]")
            if ":" in written and not re.fullmatch(r"<\w+:[1-9]\d*>", written):
                self.problems.append(f"{where}: {written} must read <series:number>")
        if len(found) > 1:
            self.problems.append(f"{where}: draws more than one name")
        return Row(layer, kind, source, frozenset(flags))

    def _reasons(self, key: str, table: dict[str, Any]) -> dict[str, str]:
        for name, reason in table.items():
            if not isinstance(reason, str) or not reason:
                self.problems.append(f"{key}.{name!r}: must give a reason in words, is {reason!r}")
        return table

    def _builds(self, variants: Mapping[str, str]) -> tuple[Build, ...]:
        found = [read_build(number, build, variants, self.problems) for number, build in self._numbered("builds")]
        return tuple(build for build in found if build)

    def _preprocessings(self) -> tuple[Preprocessing, ...]:
        found = [read_preprocessing(number, way, self.problems) for number, way in self._numbered("preprocessings")]
        return tuple(way for way in found if way)

    def _numbered(self, key: str) -> Iterable[tuple[int, Any]]:
        value = self.data.get(key, [])
        if not isinstance(value, list):
            self.problems.append(f"{key}: must be a list of tables, is {value!r}")
            return ()
        return enumerate(value, 1)

    def _check_placeholders(self, where: str, text: str, known: tuple[str, ...]) -> None:
        for match in PLACEHOLDER.finditer(text):
            if not re.fullmatch(rf"(?:{'|'.join(known) or '(?!)'})(?:\+\d+)?", match[1]):
                names = ", ".join(f"{{{name}}}" for name in known) or "none here"
                self.problems.append(f"{where}: placeholder {match[0]} is unknown; known are {names}")
