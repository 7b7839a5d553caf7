"""Mutations of a file's bytes, and what a reader may do with the result."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hypothesis import strategies as st

from effconvert.errors import UnreadableCheckpoint
from helpers.formats.building import peak_memory, read_all

Mutation = Callable[[bytes], bytes]
MEMORY = 8 << 20

_place = st.floats(0, 1, exclude_max=True)
_bytes = st.binary(max_size=12) | st.sampled_from([b"\xff" * 8, b"\x00" * 8, b"\xff" * 9 + b"\x01", b"\x7f", b"[" * 99])


def _flip(at: float, bit: int) -> Mutation:
    def mutate(content: bytes) -> bytes:
        changed = bytearray(content)
        if changed:
            changed[int(at * len(changed))] ^= 1 << bit
        return bytes(changed)

    return mutate


def _replace(at: float, length: int, new: bytes) -> Mutation:
    def mutate(content: bytes) -> bytes:
        start = int(at * len(content))
        return content[:start] + new + content[start + length :]

    return mutate


def _splice(source: float, length: int, at: float) -> Mutation:
    def mutate(content: bytes) -> bytes:
        start = int(source * len(content))
        return _replace(at, 0, content[start : start + length])(content)

    return mutate


mutations = st.lists(
    st.builds(_flip, _place, st.integers(0, 7))
    | st.builds(_replace, _place, st.just(0), _bytes)
    | st.builds(_replace, _place, st.integers(1, 40), st.just(b""))
    | st.builds(lambda at, new: _replace(at, len(new), new), _place, _bytes)
    | st.builds(_splice, _place, st.integers(1, 200), _place),
    min_size=1,
    max_size=6,
)


def assert_refused_or_read(path: Path) -> None:
    """Read a file: nothing but UnreadableCheckpoint may be raised, and no more memory be taken than is MEMORY."""

    def read() -> None:
        with suppress(UnreadableCheckpoint):
            read_all(path)

    assert peak_memory(read) < MEMORY


def mutated(content: bytes, steps: list[Mutation]) -> bytes:
    for mutate in steps:
        content = mutate(content)
    return content
