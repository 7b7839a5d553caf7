"""The parts of a report in Markdown that a pull request and a model card share: each of some networks, "" of none.

Long tables show their first lines and name the CSV that has all.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from effconvert.report.renderings.markdown_text import code, escape, folded, name, page, table
from effconvert.report.renderings.network_views import guilty_row, provenance
from effconvert.report.renderings.numbers_text import (
    NONE,
    count,
    decimals,
    error,
    giga,
    interval,
    percent,
    published,
    signed,
)

Network = Mapping[str, Any]
_ROWS = 25
_NETWORK = "Network"
_CHECK = ("Check", "Verdict", "Measured", "Allowed", "Reason")
_SIGNS = {"passed": "✅", "same": "✅", "near": "⚠️", "failed": "❌", "away": "❌"}
_WORST_FIRST = ("failed", "near", "not judged")
_ABOUT_SOURCES = (
    "Against each published value, in percent; Δ is measured minus published, in points. Where images were prepared as "
    "a source prepared them, its value decides."
)
_ABOUT_LAYERS = (
    "The error is the largest difference of the first layer that differs, or of that which comes nearest to its "
    "tolerance, in shares of the layer's largest value."
)


def verdict(word: str) -> str:
    """Return a verdict with its sign; the word says it too."""
    return f"{_SIGNS[word]} {word}" if word in _SIGNS else NONE if word == "not measured" else word


def verdicts(networks: Sequence[Network]) -> str:
    """Return what was checked: of one network with what was measured, of several a line each and what is not passed."""
    if len(networks) == 1:
        return table(_CHECK, [_check(row) for row in networks[0]["verdicts"]])
    ranked = sorted(networks, key=_rank)
    checks = [row["check"].capitalize() for row in networks[0]["verdicts"]]
    rows = [[name(each["name"]), *(verdict(row["verdict"]) for row in each["verdicts"])] for each in ranked]
    return page(_listed(networks, [_NETWORK, *checks], rows, "verdicts.csv"), _reasons(ranked)).strip()


def accuracy(networks: Sequence[Network]) -> str:
    """Return what was measured, and against each published source how far that is away."""
    heads = [_NETWORK, "Images", "Top-1", "95 % interval", "Top-5", "95 % interval", "Verdict"]
    rows = [
        [
            name(network["name"]),
            count(found["images"]),
            *_share(found["top1"]),
            *_share(found["top5"]),
            verdict(found["verdict"]),
        ]
        for network in networks
        if (found := network["accuracy"])
    ]
    if not rows:
        return ""
    return page(_listed(networks, heads, rows, "networks.csv", range(1, 6)), _sources(networks)).strip()


def cost(networks: Sequence[Network]) -> str:
    """Return parameters and operations, and the published figures that are others."""
    heads = [_NETWORK, "Size", "Parameters", "Multiply-adds", "Published figures that are the same"]
    rows = [
        [
            name(network["name"]),
            f"{found['size']} px",
            count(found["parameters"]),
            giga(found["operations"].get("multiply-adds")),
            f"{sum(row['equal'] for row in found['comparisons'])} of {len(found['comparisons'])}",
        ]
        for network in networks
        if (found := network["cost"])
    ]
    if not rows:
        return ""
    return page(_listed(networks, heads, rows, "networks.csv", range(1, 5)), _other_figures(networks)).strip()


def layers(networks: Sequence[Network]) -> str:
    """Return the first layer that differs, or that which is nearest to its tolerance, of each comparison."""
    heads = [
        _NETWORK,
        "Source run by",
        "File run by",
        "Verdict",
        "First that differs",
        "Error",
        "Allowed",
        "Same top-1",
    ]
    rows = [
        [
            name(network["name"]),
            name(verification["source"]["framework"]),
            name(pair["framework"]),
            verdict("passed" if pair["same"] else "failed"),
            code(pair["first"]) if pair["first"] else "none",
            *_guilty(pair),
            NONE if pair["top1_agreement"] is None else f"{100 * pair['top1_agreement']:.2f} %",
        ]
        for network in networks
        for verification in network["verifications"]
        for pair in verification["comparisons"]
    ]
    if not rows:
        return ""
    return page(_ABOUT_LAYERS, _listed(networks, heads, rows, "verifications.csv", range(5, 8))).strip()


def tensors(networks: Sequence[Network]) -> str:
    """Return how many tensors were moved, and which were left behind and why."""
    heads = [_NETWORK, "Converted from", "Moved", "Left behind", "Why"]
    rows = [
        [
            name(network["name"]),
            f"{code(found['layout'])}, {escape(found['taken'])}",
            count(found["moved"]),
            NONE if found["left_behind"] is None else count(sum(found["left_behind"].values())),
            left_behind(found["left_behind"] or {}),
        ]
        for network in networks
        if (found := network["conversion"])
    ]
    return _listed(networks, heads, rows, "coverage.csv", (2, 3)) if rows else ""


def left_behind(tensors_of: Mapping[str, int]) -> str:
    """Return how many tensors were left behind for each reason: 213 (raw weights), 2 (of the optimiser)."""
    return ", ".join(f"{count(number)} ({escape(reason)})" for reason, number in tensors_of.items())


def provenance_table(network: Network) -> str:
    """Return what is known of where a network and its numbers come from."""
    return table(["What", "Value"], [[escape(label), code(text)] for label, text in provenance(network)])


def _check(row: Mapping[str, str]) -> list[str]:
    return [row["check"], verdict(row["verdict"]), *(escape(row[key]) for key in ("measured", "allowed", "reason"))]


def _rank(network: Network) -> int:
    """Return 0 where a check failed, more where the worst of them is better."""
    words = [row["verdict"] for row in network["verdicts"]]
    return next((place for place, word in enumerate(_WORST_FIRST) if word in words), len(_WORST_FIRST))


def _reasons(networks: Sequence[Network]) -> str:
    """Return why checks were not passed."""
    rows = [
        [name(network["name"]), *_check(row)]
        for word in _WORST_FIRST
        for network in networks
        for row in network["verdicts"]
        if row["verdict"] == word
    ]
    return _listed(networks, [_NETWORK, *_CHECK], rows, "verdicts.csv") if rows else ""


def _share(found: Mapping[str, Any]) -> tuple[str, str]:
    return percent(found["percent"]), interval(found["interval"])


def _sources(networks: Sequence[Network]) -> str:
    heads = [_NETWORK, "Source", "Preprocessing", "Top-1", "Δ", "Allowed ±", "Verdict", "Top-5", "Δ", "Note"]
    rows = [
        [
            name(network["name"]),
            name(source["kind"]),
            "**its own**" if source["own_preprocessing"] else "another",
            published(source["top1"]["published"]),
            signed(source["top1"]["difference"]),
            decimals(source["top1"]["limit"]),
            verdict(source["top1"]["word"]),
            published(source["top5"]["published"]) if source["top5"] else "",
            signed(source["top5"]["difference"]) if source["top5"] else "",
            escape(_note(source)),
        ]
        for network in networks
        if network["accuracy"]
        for source in network["accuracy"]["sources"]
    ]
    if not rows:
        return ""
    return page(_ABOUT_SOURCES, _listed(networks, heads, rows, "accuracy.csv", (3, 4, 5, 7, 8))).strip()


def _note(source: Mapping[str, Any]) -> str:
    """Return what is said of a source's figure; a reason may hold the note."""
    reason, note = source["reason"], source["note"]
    return reason if note in reason else "; ".join(filter(None, (reason, note)))


def _other_figures(networks: Sequence[Network]) -> str:
    heads = [_NETWORK, "Quantity", "Source", "Counted", "Published", "Δ", "Verdict", "Note"]
    rows = [
        [
            name(network["name"]),
            row["quantity"],
            name(row["source"]),
            count(row["ours"]),
            count(row["published"]),
            signed(row["difference"], 0),
            escape(row["verdict"]),
            escape(row["note"]),
        ]
        for network in networks
        if network["cost"]
        for row in network["cost"]["comparisons"]
        if not row["equal"]
    ]
    if not rows:
        return ""
    return folded("Published figures that are others", _listed(networks, heads, rows, "cost.csv", range(3, 6)))


def _guilty(pair: Mapping[str, Any]) -> tuple[str, str]:
    """Return the error that a comparison stands or falls by, and what is allowed there."""
    row = guilty_row(pair)
    return (f"{error(row['relative'])} ({escape(row['layer'])})", error(row["allowed"])) if row else (NONE, NONE)


def _listed(
    networks: Sequence[Network],
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    file: str,
    numbers: Collection[int] = (),
) -> str:
    """Return a table of the first rows, and where the others are. Of one network, the column with its name is left out.

    file: the CSV that has all. numbers: columns of numbers, the name's being 0.
    """
    alone = len(networks) == 1
    shown = table(heads[alone:], [row[alone:] for row in rows[:_ROWS]], {column - alone for column in numbers})
    more = len(rows) - _ROWS
    return f"{shown}\n\nand {more:,} more in {code(file)}." if more > 0 else shown
