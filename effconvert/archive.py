"""Take a checkpoint out of a .tar.gz or .tar that nobody vouches for: the whole archive is good, or nothing is kept.

The archive is read once, front to back, into a temporary folder beside the target, which is renamed at the end.
Only regular files and folders with plain, relative, distinct names may stand in it, also among what is not extracted.
"""

import gzip
import itertools
import re
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from effconvert.errors import OutputProblem, UnreadableCheckpoint, require_path

# Trained float32 weights shrink by a tenth at most. Small archives may unpack to anything that does no harm, because a
# test checkpoint of zeros shrinks a thousandfold.
HARMLESS_BYTES = 1 << 30
RATIO = 100
MEMBERS = 10_000

_BLOCK = 1 << 20
_NAME_LENGTH = 1_000
_NEEDED = re.compile(r"checkpoint|saved_model\.pb|[^.].*\.index|[^.].*\.data-\d{5}-of-\d{5}")
_READING_FAILURES = (EOFError, OSError, zlib.error)
# ValueError and RecursionError: what tarfile lets through on headers made to break it.
_PARSING_FAILURES = (tarfile.TarError, ValueError, RecursionError)


def looks_like_archive(first: bytes) -> bool:
    """Return whether bytes begin a gzip file or, given at least 512 of them, a tar file."""
    if first.startswith(b"\x1f\x8b"):
        return True
    try:
        tarfile.TarInfo.frombuf(first[:512], "utf-8", "surrogateescape")
    except _PARSING_FAILURES:
        return False
    return True


def extract(archive: Path, folder: Path) -> Path:
    """Extract the checkpoint in `archive` into `folder` and return the folder, in it, that holds the checkpoint.

    `folder` must not exist or be empty. Extracted are `checkpoint`, `*.index`, `*.data-00000-of-00001` and the like, and
    `saved_model.pb`; all else is left. An archive may unpack to 1 GiB, or to 100 times its size if that is more.

    Raises MissingPath; UnreadableCheckpoint, naming the member, for a damaged archive, for links, devices, names that
    lead out of the folder, duplicates, or a size beyond the limit; OutputProblem when `folder` cannot be written.
    """
    archive = require_path(archive)
    temporary = folder.parent / f".{folder.name}-{secrets.token_hex(4)}"
    try:
        if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
            raise OutputProblem(f"{folder}: exists, and an archive is extracted to a new folder only")
        temporary.mkdir(parents=True)
        inner = _extract_all(archive, temporary)
        temporary.rename(folder)
    except OSError as error:
        raise OutputProblem(f"{error.filename or folder}: {error.strerror or error}, extracting {archive}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder / inner


def _extract_all(archive: Path, temporary: Path) -> PurePosixPath:
    """Extract into `temporary` and return the inner folder of the checkpoint, relative to it."""
    found: set[PurePosixPath] = set()
    members: list[str] = []
    with _Stream(archive) as stream:
        for member, path in _members(archive, stream):
            members.append(member.name)
            if not member.isreg() or not _NEEDED.fullmatch(path.name):
                continue
            if member.size > shutil.disk_usage(temporary).free:
                raise _bad(archive, member, f"has {member.size:,} bytes, more than the disk has room for")
            target = temporary.joinpath(*path.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as file:
                stream.copy(member.size, file)
            if path.name.endswith(".index") or path.name == "saved_model.pb":
                found.add(path.parent)
        stream.drain()
    if not found:
        held = ", ".join(repr(name) for name in members[:5]) or "nothing"
        raise UnreadableCheckpoint(f"{archive}: holds no *.index and no saved_model.pb, but {held}")
    # A SavedModel keeps its tensors in a folder of their own, `variables`, below the one that holds saved_model.pb.
    tops = [path for path in found if not found.intersection(path.parents)]
    return tops[0] if len(tops) == 1 else PurePosixPath()


def _members(archive: Path, stream: "_Stream") -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Yield every member and its path, each checked; the stream then stands at the member's bytes."""
    seen: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    try:
        with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as tar:
            for number in itertools.count(1):
                member = tar.next()
                if member is None:
                    break
                tar.members.clear()  # tarfile keeps them all
                path = _checked_path(archive, member)
                repeated = path in seen or not seen.isdisjoint(path.parents) or (member.isreg() and path in folders)
                if repeated:
                    raise _bad(archive, member, "stands in the archive twice")
                if member.isreg():
                    seen.add(path)
                    folders.update(path.parents)
                elif path in folders
                stream.allow(archive, member)
                yield member, path
    except _PARSING_FAILURES as error:
        raise UnreadableCheckpoint(f"{archive}: not a tar archive, or a damaged one ({error})") from error
