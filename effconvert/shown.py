"""Results as Python shows them: a line in a shell, a small table in a notebook, rows for a data frame."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]
_MOST_ROWS = 20


class Shown(ABC):
    """A result with a line that says it in words, and rows of plain values.

    Dataclasses that inherit this need `repr=False`, else they write their own.
    """

    @property
    @abstractmethod
    def line(self) -> str:
        """The result in one line."""

    @abstractmethod
    def to_rows(self) -> list[Row]:
        """Return plain values with the same names in every row: `pandas.DataFrame(result.to_rows())`."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {_one_line(self.line)}>"

    def _repr_html_(self) -> str:
        """Return the line and the first rows as HTML; notebooks ask for it."""
        rows = self.to_rows()
        table = _pairs(rows[0]) if len(rows) == 1 else _table(rows[:_MOST_ROWS])
        left = len(rows) - _MOST_ROWS
        more = f"<p>… and {left:,} more; <code>to_rows()</code> has all.</p>" if left > 0 else ""
        return f"<p><strong>{type(self).__name__}</strong> {_escaped(self.line)}</p>{table}{more}"


def _escaped(text: str) -> str:
    """Return `text` as HTML, without characters that control a terminal or a page."""
    import html  # only for notebooks: commands do not wait for it

    return html.escape(_one_line(text))


def _table(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{_escaped(name)}</th>" for name in rows[0])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_row, map(dict.values, rows)))}</tbody></table>"


def _pairs(row: Row) -> str:
    """Return the values of one row below each other."""
    cells = (f"<tr><th>{_escaped(name)}</th><td>{_escaped(_cell(value))}</td></tr>" for name, value in row.items())
    return f"<table><tbody>{''.join(cells)}</tbody></table>"


def _row(values: Iterable[Any]) -> str:
    return f"<tr>{''.join(f'<td>{_escaped(_cell(value))}</td>' for value in values)}</tr>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _one_line(text: str) -> str:
    """Return `text`, which may be of a file, without control characters."""
    return "".join(each if each.isprintable() else " " for each in text)
