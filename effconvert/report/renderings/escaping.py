"""Makes text from files visible and harmless: what steers a terminal, a line or its direction is written out.

HTML, Markdown and CSV each escape besides what is a sign in them.
"""

import re
from typing import Any

# An address that a reader may follow. Others, as javascript: and file:, are shown as text.
_ADDRESS = re.compile(r"https?://[!-~]+", re.IGNORECASE)


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
