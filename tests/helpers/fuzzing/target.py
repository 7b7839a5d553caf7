"""A target of the fuzzer: one parser, what it may raise, and files that it starts from."""

import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from effconvert.errors import EffconvertError, UnreadableCheckpoint

Change = Callable[[bytes], bytes]  # bytes with some of them changed, anywhere
Mutate = Callable[[bytes, Change, random.Random], bytes]

_LENGTH = 3  # bytes before each part of an input that is several files


@dataclass(frozen=True)
class Target:
    """A parser.

    read: gives it one input. seeds: makes inputs that it takes, built by code. refusals: the errors that it may raise,
    each in words for a person. mutate: changes an input so that more than its checksums is tried; by default, bytes are
    changed anywhere.
    """

    name: str
    read: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    refusals: tuple[type[EffconvertError], ...] = (UnreadableCheckpoint,)
    mutate: Mutate | None = None

    def changed(self, content: bytes, change: Change, chosen: random.Random) -> bytes:
        """Return another input, made of `content`."""
        return self.mutate(content, change, chosen) if self.mutate else change(content)


@cache
def own_folder() -> Path:
    """Return the folder of this process, in memory if possible, for inputs that must be files."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="effconvert-fuzz-", dir=memory if memory.is_dir() else None))


def remove_own_folder() -> None:
    """Remove what `own_folder` made."""
    if own_folder.cache_info().currsize:
        shutil.rmtree(own_folder(), ignore_errors=True)
        own_folder.cache_clear()


def as_file(content: bytes, name: str = "input") -> Path:
    """Write an input to a file, in place of the one before."""
    path = own_folder() / name
    path.write_bytes(content)
    return path


def made(build: Callable[..., Path], *content: object, **options: object) -> bytes:
    """Return the file that `build` writes, given its path and then the rest."""
    with tempfile.TemporaryDirectory() as folder:
        return build(Path(folder) / "x.npz", *content, **options).read_bytes()


def joined(*parts: bytes) -> bytes:
    """Return one input that is several files."""
    return b"".join(len(part).to_bytes(_LENGTH, "little") + part for part in parts)


def parted(content: bytes, count: int) -> list[bytes]:
    """Return the files of an input, whatever its bytes are."""
    parts = []
    for _ in range(count):
        length = int.from_bytes(content[:_LENGTH], "little")
        parts.append(content[_LENGTH : _LENGTH + length])
        content = content[_LENGTH + length :]
    return parts


def in_parts(count: int, mutate: Mutate | None = None) -> Mutate:
    """Return a mutation of one file of an input of several, with `mutate` or anywhere."""

    def mutate_part(content: bytes, change: Change, chosen: random.Random) -> bytes:
        parts = parted(content, count)
        number = chosen.randrange(count)
        parts[number] = mutate(parts[number], change, chosen) if mutate else change(parts[number])
        return joined(*parts)

    return mutate_part
