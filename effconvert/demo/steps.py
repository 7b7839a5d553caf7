"""A step of the demo: what is done, what to type for the same, and what came of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """What the demo does next.

    words: what is done. command: the arguments of `effconvert` that do it. work: does it, and returns what came of it,
    line by line.
    """

    words: str
    command: tuple[str, ...]
    work: Callable[[], Iterable[str]]
