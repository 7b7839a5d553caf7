"""The report for a pull request, report.md: what passed, what did not, and how far every number is from its source."""

from collections.abc import Mapping
from typing import Any

from effconvert.report.renderings import markdown_sections as sections
from effconvert.report.renderings.markdown_text import code, code_block, escape, folded, items, name, page, table
from effconvert.report.renderings.network_views import (
    agreeing_pairs,
    caution_groups,
    command,
    p_value,
    pair_count,
    settings,
    some,
    uncompared,
)
from effconvert.report.renderings.numbers_text import NONE, count
from effconvert.report.renderings.published_markdown import disagreements, published_sections

Document = Mapping[str, Any]
_NETWORKS, _PAIRS, _CAUTIONS, _FILES = 5, 20, 30, 20


def render_markdown(document: Document) -> str:
    """Return report.md."""
    is_published = document["kind"] == "published"
    parts = published_sections(document["published"]) if is_published else _sections(document)
    shown = [f"## {title}\n\n{text}" for title, text in parts if text]
    return page(f"# {escape(document['title'])}", f"{escape(document['sentence'])}.", *shown, _provenance(document))


def _sections(document: Document) -> list[tuple[str, str]]:
    networks = document["networks"]
    return [
        ("Verdicts", sections.verdicts(networks)),
        ("Accuracy", sections.accuracy(networks)),
        ("Where sources disagree", disagreements(_disagreements(document))),
        ("Cost", sections.cost(networks)),
        ("Layers", sections.layers(networks)),
        ("Tensors", sections.tensors(networks)),
        ("Agreement", _agreement(document)),
        ("Cautions", _cautions(document)),
    ]


def _disagreements(document: Document) -> list[Mapping[str, Any]]:
    """Return where sources disagree on the accuracy of weights that are reported."""
    reported = {(network["variant"], network["weights"]) for network in document["networks"]}
    return [
        found
        for found in document["published"]["disagreements"]
        if (found["variant"], found["weights"]) in reported and found["quantity"] in ("top1", "top5")
    ]


def _agreement(document: Document) -> str:
    if not document["agreement"] or not pair_count(document):
        return ""
    heads = [
        "First",
        "Second",
        "Images",
        "Same first class",
        "Only the first right",
        "Only the second right",
        "McNemar's p",
    ]
    rows = [
        [
            name(pair.first),
            name(pair.second),
            count(pair.images),
            NONE if pair.percent is None else f"{pair.percent:.3f} %",
            count(pair.only_first),
            count(pair.only_second),
            p_value(pair.p),
        ]
        for pair in agreeing_pairs(document)[:_PAIRS]
    ]
    more = pair_count(document) - len(rows)
    rest = f"and {more:,} pairs more, which agree better, in {code('agreement.csv')}." if more else ""
    return page(table(heads, rows, range(2, 7)), rest, items(map(escape, uncompared(document)))).strip()


def _cautions(document: Document) -> str:
    groups = caution_groups(document)
    single = len(document["networks"]) == 1
    lines = [
        escape(caution) if single else f"{escape(caution)}: {some([name(one) for one in names])}"
        for caution, names in groups[:_CAUTIONS]
    ]
    more = [f"and {len(groups) - _CAUTIONS:,} more in {code('report.json')}"] if len(groups) > _CAUTIONS else []
    return items([*lines, *more])


def _provenance(document: Document) -> str:
    """Return what the report was made of, folded away."""
    networks, inputs = document["networks"], document["inputs"]
    parts = [code_block(command(document), "sh")] if inputs else []
    if inputs:
        rows = [[code(file["path"]), file["kind"], code(file["sha256"])] for file in inputs[:_FILES]]
        parts.append(table(["File", "Kind", "SHA-256"], rows))
    for network in networks[:_NETWORKS]:
        parts += [f"**{name(network['name'])}**", sections.provenance_table(network)]
    if len(networks) > _NETWORKS or len(inputs) > _FILES:
        parts.append(f"All {len(networks):,} networks and {len(inputs):,} files are in {code('report.json')}.")
    parts.append(f"Made with {escape(settings(document['run']))}.")
    return folded("Provenance", *parts)
