"""Texts that came from a file, a folder or a server, made harmless for a terminal."""

from effconvert.errors import printable as printable


def printable_lines(text: str) -> str:
    """Return `text` with escaped control characters, except the ends of its lines."""
    return "\n".join(map(printable, text.split("\n")))
