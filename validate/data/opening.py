"""Recognition of containers by their content, and listing of their images."""

import glob
import re
from pathlib import Path

from effconvert.budget import guarded
from effconvert.errors import DatasetProblem, MissingPath, UnreadableCheckpoint, listing
from effconvert.formats.archive import looks_like_archive
from effconvert.formats.file_kinds import CHECKPOINT, kind_of
from effconvert.option_words import either
from effconvert.validate.data.containers.contents import Contents, counted, sort_of
from effconvert.validate.data.containers.folder import list_class_folders, list_flat_folder
from effconvert.validate.data.containers.parquet import list_parquet
from effconvert.validate.data.containers.tar import list_tar, members
from effconvert.validate.data.containers.tfrecord import is_tfrecord, list_tfrecords
from effconvert.validate.data.containers.webdataset import is_webdataset, list_webdataset

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_SHARDS = 100_000
_LONGEST_NAME, _SHOWN = 1_000, 80
_SHARD = re.compile(r"(\d{5,})-of-(\d{5,})")
_SPLIT = re.compile(r"(?:.*[-_.])?(train|test|val(?:idation)?)(?![a-z])", re.IGNORECASE)
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}


def open_contents(path: str | Path) -> Contents:
    """Return the contents of `path`: a folder, a file, or a pattern of shards (`val-{000000..000049}.tar`, `val-*`).

    Raises MissingPath; DatasetProblem for a path without images or a damaged file; Unavailable without a package.
    """
    try:
        with guarded(path, DatasetProblem):
            contents = _open(Path(path), str(path))
        return _with_usable_names(path, contents)
    except UnreadableCheckpoint as error:  # raised by the readers that checkpoints share
        raise DatasetProblem(str(error)) from error
    except OSError as error:
        raise DatasetProblem(f"{path}: cannot be read: {error.strerror or error}") from error


def _open(folder: Path, pattern: str) -> Contents:
    if folder.is_dir():
        return _open_folder(folder)
    return _open_files([folder]) if folder.exists() else _open_files(_matching(pattern), whole=True)


def _with_usable_names(path: str | Path, contents: Contents) -> Contents:
    """Return `contents`. Raises DatasetProblem for names that a run cannot hold."""
    wrong = [name for name, _, _ in contents.images if len(name) > _LONGEST_NAME or not _is_text(name)]
    if wrong:
        shown = [ascii(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…")[1:-1] for name in wrong]
        heading = f"{path}: names that are longer than {_LONGEST_NAME:,} letters or are not UTF-8; rename the images:"
        raise DatasetProblem(listing(heading, shown))
    return contents


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # a name on the disk or in a tar file that is not UTF-8
        return False
    return True


def _matching(pattern: str) -> list[Path]:
    """Return the files that match a pattern, sorted; each file of a range in braces must exist."""
    found = _RANGE.search(pattern)
    if found:
        first, last = int(found[1]), int(found[2])
        if last - first >= _MOST_SHARDS:
            raise DatasetProblem(f"{pattern}: names {last - first + 1:,} shards; at most {_MOST_SHARDS:,} are read")
        names = [
            pattern[: found.start()] + f"{n:0{len(found[1])}}" + pattern[found.end() :] for n in range(first, last + 1)
        ]
        missing = [name for name in names if not Path(name).is_file()]
        if missing or not names:
            raise DatasetProblem(listing(f"{pattern}: {len(missing):,} of {len(names):,} shards are missing:", missing))
        return [Path(name) for name in names]
    names = glob.glob(pattern)  # noqa: PTH207 - the pattern may be absolute
    files = sorted(Path(name) for name in names if Path(name).is_file())
    if not files:
        raise MissingPath(f"{pattern}: no such file or directory")
    return files


def _open_folder(path: Path) -> Contents:
    entries = [entry for entry in path.iterdir() if sort_of(entry.name) != "hidden files"]
    folders = [entry.name for entry in entries if entry.is_dir()]
    beside = [entry.name for entry in entries if sort_of(entry.name) == "image" and not entry.is_dir()]
    classed = list_class_folders(path, folders) if folders else None
    if classed and (classed.images or (classed.problems and not beside)):
        if beside:
            some = ", ".join(sorted(beside)[:3])
            classed.problems.append(
                f"{counted(len(beside), 'image')} beside the class folders, so without a class: {some}"
            )
        classed.left_out["files beside the class folders"] += len(entries) - len(folders) - len(beside)
        classed.left_out = +classed.left_out
        return classed
    if beside:
        flat = list_flat_folder(path)
        flat.left_out["folders without an image"] += len(folders)
        flat.left_out = +flat.left_out
        return flat
    shards = sorted(entry for entry in entries if entry.is_file() and _kind(entry) in ("tar", "parquet", "tfrecord"))
    if shards:
        return _open_files(shards, whole=True)
    if "data" in folders:  # as in repositories of Hugging Face
        return _open_folder(path / "data")
    within = f"; it contains {', '.join(sorted(folders)[:5])}" if folders else ""
    raise DatasetProblem(f"{path}: contains neither images nor shards{within}")


def _open_files(paths: list[Path], whole: bool = False) -> Contents:
    kinds = {path: _kind(path) for path in paths}
    unknown = [f"{path}: {kind}" for path, kind in kinds.items() if kind not in ("tar", "parquet", "tfrecord")]
    if unknown:
        raise DatasetProblem(listing("not a data set:", unknown) if len(unknown) > 1 else unknown[0])
    if len(set(kinds.values())) > 1:
        raise DatasetProblem(
            f"{paths[0].parent}: has shards of several kinds, {', '.join(sorted(set(kinds.values())))}; give one kind"
        )
    if whole:
        _check_whole(paths)
    kind = kinds[paths[0]]
    if kind == "parquet":
        return list_parquet(paths)
    if kind == "tfrecord":
        return list_tfrecords(paths)
    shards = {path: members(path) for path in paths}
    return list_webdataset(shards) if any(map(is_webdataset, shards.values())) else list_tar(shards)


def _kind(path: Path) -> str:
    """Return the kind of container by the file's first bytes, or why it is not one."""
    with path.open("rb") as file:
        first = file.read(512)
    packed = next((name for magic, name in _PACKED.items() if first.startswith(magic)), "")
    if packed:
        remedy = "unpack it" if packed == "zip" else "decompress it to a plain tar file, which is read in place"
        return f"compressed with {packed}, so an image can be reached only by unpacking all before it; {remedy}"
    if first.startswith(b"PAR1"):
        return "parquet"
    if is_tfrecord(first):
        return "tfrecord"
    if looks_like_archive(first):
        return "tar"
    if kind_of(path) == CHECKPOINT:
        how = either("`effconvert validate FILE --data DATA`", "effconvert.validate.measure_accuracy(file, data)")
        return f"weights, and not images; give it as a file to measure: {how}"
    return "not a tar, Parquet or TFRecord file; a data set is one of these, shards of them, or a folder of images"


def _check_whole(paths: list[Path]) -> None:
    """Raise DatasetProblem for shards of several splits, and for missing shards (`-00003-of-00014`)."""
    splits = {found[1].lower(): path for path in paths if (found := _SPLIT.match(path.name))}
    if len(splits) > 1:
        example = splits.get("validation") or splits.get("val") or paths[-1]
        pattern = example.parent / _SHARD.sub("*", example.name)
        raise DatasetProblem(f"{example.parent}: has shards of {', '.join(sorted(splits))}; give one: '{pattern}'")
    numbered = [(int(found[1]), int(found[2])) for path in paths if (found := _SHARD.search(path.name))]
    if len(numbered) == len(paths):
        total = numbered[0][1]
        first = int(max(number for number, _ in numbered) == total)  # most count from 0
        missing = sorted(set(range(first, first + total)) - {number for number, _ in numbered})
        if missing:
            problems = [f"{number:05}-of-{total:05}" for number in missing]
            raise DatasetProblem(
                listing(f"{paths[0].parent}: {len(missing):,} of {total:,} shards are missing:", problems)
            )
