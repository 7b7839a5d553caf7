"""A cache of published weights: each file is downloaded once, and checked each time it is used."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from effconvert.errors import LayoutMismatch, NotThere, OutputProblem, Unavailable, UnreadableCheckpoint
from effconvert.hashing import file_md5, file_sha256
from effconvert.hub.addresses import PackageFile, address, elsewhere, installed_path, package_file
from effconvert.locks import lock
from effconvert.reference_tables.file_names import name_sha8
from effconvert.reference_tables.weights import Published

if TYPE_CHECKING:
    from effconvert.hub.downloads import Patience, Progress

_EXTRACTED = "checkpoint"


@dataclass(frozen=True)
class _Record:
    """The record of a cached download: its address, its size and hash, and the files of the checkpoint.

    folder: the folder of the checkpoint, or its only file. files: {path: size and SHA-256}. Both paths are relative to
    the folder of the cache.
    """

    url: str
    size: int
    sha256: str
    folder: str
    files: dict[str, tuple[int, str]]


@dataclass(frozen=True)
class Fetched:
    """A checkpoint in the cache: its folder or file, its address, and {file name: known SHA-256}."""

    path: Path
    url: str
    sha256: dict[str, str]


def cache_folder() -> Path:
    """Return the folder of the cache: EFFCONVERT_CACHE, or the user's cache folder."""
    named = os.environ.get("EFFCONVERT_CACHE")
    if named:
        return Path(named)
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("effconvert"))


def fetch(
    row: Published,
    *,
    progress: "Progress | None" = None,
    offline: bool = False,
    patience: "Patience | None" = None,
) -> Fetched:
    """Return the checkpoint of `row`, downloaded, and extracted if it is an archive, unless the cache has it.

    progress is called with the received bytes and the total, None if the server does not tell it. Only one process
    downloads a file, others wait for it. The SHA-256 of the download is compared with the published one, or with its
    beginning in the file's name, and the MD5 if that was published. The SHA-256 is recorded at first, and compared at
    each later use. A file in a Python package is taken from there, and checked too.

    Raises Unavailable if the download fails, or if the package is not installed; UnreadableCheckpoint for a file that
    is damaged, of another network than `row`, or not the published or recorded one; OutputProblem if the cache cannot
    be written.
    """
    if package := package_file(row.url):
        return _installed(row, package)
    # TensorFlow's folders keep their old names, so that old caches stay valid.
    owner = "" if row.framework == "tensorflow" else f"{row.framework}-"
    entry = cache_folder() / f"{owner}{row.variant}-{row.weights}"
    try:
        with _locked(entry):
            return _fetch(row, entry, progress, offline, patience)
    except OSError as error:
        raise OutputProblem(
            f"{error.filename or entry}: {error.strerror or error}; set EFFCONVERT_CACHE to another folder"
        ) from error


def _installed(row: Published, package: PackageFile) -> Fetched:
    path = installed_path(package)
    sha256 = file_sha256(path)
    if difference := _difference(row, sha256, path):
        raise UnreadableCheckpoint(f"{path}: {difference}; get the published file with {package.reinstall}")
    _require_network(row, path)
    return Fetched(path, row.url, {path.name: sha256})


def _fetch(
    row: Published, entry: Path, progress: "Progress | None", offline: bool, patience: "Patience | None"
) -> Fetched:
    file = entry / row.file_name
    notes = file.with_name(file.name + ".json")
    record = _read_record(notes)
    fresh = not file.exists()
    if not fresh:
        sha256 = file_sha256(file)
    elif record and _is_complete(entry, record):
        return _fetched(entry, record)
    elif offline:
        raise Unavailable(f"{address(row)}: not in the cache ({entry}), and downloads are switched off; {elsewhere()}")
    else:
        # Imported here: commands without a download use this module too, and ssl is slow to import.
        from effconvert.hub.downloads import download

        sha256 = download(address(row), file, progress=progress, patience=patience)
    _require_published(row, sha256, file, fresh)
    _require_recorded(row, record, sha256, file, notes, fresh)
    if record is None or not _is_complete(entry, record):
        beside = [] if offline else list(_fetch_beside(row, entry, patience))
        record = _prepare(row, entry, file, sha256, beside, known=record is not None)
        _write_record(notes, record)
    return _fetched(entry, record)


def _fetched(entry: Path, record: _Record) -> Fetched:
    sha256 = {Path(path).name: known for path, (_, known) in record.files.items()}
    return Fetched(entry / record.folder, record.url, sha256)


def _require_published(row: Published, sha256: str, file: Path, fresh: bool) -> None:
    """Check the hashes of a download; a wrong one is removed, so that the next run downloads it again."""
    difference = _difference(row, sha256, file)
    if not difference:
        return
    file.unlink()
    raise UnreadableCheckpoint(f"{address(row) if fresh else file}: {difference}; it was not kept")


def _difference(row: Published, sha256: str, file: Path) -> str:
    """Return how the hashes of a file differ from the published ones; "" if they do not."""
    expected = row.sha256 or name_sha8(file.name)
    if expected is not None and not sha256.startswith(expected):
        by = "as published" if row.sha256 else "the beginning of its SHA-256, as in its name"
        return f"has SHA-256 {sha256}, expected {expected}, {by}"
    if row.md5 is not None and (md5 := file_md5(file)) != row.md5:
        return f"has MD5 {md5}, expected {row.md5}, as published"
    return ""


def _require_recorded(
    row: Published, record: _Record | None, sha256: str, file: Path, notes: Path, fresh: bool
) -> None:
    if record is None or sha256 == record.sha256:
        return
    found = f"SHA-256 {sha256}, expected {record.sha256}, as recorded in {notes}"
    if fresh:
        file.unlink()
        raise UnreadableCheckpoint(
            f"{address(row)}: the file now has {found}; it was not kept; "
            f"if it was replaced on purpose, delete {file.parent} and run again"
        )
    raise UnreadableCheckpoint(
        f"{file}: the file has {found}; it was changed later; delete {file.parent} and run again"
    )


def _fetch_beside(row: Published, entry: Path, patience: "Patience | None") -> Iterator[Path]:
    """Download files that describe the network; a mirror may lack them, and the conversion then assumes facts."""
    from effconvert.hub.downloads import download

    for name in row.beside:
        with contextlib.suppress(NotThere):
            download(address(row, name), entry / name, patience=patience)
            if _is_json_object(entry / name):
                yield entry / name
            else:  # a mirror's own page for a file that it lacks
                (entry / name).unlink()


def _is_json_object(path: Path) -> bool:
    from effconvert.formats.strict_json import read_json_object  # imports numpy

    try:
        read_json_object(path)
    except UnreadableCheckpoint:
        return False
    return True


def _prepare(row: Published, entry: Path, file: Path, sha256: str, beside: list[Path], *, known: bool) -> _Record:
    """Make a checkpoint of the download and return the record; the files `beside` belong to it.

    Raises UnreadableCheckpoint if there is none, or one of another network. The download is then not kept, unless the
    same bytes were good before (`known`).
    """
    try:
        if row.url.endswith(".tar.gz"):
            folder = _extract(entry, file)
            paths = [path for path in sorted((entry / _EXTRACTED).rglob("*")) if path.is_file()]
        else:
            folder, paths = file, [file, *beside]
        _require_network(row, folder)
    except UnreadableCheckpoint as error:
        if known:
            raise
        shutil.rmtree(entry / _EXTRACTED, ignore_errors=True)
        for path in (file, *beside):
            path.unlink()
        raise UnreadableCheckpoint(f"{error}; it was downloaded from {address(row)} and was not kept") from error
    hashes = {path: sha256 if path == file else file_sha256(path) for path in paths}
    return _Record(
        url=address(row),
        size=file.stat().st_size,
        sha256=sha256,
        folder=folder.relative_to(entry).as_posix(),
        files={path.relative_to(entry).as_posix(): (path.stat().st_size, hashes[path]) for path in paths},
    )


def _extract(entry: Path, archive: Path) -> Path:
    from effconvert.formats.archive import extract

    extracted = entry / _EXTRACTED
    # Left by a process that was killed; this process has the lock.
    for leftover in (extracted, *entry.glob(".checkpoint-*")):
        shutil.rmtree(leftover, ignore_errors=True)
    return extract(archive, extracted)


def _require_network(row: Published, path: Path) -> None:
    """Raise UnreadableCheckpoint unless `path` is a whole checkpoint of the network of `row`.

    A server may send anything, and later downloads are compared with the first record.
    """
    from effconvert.formats import open_checkpoint
    from effconvert.identify.identification import identify

    expected = f"{row.variant} with {row.classes} classes"
    with open_checkpoint(path) as checkpoint:
        try:
            identity = identify(checkpoint)
        except LayoutMismatch as error:
            raise UnreadableCheckpoint(f"{error}; expected {expected}") from error
    if (identity.variant.name, identity.facts.classes) != (row.variant, row.classes):
        found = f"{identity.variant.name} with {identity.facts.classes} classes"
        raise UnreadableCheckpoint(f"{path}: is {found}, expected {expected}")
    if identity.reading.missing:
        missing = f"{identity.reading.missing:,} of its {len(identity.moves):,} tensors"
        raise UnreadableCheckpoint(f"{path}: is {expected}, but {missing} are missing or of another shape")


def _is_complete(entry: Path, record: _Record) -> bool:
    paths = {entry / name: size for name, (size, _) in record.files.items()}
    return bool(paths) and all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def _read_record(notes: Path) -> _Record | None:
    from effconvert.formats.strict_json import read_json_object  # imports numpy

    if not notes.exists():
        return None
    try:
        fields = read_json_object(notes)
        files = {path: (int(size), str(sha256)) for path, (size, sha256) in fields["files"].items()}
        record = _Record(**fields | {"files": files})
        for path in (record.folder, *files):
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise ValueError(f"{path[:100]!a} leads out of the folder")
        return record
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, UnreadableCheckpoint) as error:
        raise UnreadableCheckpoint(
            f"{notes}: not the record of a download ({error}); delete {notes.parent} and run again"
        ) from error


def _write_record(notes: Path, record: _Record) -> None:
    temporary = notes.with_name(notes.name + ".new")
    temporary.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    temporary.replace(notes)


@contextlib.contextmanager
def _locked(entry: Path) -> Iterator[None]:
    entry.mkdir(parents=True, exist_ok=True)
    # Opened for reading, so that a cache on a read-only disk can be locked too. Closing it releases the lock.
    descriptor = os.open(entry / ".lock", os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)
