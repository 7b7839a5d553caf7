"""Text from files made visible and harmless: what steers a terminal, a line or its direction is written out.

HTML and Markdown each escape besides what is a sign in them. CSV (RFC 4180) has numbers with all digits, and no text
that a spreadsheet takes for a formula: OWASP's page on CSV injection names the characters that begin one, and the
apostrophe that keeps it a text. YAML reads back equal, hidden characters as escapes.
"""

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

import yaml

# An address that a reader may follow. Others, as javascript: and file:, are shown as text.
_ADDRESS = re.compile(r"https?://[!-~]+", re.IGNORECASE)
# Tab and carriage return, which may begin one too, are written out by `visible`; the last four are as wide as a kanji.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_YAML_WIDTH = 120


def visible(text: Any) -> str:
    """Return `text` in one line, every character of it visible: the mark that turns the direction is {U+202E}."""
    text = str(text)
    return text if text.isprintable() else "".join(c if c.isprintable() else f"{{U+{ord(c):04X}}}" for c in text)


def shortened(text: Any, longest: int = 120) -> str:
    """Return `text` as `visible` does, without its middle where it is longer than `longest` characters."""
    text = visible(text)
    kept = longest - 1
    return text if len(text) <= longest else f"{text[: kept - kept // 2]}…{text[-(kept // 2) :]}"


def address(text: Any) -> str | None:
    """Return `text` where it is an address of the web without spaces or hidden characters, else None."""
    return text if isinstance(text, str) and _ADDRESS.fullmatch(text) else None


def csv_text(headers: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table: a line of headers, then a line for each row. What is None is an empty cell."""
    written = io.StringIO(newline="")
    table = csv.writer(written)
    table.writerow(headers)
    table.writerows([_cell(value) for value in row] for row in rows)
    return written.getvalue()


def _cell(value: Any) -> Any:
    """Return what stands in a cell; a number of ours may be negative and is no formula."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if _FORMULA.match(text) else text


def yaml_text(value: Any) -> str:
    """Return `value` as YAML, its keys in their own order."""
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=_YAML_WIDTH)
    if text.replace("\n", "").isprintable():
        return text
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=_YAML_WIDTH)
