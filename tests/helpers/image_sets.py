"""One small data set, images that ImageNet's validation set has the names and classes of, in every container."""

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from effconvert.formats.protobuf import bytes_field, number_field
from effconvert.formats.tensorflow.leveldb_table import masked
from effconvert.validate.data.classes import imagenet_classes, imagenet_rows
from effconvert.validate.data.imagenet import image_name, validation_labels
from helpers import pictures

CLASSES = (1, 65, 151, 281, 282, 949)
EACH = 4


class Sample(NamedTuple):
    """An image: the name that ImageNet gave it, its class, its bytes."""

    name: str
    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    data: bytes

    @property
    def synset(self) -> str:
        return imagenet_classes().identifiers[self.index]


def samples(classes: Iterable[int] = CLASSES, each: int = EACH) -> list[Sample]:
    """Return `each` images of each class, JPEGs of every kind, in the order of their names."""
    numbers = [1 + number for index in classes for number in np.flatnonzero(validation_labels() == index)[:each]]
    kinds = pictures.JPEGS
    return [
        Sample(
            image_name(number),
            int(validation_labels()[number - 1]),
            pictures.file(kinds[place % len(kinds)], 60 + place, 90 - place, place),
        )
        for place, number in enumerate(sorted(numbers))
    ]


def write_class_folders(path: Path, images: list[Sample]) -> Path:
    """Write a folder per class and return what to open."""
    for image in images:
        write(path / image.synset / image.name, image.data)
    return path


def write_flat_folder(path: Path, images: list[Sample]) -> Path:
    """Write a flat folder and the development kit's ground truth for its images."""
    ids = {int(row["index"]): row["ilsvrc_id"] for row in imagenet_rows()}
    for image in images:
        write(path / image.name, image.data)
    truth = "".join(f"{ids[image.index]}\n" for image in sorted(images))
    write(path / "ILSVRC2012_validation_ground_truth.txt", truth.encode())
    return path


def write_tar(path: Path, images: list[Sample]) -> Path:
    """Write the images side by side into a tar, as ILSVRC2012_img_val.tar."""
    return tar(path / "ILSVRC2012_img_val.tar", [(image.name, image.data) for image in images])


def write_webdataset(path: Path, images: list[Sample]) -> Path:
    """Write two shards, the class as a number in `.cls`."""
    for shard in range(2):
        files = []
        for image in images[shard::2]:
            key = image.name.removesuffix(".JPEG")
            files += [(f"{key}.jpg", image.data), (f"{key}.cls", str(image.index).encode())]
        tar(path / f"val-{shard:06}.tar", files)
    return path / "val-{000000..000001}.tar"


def write_parquet(path: Path, images: list[Sample], names: Iterable[str] | None = None) -> Path:
    """Write two files as the hub has them: several row groups, class names in the metadata."""
    names = [row["lemmas"] for row in imagenet_rows()] if names is None else list(names)
    label = {"names": names, "_type": "ClassLabel"}
    features = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
    kind = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
        metadata={"huggingface": json.dumps(features)},
    )
    path.mkdir(parents=True, exist_ok=True)
    for shard in range(2):
        rows = [
            {
                "image": {"bytes": image.data, "path": f"{Path(image.name).stem}_{image.synset}.JPEG"},
                "label": image.index,
            }
            for image in images[shard::2]
        ]
        file = path / f"validation-{shard:05}-of-00002.parquet"
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows, schema=kind), file, row_group_size=5)
    return path


def write_tfrecords(path: Path, images: list[Sample]) -> Path:
    """Write two shards with the features that the official evaluation reads."""
    for shard in range(2):
        examples = [
            example(
                {
                    "image/encoded": image.data,
                    "image/class/label": image.index + 1,
                    "image/class/synset": image.synset.encode(),
                    "image/filename": image.name.encode(),
                }
            )
            for image in images[shard::2]
        ]
        write(path / f"validation-{shard:05}-of-00002", b"".join(map(record, examples)))
    return path / "validation-*"


WRITERS: dict[str, Callable[[Path, list[Sample]], Path]] = {
    "class folders": write_class_folders,
    "flat folder": write_flat_folder,
    "tar": write_tar,
    "webdataset": write_webdataset,
    "parquet": write_parquet,
    "tfrecord": write_tfrecords,
}


def write(path: Path, data: bytes) -> Path:
    """Write a file, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def tar(path: Path, files: Iterable[tuple[str, bytes]], mode: Literal["w", "w:gz"] = "w") -> Path:
    """Write a tar of those files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def example(features: dict[str, bytes | int]) -> bytes:
    """Return a tf.train.Example."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            feature = bytes_field(1, bytes_field(1, value))
        else:
            feature = bytes_field(3, number_field(1, value))
        entries += bytes_field(1, bytes_field(1, name.encode()) + bytes_field(2, feature))
    return bytes_field(1, entries)


def record(data: bytes) -> bytes:
    """Return a record of a TFRecord file."""
    length = len(data).to_bytes(8, "little")
    checksums = (masked(crc32c.crc32c(part)).to_bytes(4, "little") for part in (length, data))
    return length + next(checksums) + data + next(checksums)
