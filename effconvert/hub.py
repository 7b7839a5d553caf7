"""Where the published TensorFlow weights are, and a cache of them that is checked each time it is used."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effconvert.errors import LayoutMismatch, OutputProblem, Unavailable, UnreadableCheckpoint
from effconvert.reference_tables import Published, weights_table
from effconvert.variants import find_variant

if TYPE_CHECKING:
    from effconvert.downloads import Patience, Progress

_BUCKET = "https://storage.googleapis.com/cloud-tpu-checkpoints"


@dataclass(frozen=True)
class _Record:
    """What is known of a cached archive: where it came from, its bytes, and the files extracted from it.

    folder: of the checkpoint, and files: {path: its bytes and SHA-256}, both relative to the folder of the cache.
    """

    url: str
    size: int
    sha256: str
    folder: str
    files: dict[str, tuple[int, str]]


@dataclass(frozen=True)
class Fetched:
    """A checkpoint in the cache: its folder, the address that it came from, and {file name: SHA-256 when extracted}."""

    folder: Path
    url: str
    sha256: dict[str, str]


def published(variant: str) -> list[Published]:
    """Return every published archive of `variant`, the oldest first; of one release the one for smaller images first.

    Raises LayoutMismatch for an unknown variant.
    """
    name = find_variant(variant).name
    rows = [row for row in weights_table() if row.variant == name]
    return sorted(rows, key=lambda row: (row.release, row.size))


def choose(variant: str, weights: str | None = None) -> Published:
    """Return the archive of `variant` with `weights`; by default `aa`, else the newest.

    Raises LayoutMismatch that lists what exists when `variant` has no such weights.
    """
    rows = published(variant)
    by_name = {row.weights: row for row in rows}
    if weights is None:
        return by_name.get("aa", rows[-1])
    if weights.lower() in by_name:
        return by_name[weights.lower()]
    others = [row.variant for row in weights_table() if row.weights == weights.lower()]
    known = ", ".join(dict.fromkeys(row.weights for row in weights_table()))
    elsewhere = f"only {', '.join(others)} have them" if others else f"no variant has them (known are {known})"
    raise LayoutMismatch(
        f"weights {weights!r} were not published for {rows[0].variant}, which has {', '.join(by_name)}; {elsewhere}"
    )


def cache_folder() -> Path:
    """Return the folder of the cache: EFFCONVERT_CACHE, or the user's cache folder."""
    named = os.environ.get("EFFCONVERT_CACHE")
    if named:
        return Path(named)
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("effconvert"))


def address(row: Published) -> str:
    """Return the URL that `row` is downloaded from; EFFCONVERT_MIRROR replaces scheme, host and bucket.

    Raises Unavailable when EFFCONVERT_MIRROR is not an http address.
    """
    mirror = os.environ.get("EFFCONVERT_MIRROR")
    if not mirror:
        return row.url
    if not mirror.startswith(("http://", "https://")):
        raise Unavailable(f"EFFCONVERT_MIRROR={mirror}: must start with http:// or https://")
    return mirror.rstrip("/") + row.url.removeprefix(_BUCKET)


def fetch(
    row: Published,
    *,
    progress: "Progress | None" = None,
    offline: bool = False,
    patience: "Patience | None" = None,
) -> Fetched:
    """Return the checkpoint of `row`, downloaded and extracted unless the cache has it.

    progress is called with the bytes that arrived and the bytes in all, None where the server does not say. Only one
    process downloads an archive, others wait for it. The SHA-256 of the archive is recorded when it is first seen, and
    compared whenever it is used again.

    Raises Unavailable when the network is needed and does not give the archive, UnreadableCheckpoint for an archive
    that is damaged or is not the recorded one, OutputProblem when the cache cannot be written.
    """
    entry = cache_folder() / f"{row.variant}-{row.weights}"
    try:
        with _locked(entry):
            return _fetch(row, entry, progress, offline, patience)
    except OSError as error:
        raise OutputProblem(
            f"{error.filename or entry}: {error.strerror or error}; EFFCONVERT_CACHE names another folder for the cache"
        ) from error


def _fetch(
    row: Published, entry: Path, progress: "Progress | None", offline: bool, patience: "Patience | None"
) -> Fetched:
    archive = entry / row.url.rpartition("/")[2]
    notes = archive.with_name(archive.name + ".json")
    record = _read_record(notes)
    fresh = not archive.exists()
    if not fresh:
        sha256 = file_sha256(archive)
    elif record and _is_complete(entry, record):
        return _fetched(entry, record)
    elif offline:
        raise Unavailable(
            f"{address(row)}: not in the cache ({entry}), and the network is not to be used; "
            "download the archive elsewhere and give its path with --checkpoint"
        )
    else:
        # Imported here: `choose` is used by commands that need no network, and ssl takes its time.
        from effconvert.downloads import download

        sha256 = download(address(row), archive, progress=progress, patience=patience)
    _require_same(row, record, sha256, archive, notes, fresh)
    if record is None or not _is_complete(entry, record):
        record = _extract(row, entry, archive, sha256, known=record is not None)
        _write_record(notes, record)
    return _fetched(entry, record)


def _fetched(entry: Path, record: _Record) -> Fetched:
    sha256 = {Path(path).name: known for path, (_, known) in record.files.items()}
    return Fetched(entry / record.folder, record.url, sha256)


def _require_same(row: Published, record: _Record | None, sha256: str, archive: Path, notes: Path, fresh: bool) -> None:
    expected = row.sha256 or (record.sha256 if record else sha256)
    if sha256 == expected:
        return
    found = f"SHA-256 {sha256}, expected {expected}, as {'published' if row.sha256 else f'recorded in {notes}'}"
    if fresh:
        archive.unlink()
        raise UnreadableCheckpoint(
            f"{address(row)}: the archive now has {found}; it was not kept; "
            f"if it was replaced on purpose, delete {archive.parent} and run again"
        )
    raise UnreadableCheckpoint(
        f"{archive}: the archive has {found}; it has changed since; delete {archive.parent} and run again"
    )


def _extract(row: Published, entry: Path, archive: Path, sha256: str, *, known: bool) -> _Record:
    from effconvert.archive import extract

    extracted = entry / "checkpoint"
    for leftover in (
        extracted,
        *entry.glob(".checkpoint-*"),
    ):  # of a process that was killed; the lock is ours
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        folder = extract(archive, extracted)
    except UnreadableCheckpoint as error:
        if known:  # the very bytes that were good before
            raise
        archive.unlink()
        raise UnreadableCheckpoint(f"{error}; it came from {address(row)} and was not kept") from error
    files = [path for path in sorted(extracted.rglob("*")) if path.is_file()]
    return _Record(
        url=address(row),
        size=archive.stat().st_size,
        sha256=sha256,
        folder=folder.relative_to(entry).as_posix(),
        files={path.relative_to(entry).as_posix(): (path.stat().st_size, file_sha256(path)) for path in files},
    )


def _is_complete(entry: Path, record: _Record) -> bool:
    paths = {entry / name: size for name, (size, _) in record.files.items()}
    return bool(paths) and all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def _read_record(notes: Path) -> _Record | None:
    try:
        fields: dict[str, Any] = json.loads(notes.read_text(encoding="utf-8"))
        files = {path: (int(size), str(sha256)) for path, (size, sha256) in fields["files"].items()}
        return _Record(**fields | {"files": files})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableCheckpoint(
            f"{notes}: not the record of a download ({error}); delete {notes.parent} and run again"
        ) from error


def _write_record(notes: Path, record: _Record) -> None:
    temporary = notes.with_name(notes.name + ".new")
    temporary.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    temporary.replace(notes)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _locked(entry: Path) -> Iterator[None]:
    entry.mkdir(parents=True, exist_ok=True)
    # Opened for reading, so that a cache on a read-only disk can be locked too. Closing it releases the lock.
    descriptor = os.open(entry / ".lock", os.O_RDONLY | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
