"""WebDataset shards: tar files in which files with the same name and different suffixes are one sample.

Source: https://github.com/webdataset/webdataset, "The WebDataset Format": the key is the name up to the first dot of
its last part; `.jpg`, `.jpeg`, `.png` hold the image, `.cls` the class, `.json` anything.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from effconvert.budget import Budget
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.strict_json import parse_json
from effconvert.preprocessing.image_files import SUFFIXES
from effconvert.validate.data.containers.contents import Contents, counted, is_number
from effconvert.validate.data.containers.tar import Member
from effconvert.validate.data.imagenet import image_number
from effconvert.validate.data.locations import Location

_LABELS = ("cls", "json")
_JSON_LABELS = ("label", "cls", "class", "synset")


def is_webdataset(found: Iterable[Member]) -> bool:
    """Return whether a tar holds labels beside images."""
    return any(_split(member.name)[1] in _LABELS for member in found)


def list_webdataset(shards: dict[Path, list[Member]]) -> Contents:
    """Return the samples that have an image, in the shards' order. Raises UnreadableCheckpoint for a short file."""
    contents = Contents(counted(len(shards), "WebDataset shard"))
    for path, found in shards.items():
        with DataFile(path) as file:
            for key, sample in _samples(contents, found):
                _add(contents, file, path, key, sample)
    return contents


def _samples(contents: Contents, found: list[Member]) -> Iterator[tuple[str, dict[str, Member]]]:
    """Yield each key with its files by suffix; as in webdataset, the files of a sample are consecutive."""
    key, sample = "", dict[str, Member]()
    for member in found:
        name = PurePosixPath(member.name).name
        if name.startswith((".", "__")):
            contents.left_out["hidden files"] += 1
            continue
        new, suffix = _split(member.name)
        if new != key:
            if sample:
                yield key, sample
            key, sample = new, {}
        if suffix in sample:
            contents.problems.append(f"{member.name}: occurs twice in its sample")
        sample[suffix] = member
    if sample:
        yield key, sample


def _split(name: str) -> tuple[str, str]:
    """Return the key of a file and its last suffix, without the dot."""
    path = PurePosixPath(name)
    base, _, suffixes = path.name.partition(".")
    return str(path.with_name(base)) if base else name, suffixes.rpartition(".")[2].lower()


def _add(contents: Contents, file: DataFile, path: Path, key: str, sample: dict[str, Member]) -> None:
    images = [suffix for suffix in sample if f".{suffix}" in SUFFIXES]
    if len(images) != 1:
        words = "a label without an image" if not images else f"{len(images)} images in a sample"
        contents.problems.append(f"{key}: {words}: {', '.join(member.name for member in sample.values())}")
        return
    image = sample[images[0]]
    texts = {
        suffix: file.read(*sample[suffix][1:]).decode("utf-8", "replace") for suffix in _LABELS if suffix in sample
    }
    try:
        text = texts.get("json", "{}")
        record = parse_json(text, Budget(path, len(text)))
    except (ValueError, RecursionError) as error:
        contents.problems.append(f"{sample['json'].name}: not JSON: {error}")
        return
    label = texts["cls"].strip() if "cls" in texts else _label_in(record)
    contents.left_out["files that are not images"] += len(sample) - 1 - len(texts)
    contents.left_out = +contents.left_out
    location = Location("bytes", str(path), image.start, image.length)
    contents.add(_name(f"{key}.{images[0]}", record), _as_label(label), location)


def _label_in(record: Any) -> Any:
    return next((record[name] for name in _JSON_LABELS if name in record), None) if isinstance(record, dict) else None


def _as_label(label: Any) -> str | int | None:
    text = "" if label is None else str(label)
    return int(text) if is_number(text) else text or None


def _name(name: str, record: Any) -> str:
    """Return the image's original file name if only that has its ImageNet number, else `name`."""
    original = record.get("filename") if isinstance(record, dict) else None
    return original if isinstance(original, str) and image_number(original) and not image_number(name) else name
