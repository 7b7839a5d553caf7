"""Targets: the readers of data sets, labels and images."""

import io
import json
import random
from collections.abc import Sequence
from functools import partial

import pyarrow as pa
import pyarrow.parquet

from effconvert.errors import DatasetProblem, MissingPath, UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.preprocessing.decoding import DECODERS, Window, decode
from effconvert.preprocessing.limits import pixels_allowed
from effconvert.validate.data.containers.contents import Contents
from effconvert.validate.data.containers.parquet import ParquetImages
from effconvert.validate.data.containers.tfrecord import image_of_record
from effconvert.validate.data.label_files import labelled, read_label_file, read_real
from effconvert.validate.data.locations import Location
from effconvert.validate.data.opening import open_contents
from effconvert.validate.data.text_lines import is_json
from helpers import image_sets, pictures
from helpers.fuzzing.target import Change, Target, as_file, made, own_folder
from helpers.fuzzing.tensorflow_targets import mutate_tar

_REFUSALS = (DatasetProblem, UnreadableCheckpoint)
_NAME, _SYNSET = "ILSVRC2012_val_00000001.JPEG", "n01440764"
_FEW_PIXELS = 1 << 18


def _data_set(name: str, content: bytes) -> None:
    contents = open_contents(as_file(content, name))
    list(contents.findings())


def _tar_seeds() -> Sequence[bytes]:
    image = b"\xff\xd8\xff"
    sets = [
        [(_NAME, image), ("b.png", image)],
        [(f"val/{_SYNSET}/{_NAME}", image), ("val/n01443537/b.JPEG", image)],
        [("a.jpg", image), ("a.cls", b"3"), ("b.jpg", image), ("b.json", b'{"label": 4, "filename": "x"}')],
    ]
    return [made(image_sets.tar, files) for files in sets]


def _record_seeds() -> Sequence[bytes]:
    official: dict[str, bytes | int] = {
        "image/encoded": b"\xff\xd8",
        "image/class/label": 2,
        "image/class/synset": b"n01440764",
        "image/filename": b"x",
    }
    datasets: dict[str, bytes | int] = {"image": b"\xff\xd8", "label": 0, "file_name": b"y"}
    return [
        b"".join(image_sets.record(image_sets.example(one)) for one in pair)
        for pair in ((official, official), (datasets,))
    ]


def _mutate_records(content: bytes, change: Change, chosen: random.Random) -> bytes:
    """Return the records with the content of one changed and its checksums right, or with anything changed."""
    if not chosen.randrange(4):
        return change(content)
    records, at = [], 0
    while at + 16 <= len(content):
        size = int.from_bytes(content[at : at + 8], "little")
        records.append(content[at + 12 : at + 12 + size])
        at += 16 + min(size, len(content))
    if not records:
        return change(content)
    number = chosen.randrange(len(records))
    records[number] = change(records[number])
    return b"".join(map(image_sets.record, records))


def _read_records(content: bytes) -> None:
    path = as_file(content, "x.tfrecord")
    with DataFile(path) as file:
        for _, _, location in open_contents(path).images:
            image_of_record(file, location.start, location.length)


def _parquet_seeds() -> Sequence[bytes]:
    image = {"bytes": b"\xff\xd8", "path": f"{_NAME}"}
    told = json.dumps({"info": {"features": {"label": {"names": ["a", "b"], "_type": "ClassLabel"}}}})
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    found = []
    for label, kind in ((1, pa.int64()), ("a", pa.string())):
        schema = pa.schema([("image", struct), ("label", kind)], metadata={"huggingface": told})
        out = io.BytesIO()
        table = pa.Table.from_pylist([{"image": image, "label": label}] * 3, schema=schema)
        pyarrow.parquet.write_table(table, out, row_group_size=2, compression="none")
        found.append(out.getvalue())
    return found


def _read_parquet(content: bytes) -> None:
    path = as_file(content, "x.parquet")
    open_contents(path)
    images = ParquetImages(str(path))
    try:
        for group, row, _, _ in images.rows():
            images.image(group, row)
    finally:
        images.close()


def _read_labels(content: bytes) -> None:
    path = as_file(content, "labels.txt")
    if is_json(path, "labels"):
        read_real(path)
    contents = Contents("a folder")
    for name in (_NAME, "a/b.png", "b.png"):
        contents.add(name, None, Location("file", name, 0, 0))
    labelled(contents, read_label_file(path))


def _label_seeds() -> Sequence[bytes]:
    return [
        f"{_NAME} {_SYNSET}\na/b.png 7\n".encode(),
        f"ImageId,PredictionString\nILSVRC2012_val_00000001,{_SYNSET} 1 2 3 4\n".encode(),
        f'"{_NAME}"\t"tench, Tinca tinca"\n'.encode(),
        "﻿1\r\n2\r\n3\r\n".encode(),
        json.dumps([[1], [2, 3], []]).encode(),
    ]


def _whole(height: int, width: int) -> Window:
    return Window(0, 0, height, width)


def _decode(content: bytes) -> None:
    """Decode an image with every decoder, each a library with its own parsers."""
    refused = 0
    with pixels_allowed(_FEW_PIXELS):
        for decoder in DECODERS:
            try:
                image = decode(content, decoder, _whole)
                assert image.ndim == 3
                assert image.shape[2] == 3
            except DatasetProblem:
                refused += 1
    if refused == len(DECODERS):
        raise DatasetProblem("refused by all decoders")


def _image_seeds() -> Sequence[bytes]:
    picture = pictures.picture(9, 12, 0)
    others = [pictures.saved(picture, kind) for kind in ("GIF", "TIFF", "WEBP", "PPM")]
    return [
        *(
            pictures.file(kind, 9, 12)
            for kind in ("4:2:0", "progressive", "CMYK", "turned", "PNG", "palette PNG", "BMP")
        ),
        *others,
    ]


def _read_pattern(content: bytes) -> None:
    """Take an input as what was typed behind --data: a name, a pattern, a range in braces."""
    text = content.decode("utf-8", "surrogateescape").replace("\0", "")
    try:
        open_contents(str(own_folder() / text.lstrip("/").replace("..", "")))
    except MissingPath as error:
        raise DatasetProblem(str(error)) from error


DATA = [
    Target("image_tar", partial(_data_set, "x.tar"), _tar_seeds, _REFUSALS, mutate_tar),
    Target("tfrecord", _read_records, _record_seeds, _REFUSALS, _mutate_records),
    Target("parquet", _read_parquet, _parquet_seeds, _REFUSALS),
    Target("labels", _read_labels, _label_seeds, _REFUSALS),
    Target("images", _decode, _image_seeds, _REFUSALS),
    Target(
        "data_pattern", _read_pattern, lambda: [b"val-{000000..000003}.tar", b"val-*", b"x-00000-of-00002"], _REFUSALS
    ),
]
