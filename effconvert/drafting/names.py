"""Names split into text and marks: numbers, and a single letter after a number, as in `block2a`."""

import re
from dataclasses import dataclass

_PIECES = re.compile(r"\d+|\D+")
_LETTER = re.compile(r"[a-z](?![A-Za-z])")
_WORDS = re.compile(r"\d+|[A-Za-z]+|[^A-Za-z\d]")


@dataclass(frozen=True)
class Mark:
    """A number or letter in a name: `raw` as written, `order` as a number (`a` is 0)."""

    raw: str
    order: int

    @property
    def is_letter(self) -> bool:
        """Whether the mark is a letter."""
        return not self.raw.isdigit()


Parts = tuple[str | Mark, ...]


def split(name: str) -> Parts:
    """Return `name` as text and marks: `block2a_bn` is ("block", 2, "a", "_bn")."""
    parts: list[str | Mark] = []
    for piece in _PIECES.findall(name):
        if piece.isdigit():
            parts.append(Mark(piece, int(piece)))
            continue
        if parts and _LETTER.match(piece):
            parts.append(Mark(piece[0], ord(piece[0]) - ord("a")))
            piece = piece[1:]
        if piece:
            parts.append(piece)
    return tuple(parts)


def joined(parts: Parts) -> str:
    """Return the name made of `parts`."""
    return "".join(part.raw if isinstance(part, Mark) else part for part in parts)


def pattern(parts: Parts) -> str:
    """Return a name with `#` for each mark: names with the same pattern differ only in marks."""
    return "".join("#" if isinstance(part, Mark) else part for part in parts)


def orders(parts: Parts) -> tuple[int, ...]:
    """Return the marks of a name as numbers."""
    return tuple(part.order for part in parts if isinstance(part, Mark))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key for natural order: 2 before 10."""
    return tuple((1, part.order, "") if isinstance(part, Mark) else (0, 0, part) for part in split(name))


def words_in_common(one: str, other: str) -> int:
    """Return how many words, numbers and signs are equal at the start of both names."""
    count = 0
    for mine, yours in zip(_WORDS.findall(one), _WORDS.findall(other), strict=False):
        if mine != yours:
            break
        count += 1
    return count
