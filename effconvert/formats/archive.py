"""Extraction of a checkpoint from an untrusted .tar.gz or .tar: all of it is valid, or nothing is kept.

The archive is read once, from start to end, into a temporary folder beside the target, which is renamed at the end.
It may have only regular files and folders with plain, relative, distinct names, also among those not extracted.
"""

import gzip
import re
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from effconvert.errors import OutputProblem, UnreadableCheckpoint
from effconvert.paths import require_path

# Compression makes trained float32 weights at most a tenth smaller. The limit for small archives is generous, because a
# test checkpoint of zeros becomes a thousand times smaller.
HARMLESS_BYTES = 1 << 30
RATIO = 100
# tarfile keeps every header in memory.
MEMBERS = 1_000
HEADER_BYTES = 1 << 16

_BLOCK = 1 << 20
_NAME_LENGTH = 1_000
_PART_LENGTH = 255  # of file systems
_NEEDED = re.compile(r"checkpoint|saved_model\.pb|[^.].*\.index|[^.].*\.data-\d{5}-of-\d{5}")
_READING_FAILURES = (EOFError, OSError, zlib.error)
# tarfile itself raises ValueError and RecursionError on malicious headers.
_PARSING_FAILURES = (tarfile.TarError, ValueError, OverflowError, RecursionError)


def looks_like_archive(first: bytes) -> bool:
    """Return whether a file with these first bytes is gzip or, given at least 512 of them, tar."""
    if first.startswith(b"\x1f\x8b"):
        return True
    try:
        tarfile.TarInfo.frombuf(first[:512], "utf-8", "surrogateescape")
    except _PARSING_FAILURES:
        return False
    return True


def extract(archive: Path, folder: Path) -> Path:
    """Extract the checkpoint in `archive` into `folder` and return the inner folder that holds the checkpoint.

    If several folders hold checkpoints, `folder` itself is returned. `folder` must not exist, or must be empty. Only
    `checkpoint`, `*.index`, `*.data-00000-of-00001` and the like, and `saved_model.pb` are extracted. An archive may
    unpack to 1 GiB, or to 100 times its size if that is more.

    Raises MissingPath; UnreadableCheckpoint, naming the member, for a damaged archive, for links, devices, names that
    lead out of the folder, duplicates, or a size beyond the limit; OutputProblem if `folder` cannot be written.
    """
    archive = require_path(archive)
    temporary = folder.parent / f".{folder.name}-{secrets.token_hex(4)}"
    try:
        if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
            raise OutputProblem(f"{folder}: exists; an archive is only extracted to a new folder")
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
            if member.isdir() or not _NEEDED.fullmatch(path.name):
                continue
            if member.size > shutil.disk_usage(temporary).free:
                free = f"{shutil.disk_usage(temporary).free:,} bytes are free in {temporary.parent.parent}"
                raise OutputProblem(f"{archive}: member {_shown(member.name)} has {member.size:,} bytes, but {free}")
            target = temporary.joinpath(*path.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as file:
                stream.copy(member.size, file)
            if path.name.endswith(".index") or path.name == "saved_model.pb":
                found.add(path.parent)
        stream.drain()
    if not found:
        held = ", ".join(repr(name) for name in members[:5]) or "nothing"
        raise UnreadableCheckpoint(
            f"{archive}: has no *.index and no saved_model.pb, but {held}; unpack it and give the file of the weights"
        )
    # A SavedModel keeps its tensors in the folder `variables`, beside saved_model.pb.
    tops = [path for path in found if not found.intersection(path.parents)]
    return tops[0] if len(tops) == 1 else PurePosixPath()


def _members(archive: Path, stream: "_Stream") -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Yield every checked member and its path; the stream is then at the first byte of the member."""
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    parents: set[PurePosixPath] = set()
    try:
        with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as tar:
            while member := tar.next():
                path = _checked_path(archive, member)
                clashes = files | folders if member.isdir() else files | folders | parents
                if path in clashes or not files.isdisjoint(path.parents):
                    raise _bad(archive, member, "is a duplicate name, or both a file and a folder")
                (folders if member.isdir() else files).add(path)
                parents.update(path.parents)
                if len(files) + len(folders) > MEMBERS:
                    raise _bad(archive, member, f"is one too many: at most {MEMBERS:,} files are read")
                if stream.position + member.size > stream.limit:
                    raise _bad(archive, member, stream.excess(member.size))
                yield member, path
    except _PARSING_FAILURES as error:
        raise UnreadableCheckpoint(f"{archive}: not a tar archive, or a damaged one ({error})") from error
    # For tarfile, a damaged header is the end of the archive.
    if stream.last != bytes(tarfile.BLOCKSIZE):
        raise UnreadableCheckpoint(f"{archive}: damaged or cut off: no end mark at byte {stream.position:,}")


def _checked_path(archive: Path, member: tarfile.TarInfo) -> PurePosixPath:
    name = member.name
    path = PurePosixPath(name)
    if member.issym() or member.islnk():
        raise _bad(archive, member, f"is a link to {_shown(member.linkname)}")
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or member.issparse():
        raise _bad(archive, member, "is neither a file nor a folder")
    if not name.isprintable() or "\\" in name or len(name) > _NAME_LENGTH:
        raise _bad(archive, member, "has a name with characters that no checkpoint needs, or a very long one")
    if any(len(part.encode()) > _PART_LENGTH for part in path.parts):
        raise _bad(archive, member, f"has a name of more than {_PART_LENGTH} bytes")
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name):
        raise _bad(archive, member, "leads out of the folder")
    if member.size < 0:
        raise _bad(archive, member, f"has {member.size} bytes")
    return path


def _bad(archive: Path, member: tarfile.TarInfo, what: str) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(f"{archive}: member {_shown(member.name)} {what}; nothing was extracted")


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 200 else name[:200] + "...")


class _Stream:
    """The unpacked bytes of an archive as a file object for tarfile, which can only be read forward.

    limit: how many unpacked bytes are allowed. last: the result of the last `read`.
    """

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.position = 0
        self.last = b""
        self.limit = max(HARMLESS_BYTES, RATIO * archive.stat().st_size)
        self._raw = open(archive, "rb")  # noqa: SIM115 (closed in __exit__)
        first = self._raw.peek(tarfile.BLOCKSIZE)
        if not looks_like_archive(first):
            self._raw.close()
            raise UnreadableCheckpoint(
                f"{archive}: neither gzip nor tar: it begins with {first[:8].hex(' ') or 'nothing'}"
            )
        gzipped = first.startswith(b"\x1f\x8b")
        self._file = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw)) if gzipped else self._raw

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *failure: object) -> None:
        self._file.close()
        self._raw.close()

    def excess(self, size: int) -> str:
        return (
            f"has {size:,} bytes; the archive then exceeds {self.limit:,} unpacked bytes, "
            f"the limit for an archive of {self.archive.stat().st_size:,} bytes"
        )

    def tell(self) -> int:
        return self.position

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end. Raises UnreadableCheckpoint."""
        if not 0 <= size <= HEADER_BYTES:
            raise UnreadableCheckpoint(f"{self.archive}: a header of {size:,} bytes at byte {self.position:,}")
        self.last = self._next(size)
        return self.last

    def _next(self, size: int) -> bytes:
        try:
            block = self._file.read(size)
        except _READING_FAILURES as error:
            raise UnreadableCheckpoint(f"{self.archive}: damaged or cut off ({error}); get a whole copy") from error
        self.position += len(block)
        if self.position > self.limit:
            raise UnreadableCheckpoint(f"{self.archive}: {self.excess(self.position)}")
        return block

    def seek(self, position: int) -> None:
        if position < self.position:
            raise UnreadableCheckpoint(f"{self.archive}: members overlap at byte {position:,}")
        for _ in self._blocks(position - self.position):
            pass

    def copy(self, size: int, file: BinaryIO) -> None:
        """Write the next `size` bytes to `file`."""
        for block in self._blocks(size):
            file.write(block)

    def drain(self) -> None:
        """Read to the end, where gzip has its checksum."""
        while self._next(_BLOCK):
            pass

    def _blocks(self, size: int) -> Iterator[bytes]:
        while size:
            block = self._next(min(size, _BLOCK))
            if not block:
                raise UnreadableCheckpoint(f"{self.archive}: cut off at byte {self.position:,}; get a whole copy")
            size -= len(block)
            yield block
