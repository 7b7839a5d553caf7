"""Strings from files made visible and harmless: control characters for terminals, lines or directions are spelled out.

HTML and Markdown also escape their own markup. CSV (RFC 4180) has numbers with all digits, and no string that a
spreadsheet reads as a formula: OWASP's page on CSV injection lists the characters that begin one, and the apostrophe
that prevents it. YAML reads back equal, with hidden characters as escapes.
"""

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

import yaml

# An address that may become a link. Others, as javascript: and file:, are shown as text.
_ADDRESS = re.compile(r"https?://[!-~]+", re.IGNORECASE)
# Tab and carriage return may begin a formula too; `visible` spells them out. The last four are fullwidth forms.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_YAML_WIDTH = 120


def visible(text: Any) -> str:
    """Return `text` in one line with every character visible: the right-to-left override becomes {U+202E}."""
    text = str(text)
    return text if text.isprintable() else "".join(c if c.isprintable() else f"{{U+{ord(c):04X}}}" for c in text)


def shortened(text: Any, longest: int = 120) -> str:
    """Return `text` made visible, without its middle if it is longer than `longest` characters."""
    text = visible(text)
    kept = longest - 1
    return text if len(text) <= longest else f"{text[: kept - kept // 2]}…{text[-(kept // 2) :]}"


def address(text: Any) -> str | None:
    """Return `text` if it is a web address without spaces or hidden characters, else None."""
    return text if isinstance(text, str) and _ADDRESS.fullmatch(text) else None


def csv_text(headers: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table: a line of headers, then a line for each row; None is an empty cell."""
    written = io.StringIO(newline="")
    table = csv.writer(written)
    table.writerow(headers)
    table.writerows([_cell(value) for value in row] for row in rows)
    return written.getvalue()


def _cell(value: Any) -> Any:
    """Return the content of a cell; numbers may be negative, since they are not formulas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if _FORMULA.match(text) else text


def yaml_text(value: Any) -> str:
    """Return `value` as YAML, with keys in their own order."""
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=_YAML_WIDTH)
    if text.replace("\n", "").isprintable():
        return text
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=_YAML_WIDTH)
