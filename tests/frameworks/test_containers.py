"""Containers that the real libraries write: webdataset, datasets' Parquet as pyarrow writes it, TensorFlow's records."""

import json
from pathlib import Path

import pytest

from effconvert.validate.data.dataset import Dataset, open_dataset
from effconvert.validate.data.image_bytes import read_image
from helpers import image_sets
from helpers.frameworks import torchvision_repair  # noqa: F401 - before torchvision, which timm imports

IMAGES = image_sets.samples()


def contents(dataset: Dataset) -> list[tuple[str, int, bytes]]:
    return sorted(
        (name, int(label), read_image(location))
        for name, label, location in zip(dataset.names, dataset.labels[:, 0], dataset.locations, strict=True)
    )


EXPECTED = sorted((image.name, image.index, image.data) for image in IMAGES)


@pytest.mark.parametrize("label", ["cls", "json"])
def test_shards_of_webdatasets_shard_writer(label: str, tmp_path: Path) -> None:
    import webdataset

    with webdataset.ShardWriter(str(tmp_path / "val-%06d.tar"), maxcount=10, verbose=0) as writer:
        for image in IMAGES:
            about = {"cls": image.index, "json": {"label": image.index, "filename": image.name}}[label]
            writer.write({"__key__": image.name.removesuffix(".JPEG"), "jpg": image.data, label: about})
    dataset = open_dataset(str(tmp_path / "val-{000000..000002}.tar"), partial=True)
    assert dataset.kind == "3 WebDataset shards"
    assert contents(dataset) == EXPECTED


def test_webdataset_reads_the_same_images_with_the_same_labels(tmp_path: Path) -> None:
    import webdataset

    image_sets.write_webdataset(tmp_path, IMAGES)
    found = [
        (f"{sample['__key__']}.JPEG", int(sample["cls"]), sample["jpg"])
        for path in sorted(tmp_path.iterdir())
        for sample in webdataset.WebDataset(str(path), shardshuffle=False)
    ]
    assert sorted(found) == EXPECTED


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_parquet_with_the_metadata_of_datasets(compression: str, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    names = [row["lemmas"] for row in image_sets.imagenet_rows()]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    struct = pa.StructArray.from_arrays(
        [
            pa.array([image.data for image in IMAGES], pa.binary()),
            pa.array([f"{image.name[:-5]}_{image.synset}.JPEG" for image in IMAGES]),
        ],
        ["bytes", "path"],
    )
    table = pa.table({"image": struct, "label": pa.array([image.index for image in IMAGES], pa.int64())})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pyarrow.parquet.write_table(
        table, tmp_path / "validation-00000-of-00001.parquet", row_group_size=7, compression=compression
    )
    assert contents(open_dataset(tmp_path, partial=True)) == EXPECTED


@pytest.mark.parametrize("kind", ["official", "without synset", "tensorflow datasets"])
def test_records_of_tensorflows_writer(kind: str, tmp_path: Path) -> None:
    import tensorflow as tf

    def feature(value: bytes | int | float) -> object:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))

    def features(image: image_sets.Sample) -> dict[str, bytes | int | float]:
        if kind == "tensorflow datasets":
            return {"image": image.data, "label": image.index, "file_name": image.name.encode()}
        official: dict[str, bytes | int | float] = {
            "image/height": 100,
            "image/colorspace": b"RGB",
            "image/class/label": image.index + 1,
            "image/class/synset": image.synset.encode(),
            "image/class/text": b"t" * 10_000,
            "image/object/bbox/xmin": 0.5,
            "image/filename": image.name.encode(),
            "image/encoded": image.data,
        }
        if kind == "without synset":
            del official["image/class/synset"]
        return official

    for shard in range(3):
        with tf.io.TFRecordWriter(str(tmp_path / f"validation-{shard:05}-of-00003")) as writer:
            for image in IMAGES[shard::3]:
                example = {name: feature(value) for name, value in features(image).items()}
                writer.write(tf.train.Example(features=tf.train.Features(feature=example)).SerializeToString())
    dataset = open_dataset(tmp_path, partial=True)
    assert dataset.kind == "3 TFRecord shards"
    assert contents(dataset) == EXPECTED


def test_tensorflow_reads_the_records_that_the_other_tests_write(tmp_path: Path) -> None:
    import tensorflow as tf

    image_sets.write_tfrecords(tmp_path, IMAGES)
    found = []
    for record in tf.data.TFRecordDataset(sorted(map(str, tmp_path.iterdir()))):
        values = tf.train.Example.FromString(record.numpy()).features.feature
        name, data = (values[key].bytes_list.value[0] for key in ("image/filename", "image/encoded"))
        found.append((name.decode(), values["image/class/label"].int64_list.value[0] - 1, data))
    assert sorted(found) == EXPECTED


def test_the_classes_are_those_of_the_libraries() -> None:
    import timm.data
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    from effconvert.validate.data.classes import imagenet_classes

    info = timm.data.ImageNetInfo()
    assert imagenet_classes().identifiers == tuple(info.label_names())
    assert imagenet_classes().names == tuple(_IMAGENET_CATEGORIES)


def test_imagenet_real_is_read_as_timm_ships_it(tmp_path: Path) -> None:
    import timm.data

    from effconvert.validate.data.imagenet import validation_labels

    labels = Path(timm.data.__file__).parent / "_info" / "imagenet_real_labels.json"
    real = json.loads(labels.read_text())
    dataset = open_dataset(image_sets.write_tar(tmp_path, IMAGES), labels=labels, partial=True)
    for name, row in zip(dataset.names, dataset.labels, strict=True):
        assert [label for label in row if label >= 0] == real[int(name[15:23]) - 1]
    agreeing = [int(own) in row for own, row in zip(validation_labels(), real, strict=True) if row]
    assert 0.85 < sum(agreeing) / len(agreeing) < 0.95  # the paper says that about nine tenths of the labels hold
