"""TFRecord shards of tf.train.Example, as the official TensorFlow evaluation or TensorFlow Datasets writes them.

A record: length, checksum of the length, an Example, its checksum (tensorflow/core/lib/io/record_writer.h). Listing
does not read the images; later, an image is read with its whole record, and the checksum is verified.
The official features (tensorflow/tpu, models/official/efficientnet/imagenet_input.py) are `image/encoded`,
`image/class/label` from 1 (0 is the background class), `image/class/synset` and `image/filename`. TensorFlow Datasets
has `image`, `label` from 0 and `file_name`.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import crc32c

from effconvert.errors import DatasetProblem
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.protobuf import WireError, fields, read_varint
from effconvert.formats.protobuf_file import Span, StoredFields
from effconvert.formats.tensorflow.leveldb_table import masked
from effconvert.validate.data.containers.contents import Contents, counted
from effconvert.validate.data.locations import Location

HEADER = 12
_FOOTER = 4
_IMAGES = ("image/encoded", "image")
_FILE_NAMES = ("image/filename", "file_name")
_SMALL = 4096  # features up to this many bytes are read during listing


def is_tfrecord(first: bytes) -> bool:
    """Return whether bytes begin with the length of a record and its checksum."""
    return len(first) >= HEADER and masked(crc32c.crc32c(first[:8])) == int.from_bytes(first[8:HEADER], "little")


def list_tfrecords(paths: list[Path]) -> Contents:
    """Return the images of all shards, in their order.

    Raises DatasetProblem for a damaged shard; UnreadableCheckpoint for one that ends too early.
    """
    contents = Contents(counted(len(paths), "TFRecord shard"))
    for path in paths:
        with DataFile(path) as file:
            stored = StoredFields(file)
            try:
                for number, content in enumerate(_records(file)):
                    _add(contents, stored, path, f"{path.name}:{number}", content)
            except WireError as error:
                raise DatasetProblem(f"{path}: not a record of tf.train.Example: {error}") from error
    return contents


def image_of_record(file: DataFile, start: int, length: int) -> bytes:
    """Return the encoded image in the record at `start`.

    Raises DatasetProblem for a wrong checksum, or a record without an image.
    """
    place = f"{file.path}: the record at byte {start - HEADER:,}"
    content = file.read(start, length + _FOOTER)
    data, footer = content[:length], content[length:]
    if masked(crc32c.crc32c(data)) != int.from_bytes(footer, "little"):
        raise DatasetProblem(f"{place} is damaged: its checksum is wrong")
    try:
        features = dict(_features(data))
    except WireError as error:
        raise DatasetProblem(f"{place} is not a tf.train.Example: {error}") from error
    for name in _IMAGES:
        if isinstance(image := features.get(name), bytes):
            return image
    named = [name for name in _IMAGES if name in features] or _IMAGES
    raise DatasetProblem(f"{place} has no image: no bytes in its feature {' or '.join(named)}")


def _records(file: DataFile) -> Iterator[Span]:
    """Yield the byte range of each record's content."""
    position = 0
    while position < file.size:
        header = file.read(position, HEADER)
        if not is_tfrecord(header):
            raise DatasetProblem(f"{file.path}: damaged at byte {position:,}: the checksum of a length is wrong")
        (length,) = struct.unpack_from("<Q", header)
        if position + HEADER + length + _FOOTER > file.size:
            raise DatasetProblem(f"{file.path}: ends within the record at byte {position:,}; copy or download it again")
        yield Span(position + HEADER, length)
        position += HEADER + length + _FOOTER


def _add(contents: Contents, stored: StoredFields, path: Path, record: str, content: Span) -> None:
    features = _small_features(stored, content)
    if not any(name in features and not isinstance(features[name], int) for name in _IMAGES):
        contents.problems.append(f"{record}: has no image; its features are {', '.join(sorted(features))}")
        return
    name = next((value for key in _FILE_NAMES if isinstance(value := features.get(key), bytes)), b"")
    label: str | int | None = None
    synset, official, plain = (features.get(key) for key in ("image/class/synset", "image/class/label", "label"))
    if isinstance(synset, bytes) and synset:
        label = synset.decode("utf-8", "replace")
    elif isinstance(official, int):
        label = official - 1
        if official == 0:
            contents.problems.append(f"{record}: has label 0, the background class; image/class/label counts from 1")
    elif isinstance(plain, int) and plain >= 0:
        label = plain
    location = Location("record", path.as_posix(), content.offset, content.size)
    contents.add(name.decode("utf-8", "replace") or record, label, location)


def _small_features(stored: StoredFields, example: Span) -> dict[str, bytes | int | None]:
    """Return the features of the Example at that byte range; large ones as None."""
    found: dict[str, bytes | int | None] = {}
    for features in _first_fields(stored, example):
        for feature in _first_fields(stored, features):
            if feature.size <= _SMALL:
                found |= [_feature(stored.read(feature))]
            else:
                names = (stored.read(name).decode("utf-8", "replace") for name in _first_fields(stored, feature))
                found |= dict.fromkeys(names)
    return found


def _first_fields(stored: StoredFields, message: Span) -> Iterator[Span]:
    """Yield the byte range of each field 1 of a message: an Example's features, one feature, its name."""
    for number, place in stored.of(message):
        if number == 1 and isinstance(place, Span):
            yield place


def _features(example: bytes) -> Iterator[tuple[str, bytes | int | None]]:
    for number, features in fields(example):
        for entry, content in fields(features) if number == 1 and isinstance(features, bytes) else ():
            if entry == 1 and isinstance(content, bytes):
                yield _feature(content)


def _feature(entry: bytes) -> tuple[str, bytes | int | None]:
    """Return the name of a feature and its first value, None for floats and for empty lists."""
    parts = dict(fields(entry))
    name, feature = parts.get(1, b""), parts.get(2, b"")
    if not isinstance(name, bytes) or not isinstance(feature, bytes):
        raise WireError("a feature without a name")
    value: bytes | int | None = None
    for kind, content in fields(feature):
        values = fields(content) if isinstance(content, bytes) and kind in (1, 3) else iter(())
        value = next((item for _, item in values), None)
        if kind == 3 and isinstance(value, bytes):  # numbers, packed
            value = read_varint(value, 0)[0] if value else None
    return name.decode("utf-8", "replace"), value
