"""Views of networks for the renderings: counts, groups, selections and lines of tables."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePath
from typing import Any

from effconvert.report.checks import first_row, share_of_tolerance
from effconvert.report.contents.network import Network
from effconvert.report.contents.published import Disagreement
from effconvert.report.contents.report import Report
from effconvert.report.contents.verification import Comparison, Layer, Verification
from effconvert.report.renderings.numbers_text import NONE

_LISTED_LAYERS = 1000
_LISTED_PAIRS = 100
_DETAILED, _LISTED = 50, 300
Verified = tuple[Network, Verification]
_WORST_FIRST = ("failed", "incomplete", "near", "passed")


def detailed(networks: Sequence[Network]) -> list[Network]:
    """Return the networks with all details on the page: all if they are few, else the worst."""
    if len(networks) <= _DETAILED:
        return list(networks)
    return sorted(networks, key=lambda network: _WORST_FIRST.index(network.summary.verdict))[:_DETAILED]


def listed(things: Sequence[Any]) -> Sequence[Any]:
    """Return the first items, up to the limit of lines in a table of a light page."""
    return things[:_LISTED]


def warning_groups(document: Report) -> list[tuple[str, list[str]]]:
    """Return each warning with the names of its networks."""
    groups: dict[str, list[str]] = {}
    for network in document.networks:
        for warning in dict.fromkeys(network.cautions):
            groups.setdefault(warning, []).append(network.name)
    return list(groups.items())


def failed_verifications(networks: Iterable[Network]) -> list[Verified]:
    """Return every verification whose networks differ, once, with its first network."""
    return [(network, each) for network, each in verified_networks(networks) if each.verdict == "different"]


def disagreements_of(network: Network, document: Report) -> list[Disagreement]:
    """Return the disagreements between sources on the ImageNet accuracy of these weights."""
    return [
        found
        for found in document.published.disagreements
        if (found.variant, found.weights) == (network.variant, network.weights) and found.quantity in ("top1", "top5")
    ]


def diverging_row(comparison: Comparison) -> Layer | None:
    """Return the first diverging layer, or else the layer that is nearest to its tolerance."""
    finite = [row for row in comparison.rows if row.relative is not None and row.allowed]
    return first_row(comparison) or max(finite, key=share_of_tolerance, default=None)


def verified_networks(networks: Iterable[Network]) -> list[Verified]:
    """Return every verification once, with its first network."""
    found: dict[str, Verified] = {}
    for network in networks:
        for verification in network.verifications:
            found.setdefault(verification.id, (network, verification))
    return list(found.values())


def verified_against(network: Network) -> list[str]:
    """Return what ran each source, and the end of its path: tensorflow, efficientnet-b0/model.ckpt."""
    said = [(framework(each), _path_end(each.source.path)) for each in network.verifications]
    return list(dict.fromkeys(", ".join(filter(None, parts)) for parts in said))


def framework(verification: Verification) -> str:
    """Return the framework that ran the source, without its version."""
    return verification.source.framework.partition(" ")[0]


def _path_end(path: str) -> str:
    """Return the last folder and the file of a path, for many files are called model.ckpt."""
    found = PurePath(path)
    return "/".join(part for part in found.parts[-2:] if part != found.anchor)


def with_layers(verified: Iterable[Verified]) -> list[Verified]:
    """Return the verifications with all layers on the page: the first ones, as long as the page stays light."""
    chosen, rows = [], 0
    for network, verification in verified:
        rows += sum(len(pair.rows) for pair in verification.comparisons)
        if rows > _LISTED_LAYERS:
            break
        chosen.append((network, verification))
    return chosen


def operation_conventions(networks: Iterable[Network]) -> list[str]:
    """Return every convention of the networks' operations."""
    return list(
        dict.fromkeys(name for network in networks for name in (network.cost.operations if network.cost else ()))
    )


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


def agreeing_pairs(document: Report) -> list[Pair]:
    """Return the pairs of networks that agree least, or all if they are few."""
    found = document.agreement
    if not found:
        return []
    names = {network.id: network.name for network in document.networks}
    places = combinations(range(len(found.ids)), 2)
    shares = ((found.same[a][b] / (found.images[a][b] or 1), a, b) for a, b in places)
    return [
        Pair(
            first=names[found.ids[a]],
            second=names[found.ids[b]],
            images=found.images[a][b],
            same=found.same[a][b],
            percent=100 * share if found.images[a][b] else None,
            only_first=found.only_first[a][b],
            only_second=found.only_second[a][b],
            p=found.p[a][b],
        )
        for share, a, b in heapq.nsmallest(_LISTED_PAIRS, shares)
    ]


def pair_count(document: Report) -> int:
    """Return the number of pairs of networks in the agreement."""
    networks = len(document.agreement.ids) if document.agreement else 0
    return networks * (networks - 1) // 2


def sentences(texts: Iterable[str | None]) -> str:
    """Return the strings that are not empty in one line."""
    return "; ".join(filter(None, texts))


def share(value: float | None) -> str:
    """Return a fraction in percent: 99.98."""
    return NONE if value is None else f"{100 * value:.2f}"


def p_value(value: float | None) -> str:
    """Return a probability with two digits; 0 means less than the smallest float."""
    return NONE if value is None else f"{value:.2g}" if value else "< 1e-300"
