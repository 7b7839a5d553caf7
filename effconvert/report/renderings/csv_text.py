"""Tables as CSV (RFC 4180): numbers with all digits, texts visible, and none that a spreadsheet takes for a formula.

OWASP's page on CSV injection names the characters that begin a formula, and the apostrophe that keeps it a text.
"""

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

from effconvert.report.renderings.escaping import visible

# Tab and carriage return, which may begin one too, are written out by `visible`; the last four are as wide as a kanji.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")


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
