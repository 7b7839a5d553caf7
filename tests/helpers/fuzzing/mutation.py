"""Mutations of bytes without coverage, for machines where atheris cannot be installed: seeded, in Python alone."""

import random
from collections.abc import Sequence

from helpers.fuzzing.target import Change

_NUMBERS = [
    b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff" * 8, b"\xff" * 7 + b"\x7f", b"\xff" * 9 + b"\x01",
    b"\x01\0\0\0", b"\0\x10\0\0", b"\0" * 7 + b"\x01",
]  # fmt: skip
_TEXTS = [
    b"[" * 60,
    b'{"a":' * 40,
    b"null",
    b"-1",
    b"1e999",
    b"NaN",
    b"1" * 40,
    b'""',
    b"\xe2\x80\xae",
    b"\x1b[2J",
    b"../",
    b"\0",
]


def changes(others: Sequence[bytes], chosen: random.Random) -> Change:
    """Return a function that changes an input in one to four places; `others` are inputs to take pieces of."""

    def change(content: bytes) -> bytes:
        for _ in range(chosen.choice((1, 1, 1, 2, 4))):
            content = _changed_once(content, others, chosen)
        return content

    return change


def _changed_once(content: bytes, others: Sequence[bytes], chosen: random.Random) -> bytes:
    at = chosen.randrange(len(content) + 1)
    kind = chosen.randrange(9)
    if kind <= 1 and content:
        at %= len(content)
        return content[:at] + bytes([content[at] ^ 1 << chosen.randrange(8)]) + content[at + 1 :]
    if kind == 2 and content:
        at %= len(content)
        return content[:at] + bytes([chosen.randrange(256)]) + content[at + 1 :]
    if kind == 3:
        return content[:at] + content[at + chosen.choice((1, 2, 8, 40, 400)) :]
    if kind == 4:
        new = chosen.choice(_NUMBERS)
        return content[:at] + new + content[at + len(new) :]
    if kind == 5:
        new = chosen.choice(_TEXTS)
        return content[:at] + new + content[at + chosen.choice((0, len(new))) :]
    if kind == 6:
        start = chosen.randrange(len(content) + 1)
        return content[:at] + content[start : start + chosen.choice((1, 4, 16, 100))] + content[at:]
    if kind == 7 and others:
        other = chosen.choice(others)
        start = chosen.randrange(len(other) + 1)
        return content[:at] + other[start : start + chosen.choice((4, 16, 100, 1000))] + content[at:]
    return (
        content[:at]
        if chosen.random() < 0.1
        else content[:at] + chosen.randbytes(chosen.choice((1, 2, 8))) + content[at:]
    )
