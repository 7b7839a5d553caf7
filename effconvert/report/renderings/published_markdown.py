"""What others published, in Markdown: tables by publisher and by convention, and where sources disagree."""

from collections.abc import Mapping, Sequence
from typing import Any

from effconvert.report.renderings.markdown_text import code, escape, link, page, table
from effconvert.report.renderings.numbers_text import billions, count, giga, published
from effconvert.report.renderings.published_views import (
    Cell,
    Table,
    by_data_set,
    by_publisher,
    circumstances,
    costs_by_convention,
)

Published = Mapping[str, Any]
_FLAG = "†"


def published_sections(block: Published) -> list[tuple[str, str]]:
    """Return (title, Markdown) of each part."""
    costs = [
        page(f"**{caption}**", _table(["Variant", "Size"], found, in_giga))
        for caption, found, in_giga in costs_by_convention(block)
    ]
    return [
        ("Networks", _variants(block)),
        (
            "Accuracy by publisher",
            _accuracy("Top-1 on ImageNet, in percent.", ["Variant", "Weights"], by_publisher(block)),
        ),
        (
            "Other data sets",
            _accuracy("Top-1, in percent.", ["Variant", "Weights", "Source", "Size"], by_data_set(block)),
        ),
        ("Cost", page(*costs).strip()),
        ("Where sources disagree", disagreements(block["disagreements"])),
        ("Sources", _sources(block)),
        (
            "Files",
            f"{len(block['files']):,} files of weights are in {code('published-files.csv')}, with address and hash.",
        ),
    ]


def disagreements(found: Sequence[Mapping[str, Any]]) -> str:
    """Return a line for each place where sources disagree, and what they say of it."""
    heads = ["Variant", "Weights", "Of", "Lowest", "Highest", "Who says what", "Why"]
    rows = [
        [
            escape(each["variant"]),
            escape(each["weights"]),
            ", ".join(filter(None, (escape(each["quantity"]), escape(circumstances(each))))),
            published(each["low"]),
            published(each["high"]),
            "; ".join(
                f"{escape(number['source'])} {published(number['value'], number['step'])}" for number in each["numbers"]
            ),
            escape("; ".join(each["reasons"])) or "not known",
        ]
        for each in found
    ]
    return table(heads, rows, (3, 4)) if rows else ""


def _variants(block: Published) -> str:
    rows = [
        [escape(each["name"]), f"{each['size']} px", count(each["parameters"]), giga(each["multiply_adds"])]
        for each in block["variants"]
    ]
    return table(["Variant", "Size", "Parameters", "Multiply-adds"], rows, range(1, 4))


def _accuracy(text: str, heads: list[str], found: Table) -> str:
    flagged = any(cell and cell.flagged for row in found.rows for cell in row.cells)
    note = f" {_FLAG}: others differ from it, or it is known to be wrong." if flagged else ""
    return page(text + note, _table(heads, found)).strip()


def _table(heads: list[str], found: Table, in_giga: bool = False) -> str:
    rows = [[*(escape(part) for part in row.head), *(_cell(cell, in_giga) for cell in row.cells)] for row in found.rows]
    columns = [*heads, *(escape(column) for column in found.columns)]
    return table(columns, rows, range(len(heads), len(columns)))


def _cell(cell: Cell | None, in_giga: bool) -> str:
    if cell is None:
        return ""
    value, step = cell.number["value"], cell.number["step"]
    return (billions(value) if in_giga else published(value, step)) + (f" {_FLAG}" if cell.flagged else "")


def _sources(block: Published) -> str:
    rows = [
        [
            code(each["id"]),
            link(each["url"], escape(each["title"])) if each.get("url") else escape(each["title"]),
            escape(each.get("date", "")),
            escape(each.get("note", "")),
        ]
        for each in block["sources"]
    ]
    return table(["Source", "What", "Date", "Note"], rows)
