"""Texts that came from a file, a folder or a server, made harmless for a terminal."""


def printable(text: str) -> str:
    """Return `text` with escaped control characters: text from a file must not control the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """Return `text` with escaped control characters, except the ends of its lines."""
    return "\n".join(map(printable, text.split("\n")))
