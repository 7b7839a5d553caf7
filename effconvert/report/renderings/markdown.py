"""Markdown of a report: report.md for a pull request, and parts for model cards, made with the `*.md.jinja`.

Strings from files are escaped by the filters `text`, `name`, `code` and `link`, which the templates apply.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import PurePath
from typing import Any

import jinja2

from effconvert.identify.reasons import several
from effconvert.report import causes, sentences
from effconvert.report.contents.accuracy import SourceVerdict
from effconvert.report.contents.cost import CostComparison
from effconvert.report.contents.network import Network, Summary
from effconvert.report.contents.published import Disagreement
from effconvert.report.contents.report import Report
from effconvert.report.naming import library_name
from effconvert.report.renderings import markdown_text, network_views, numbers_text, published_views, record_words
from effconvert.report.renderings.model_index import dataset_name, listable
from effconvert.report.renderings.page import template_text

Row = tuple[Any, ...]

_SIGNS = {"incomplete": "◐", "passed": "✅", "same": "✅", "near": "⚠️", "failed": "❌", "away": "❌"}
_WORST_FIRST = ("failed", "near", "not judged")
_OVERALL = ("failed", "near", "incomplete", "passed")
_FLAG = "†"


def render_markdown(document: Report) -> str:
    """Return report.md."""
    return render_template(
        "published.md.jinja" if document.kind == "published" else "report.md.jinja", document=document
    )


def render_template(name: str, **values: Any) -> str:
    """Render a Markdown template with `values`."""
    return _environment().get_template(name).render(values).rstrip("\n") + "\n"


def _left_behind(tensors: Mapping[str, int]) -> str:
    """Return the number of tensors left behind for each reason: 213 raw weights, 2 optimizer slots."""
    return "; ".join(markdown_text.escape(several(number, reason)) for reason, number in tensors.items())


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(template_text),
        autoescape=False,  # the filters escape
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    modules = {
        markdown_text: "code code_block link name table_head",
        network_views: """
            agreeing_pairs difference diverging_row failed_verifications p_value pair_count share warning_groups
        """,
        record_words: "command facts_text options_words provenance recipe_text settings",
        sentences: "some",
        causes: "cause_words missing_cause",
        numbers_text: "count decimals error giga interval percent places published signed",
        published_views: "by_data_set by_publisher circumstances costs_by_convention",
    }
    environment.filters |= {name: getattr(module, name) for module, names in modules.items() for name in names.split()}
    environment.filters |= {
        "cells": " | ".join,
        "dataset_name": dataset_name,
        "each": _each,
        "figure": _figure,
        "figure_note": _figure_note,
        "file_name": lambda path: PurePath(path).name,
        "framework": network_views.framework,
        "left_behind": _left_behind,
        "library_name": library_name,
        "listable": listable,
        "not_passed": _not_passed,
        "note": _note,
        "quoted": lambda text: json.dumps(text, ensure_ascii=False),
        "reported_disagreements": _reported_disagreements,
        "shifted": lambda columns: [column + 1 for column in columns],
        "sign": _sign,
        "text": markdown_text.escape,
        "verdict_text": _verdict_text,
        "worst_first": _worst_first,
    }
    return environment


def _each(networks: Iterable[Network], *parts: str) -> list[Row]:
    """Return (network, part, part of that, …) for every network; a part may be missing, one, or a list."""
    rows: list[Row] = [(network,) for network in networks]
    for part in parts:
        rows = [(*row, found) for row in rows for found in _as_list(getattr(row[-1], part))]
    return rows


def _as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple) else (value,) if value else ()


def _sign(word: str) -> str:
    """Return a verdict with its sign."""
    return f"{_SIGNS[word]} {word}" if word in _SIGNS else numbers_text.NONE if word == "not measured" else word


def _verdict_text(summary: Summary) -> str:
    """Return the verdict on a whole network with its sign."""
    return f"{_SIGNS[summary.verdict]} {summary.words}"


def _worst_first(networks: Iterable[Network]) -> list[Network]:
    """Return the networks, those with failed checks first."""
    return sorted(networks, key=lambda network: _OVERALL.index(network.summary.verdict))


def _not_passed(networks: Sequence[Network]) -> list[Row]:
    """Return (network, check) for every check that was not passed, the worst first."""
    rows = _each(networks, "verdicts")
    return [row for word in _WORST_FIRST for row in rows if row[1].verdict == word]


def _note(source: SourceVerdict) -> str:
    """Return reason and note of a source's figure; the reason may already contain the note."""
    reason, note = source.reason, source.note
    return str(reason) if note in reason else "; ".join(filter(None, (reason, note)))


def _figure_note(figure: CostComparison) -> str:
    """Return the note on a published cost, unless the verdict already contains it."""
    return "" if figure.note in figure.verdict else figure.note


def _reported_disagreements(document: Report) -> list[Disagreement]:
    """Return the disagreements between sources on the accuracy of the reported weights."""
    reported = {(network.variant, network.weights) for network in document.networks}
    return [
        found
        for found in document.published.disagreements
        if (found.variant, found.weights) in reported and found.quantity in ("top1", "top5")
    ]


def _figure(cell: published_views.Cell | None, in_giga: bool) -> str:
    if cell is None:
        return ""
    value, step = cell.number.value, cell.number.step
    written = numbers_text.billions(float(value)) if in_giga else numbers_text.published(value, step)
    if cell.top5:
        written += f" / {numbers_text.published(cell.top5.value, cell.top5.step)}"
    return written + (f" {_FLAG}" if cell.flagged else "")
