"""Views of networks for the renderings: counts, groups, selections and lines of tables."""

import heapq
import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from effconvert.report.checks import FAILED, NEAR, NOT_JUDGED, PASSED
from effconvert.report.renderings.numbers_text import MODE_WORDS, NONE, count
from effconvert.report.sentences import overall

_LISTED_LAYERS = 1000
_LISTED_PAIRS, _TOLD_PAIRS = 100, 10
_DETAILED, _LISTED = 50, 300
_WORST_FIRST = (FAILED, NEAR, NOT_JUDGED, PASSED)

Document = Mapping[str, Any]
Network = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A key number of a report. section: the section with the details."""

    label: str
    number: int
    section: str


def key_figures(document: Document) -> list[Figure]:
    """Return the numbers for the top of the page."""
    published = document["published"]
    if document["kind"] == "published":
        return [
            Figure("variants", len(published["variants"]), "networks"),
            Figure("accuracies", len(published["accuracy"]), "publishers"),
            Figure("costs", len(published["cost"]), "costs"),
            Figure("files of weights", len(published["files"]), "files"),
            Figure("sources", len(published["sources"]), "sources"),
            Figure("disagreements", len(published["disagreements"]), "disagreements"),
        ]
    networks = document["networks"]
    found = Counter(verdict["verdict"] for network in networks for verdict in network["verdicts"])
    words = [word for word in ("passed", "near", "failed", "not judged") if found[word] or word in ("passed", "failed")]
    return [Figure("networks", len(networks), "verdicts"), *(Figure(word, found[word], "verdicts") for word in words)]


def detailed(networks: Sequence[Network]) -> list[Network]:
    """Return the networks with all details on the page: all if they are few, else the worst."""
    if len(networks) <= _DETAILED:
        return list(networks)
    return sorted(networks, key=lambda network: _WORST_FIRST.index(overall(network)))[:_DETAILED]


def listed(things: Sequence[Any]) -> Sequence[Any]:
    """Return the first items, up to the limit of lines in a table of a light page."""
    return things[:_LISTED]


def warning_groups(document: Document) -> list[tuple[str, list[str]]]:
    """Return each warning with the names of its networks."""
    groups: dict[str, list[str]] = {}
    for network in document["networks"]:
        for warning in dict.fromkeys(network["cautions"]):
            groups.setdefault(warning, []).append(network["name"])
    return list(groups.items())


def disagreements_of(network: Network, document: Document) -> list[Mapping[str, Any]]:
    """Return the disagreements between sources on the ImageNet accuracy of these weights."""
    return [
        found
        for found in document["published"]["disagreements"]
        if (found["variant"], found["weights"]) == (network["variant"], network["weights"])
        and found["quantity"] in ("top1", "top5")
    ]


def diverging_row(comparison: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the first diverging layer, or else the layer that is nearest to its tolerance."""
    rows = comparison["rows"]
    named = [row for row in rows if row["layer"] == comparison["first"] and not row["passed"]]
    finite = [row for row in rows if row["relative"] is not None and row["allowed"]]
    worst = max(finite, key=lambda row: row["relative"] / row["allowed"], default=None)
    return named[0] if named else worst


Verified = tuple[Network, Mapping[str, Any]]


def verified_networks(networks: Iterable[Network]) -> list[Verified]:
    """Return every verification once, with its first network."""
    found: dict[str, Verified] = {}
    for network in networks:
        for verification in network["verifications"]:
            found.setdefault(verification["id"], (network, verification))
    return list(found.values())


def with_layers(verified: Iterable[Verified]) -> list[Verified]:
    """Return the verifications with all layers on the page: the first ones, as long as the page stays light."""
    chosen, rows = [], 0
    for network, verification in verified:
        rows += sum(len(pair["rows"]) for pair in verification["comparisons"])
        if rows > _LISTED_LAYERS:
            break
        chosen.append((network, verification))
    return chosen


def operation_conventions(networks: Iterable[Network]) -> list[str]:
    """Return every convention of the networks' operations."""
    return list(dict.fromkeys(name for network in networks for name in network["cost"]["operations"]))


@dataclass(frozen=True)
class Pair:
    """Two networks and their predictions for the same images. percent: of images with the same first class."""

    first: str
    second: str
    images: int
    same: int
    percent: float | None
    only_first: int
    only_second: int
    p: float | None


def agreeing_pairs(document: Document) -> list[Pair]:
    """Return the pairs of networks that agree least, or all if they are few."""
    found = document["agreement"]
    names = {network["id"]: network["name"] for network in document["networks"]}
    places = combinations(range(len(found["ids"])), 2)
    shares = ((found["same"][a][b] / (found["images"][a][b] or 1), a, b) for a, b in places)
    return [
        Pair(
            first=names[found["ids"][a]],
            second=names[found["ids"][b]],
            images=found["images"][a][b],
            same=found["same"][a][b],
            percent=100 * share if found["images"][a][b] else None,
            only_first=found["only_first"][a][b],
            only_second=found["only_second"][a][b],
            p=found["p"][a][b],
        )
        for share, a, b in heapq.nsmallest(_LISTED_PAIRS, shares)
    ]


def pair_count(document: Document) -> int:
    """Return the number of pairs of networks in the agreement."""
    networks = len(document["agreement"]["ids"])
    return networks * (networks - 1) // 2


def uncompared(document: Document) -> list[str]:
    """Return sentences on networks that were not compared image by image, or only by the names of images."""
    found = document["agreement"] or {"refused": (), "by_name": ()}
    names = {network["id"]: network["name"] for network in document["networks"]}
    pairs = found["refused"]
    sentences = [
        f"{names[pair['first']]} and {names[pair['second']]} are not compared: {pair['reason']}"
        for pair in pairs[:_TOLD_PAIRS]
    ]
    if len(pairs) > _TOLD_PAIRS:
        sentences.append(f"{len(pairs) - _TOLD_PAIRS:,} more pairs are not compared")
    if found["by_name"]:
        networks = some([names[one] for one in found["by_name"]])
        why = "these runs have no hashes of their images, so images of one name may be different pictures"
        sentences.append(f"images were matched only by name for {networks}; {why}")
    return sentences


def command(document: Document) -> str:
    """Return the command that reproduces the report."""
    runs = [file["path"] for file in document["inputs"] if file["kind"] == "run"]
    verifications = [file["path"] for file in document["inputs"] if file["kind"] == "verification"]
    words = [*runs, *(word for path in verifications for word in ("--verify", path)), "--out", "report"]
    return shlex.join(["effconvert", "report", *words])


def provenance(network: Network) -> list[tuple[str, str]]:
    """Return the origin of a network's numbers, as (label, text)."""
    return [(label, text) for label, text in _provenance(network) if text]


def _provenance(network: Network) -> Iterator[tuple[str, str]]:
    model, source = network["model"], network["conversion"] or {}
    yield "File", model["file"]
    yield from _hashes("SHA-256 of", model["sha256"])
    yield "Layout", model["layout"]
    yield "Weights", ", ".join(filter(None, (network["weights"], model["taken"])))
    yield "Facts", facts_text(model["facts"])
    yield "Classes, parameters", f"{count(model['classes'])}, {count(model['parameters'])}"
    yield "Type of the values", model["dtype"] or ""
    yield "Converted from", ", ".join(filter(None, (source.get("layout"), source.get("taken"), source.get("url"))))
    yield from _hashes("SHA-256 of the source", source.get("source_sha256") or {})
    yield "SHA-256 of the map", source.get("map_sha256") or ""
    yield "Options", settings(source.get("options") or {})
    yield "Preprocessing", settings(network["recipe"] or {})
    yield from _measuring(network)


def _measuring(network: Network) -> Iterator[tuple[str, str]]:
    dataset, run = network["dataset"], network["provenance"]
    if dataset:
        yield "Images", f"{dataset['path']}: {count(dataset['evaluated'])} of {count(dataset['images'])} evaluated"
        yield "Fingerprint of the images", dataset["fingerprint"] or ""
    for verified in network["verifications"]:
        yield "Verification", f"{verified['file']}: {verified['sentence']}"
        yield from _verified_against(verified["source"])
        yield "Verified with", settings(verified["inputs"])
        tolerance = {MODE_WORDS.get(name, name): value for name, value in verified["tolerance"].items()}
        yield "Tolerance", settings(tolerance)
    yield "Run", ", ".join(filter(None, (run["run_file"], run["finished"])))
    yield "Device", run["device"] or ""
    yield "Computing", settings(run["computing"] or {})
    yield "Versions", settings(run["versions"])


def _verified_against(source: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield (
        "Verified against",
        settings({name: value for name, value in source.items() if not isinstance(value, Mapping)}),
    )
    for name, value in source.items():
        if name == "sha256":
            yield from _hashes("SHA-256 of the source", value)
        elif isinstance(value, Mapping):
            yield f"Its {name}", settings(value)


def _hashes(label: str, hashes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in hashes.items():
        yield f"{label} {name}" if name else label, value


def settings(values: Mapping[str, Any]) -> str:
    """Return keys and values in one line: bn_eps 0.001, padding tf-same."""
    return ", ".join(f"{key} {_plain(value)}" for key, value in values.items() if value not in (None, {}, []))


def facts_text(facts: Mapping[str, Any]) -> str:
    """Return facts in one line, without the usual three channels."""
    return settings({name: value for name, value in facts.items() if (name, value) != ("in_channels", 3)})


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (Mapping, list)):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    return str(value)


def some(names: Sequence[str], shown: int = 8) -> str:
    """Return the first names and the number of the others."""
    more = f", and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def sentences(texts: Iterable[str | None]) -> str:
    """Return the strings that are not empty in one line."""
    return "; ".join(filter(None, texts))


def share(value: float | None) -> str:
    """Return a fraction in percent: 99.98."""
    return NONE if value is None else f"{100 * value:.2f}"


def p_value(value: float | None) -> str:
    """Return a probability with two digits; 0 means less than the smallest float."""
    return NONE if value is None else f"{value:.2g}" if value else "< 1e-300"
