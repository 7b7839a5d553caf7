"""Escaping for GitHub's Markdown: strings from files are shown as they are, whatever markup they contain.

GitHub also turns @names, #numbers, addresses and :smileys: in plain text into links and images. An invisible comment
inside them prevents this.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any

from effconvert.report.renderings.text import address, shortened, visible

_LONGEST_TEXT, _LONGEST_NAME, _LONGEST_CODE = 1000, 120, 300
_SIGNS = re.compile(
    r"""(?P<sign>[\\`*\[\]<>&~]|(?<![^\W_])_|_(?![^\W_])|^[-+=\#])  # escaped by a backslash
    |(?P<bar>\|)         # of a table; parsers disagree on a bar after a backslash
    |(?P<dollar>\$)      # of a formula
    |(?P<linked>@|\#(?=\w)|(?<=\bGH)-(?=\d)|(?<=:)(?=//)|(?<=www)(?=\.)|:(?!\d\d:)(?=[\w+-]+:))""",
    re.VERBOSE | re.IGNORECASE,
)
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")  # of a list
_PLAIN = re.compile(r"[^`|\\]+")  # allowed in a code span, also in a table


def escape(text: Any, longest: int = _LONGEST_TEXT) -> str:
    """Return `text` escaped in one line, also for a table."""
    shown = shortened(text, longest).strip()
    return _NUMBERED.sub(r"\1\\\2", _SIGNS.sub(_harmless, shown))


def name(text: Any) -> str:
    """Return `text` escaped, with its middle left out if it is long."""
    return escape(text, _LONGEST_NAME)


def code(text: Any) -> str:
    """Return `text` as code, "" for nothing."""
    text = shortened(text, _LONGEST_CODE).strip()
    if not text:
        return ""
    return f"`{text}`" if _PLAIN.fullmatch(text) else f"<code>{escape(text)}</code>"


def link(url: Any, text: str = "") -> str:
    """Return a link to a web address, anything else as code. text: Markdown to show instead of the address."""
    found = address(url)
    if found is None:
        return code(url)
    target = re.sub(r"[<>|\\`\"]", lambda sign: f"%{ord(sign[0]):02X}", found).replace("&", "&amp;")
    return f"[{text or code(found)}](<{target}>)"


def table_head(heads: Sequence[str], numbers: Collection[int] = ()) -> str:
    """Return the first two lines of a table. numbers: the right-aligned columns, from 0."""
    rules = ["---:" if column in numbers else "---" for column in range(len(heads))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, rules))


def code_block(text: str, language: str = "") -> str:
    """Return lines of code as a block with a fence that is longer than any fence in the code."""
    lines = [visible(line) for line in text.splitlines()]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join((f"{fence}{language}", *lines, fence))


def _harmless(found: re.Match[str]) -> str:
    sign = found[0]
    return {
        "sign": f"\\{sign}",
        "bar": "&#124;",
        "dollar": "<span>$</span>",
        "linked": f"{sign}<!-- -->",
    }[found.lastgroup or ""]
