"""One data set gives the same predictions in every container that the real libraries write, in every mode."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
import torch
import webdataset

from effconvert.model.calibration import synthetic_images
from effconvert.validate.data.classes import imagenet_rows
from effconvert.validate.predictions import Predictions
from helpers import image_sets
from helpers.frameworks.figures import record
from helpers.frameworks.torch_libraries import calibrated
from helpers.frameworks.validating import TOLERANCE, hits, validated

IMAGES = image_sets.samples(each=9)
COMPUTED = ("top5", "label_logit", "margin", "confidence")


def written_by_webdataset(path: Path) -> str:
    path.mkdir()
    with webdataset.ShardWriter(str(path / "val-%06d.tar"), maxcount=20, verbose=0) as writer:
        for image in IMAGES:
            writer.write({"__key__": image.name.removesuffix(".JPEG"), "jpg": image.data, "cls": image.index})
    return str(path / "val-{000000..000002}.tar")


def written_by_pyarrow(path: Path) -> Path:
    """A file as the hub has it."""
    path.mkdir()
    label = {"names": [row["lemmas"] for row in imagenet_rows()], "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, "label": label}
    rows = [
        {"image": {"bytes": image.data, "path": image.name}, "label": image.index}
        for image in reversed(IMAGES)  # in an order of its own, as shards may be
    ]
    table = pa.Table.from_pylist(rows).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pyarrow.parquet.write_table(table, path / "validation-00000-of-00001.parquet", row_group_size=7)
    return path


def written_by_tensorflow(path: Path) -> Path:
    """Shards with the features that the official evaluation reads."""
    path.mkdir()
    for shard in range(3):
        with tf.io.TFRecordWriter(str(path / f"validation-{shard:05}-of-00003")) as writer:
            for image in IMAGES[shard::3]:
                feature = {
                    "image/encoded": _bytes(image.data),
                    "image/filename": _bytes(image.name.encode()),
                    "image/class/synset": _bytes(image.synset.encode()),
                    "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[image.index + 1])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return path


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


WRITERS: dict[str, Callable[[Path], Path | str]] = {
    "class folders": lambda path: image_sets.write_class_folders(path, IMAGES),
    "flat folder": lambda path: image_sets.write_flat_folder(path, IMAGES),
    "tar": lambda path: image_sets.write_tar(path, IMAGES),
    "webdataset": written_by_webdataset,
    "parquet": written_by_pyarrow,
    "tfrecord": written_by_tensorflow,
}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A file of the canonical network; its own classes come first in some images, so that accuracies mean something."""
    path = tmp_path_factory.mktemp("network") / "b0.pth"
    canonical = calibrated("b0", (64, 64))
    with torch.no_grad():
        canonical.head.fc.bias -= canonical(synthetic_images(8, 64, 64, seed=11)).mean(0)
        canonical.head.fc.bias[list(image_sets.CLASSES)] += 3
    torch.save(canonical.state_dict(), path)
    return path


def evaluated(capsys, network, data, *options):
    """Evaluate at 64 pixels, and return the hits and the answers."""
    result, found = validated(capsys, network, data, "--partial", "--size", "64", *options)
    return hits(result), found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return WRITERS["class folders"](tmp_path_factory.mktemp("data") / "val")


@pytest.mark.parametrize("container", WRITERS)
def test_every_container_gives_the_same_answers(capsys, network, folder, tmp_path, container):
    """Bit for bit where each image is computed alone; else its place among others decides about the last bits."""
    data = WRITERS[container](tmp_path / "data")
    for options, same in ((("--batch-size", "1"), identical), ((), equal_but_for_rounding)):
        right, reference = evaluated(capsys, network, folder, *options)
        assert 0 < right[0] < right[1] < right[2] == len(IMAGES)
        found_right, found = evaluated(capsys, network, data, *options)
        assert found_right == right
        assert found.record["dataset"]["fingerprint"] == reference.record["dataset"]["fingerprint"]
        same(container, found, reference)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_workers_change_no_bit_and_batches_only_the_last(capsys, network, folder, batch):
    right, reference = evaluated(capsys, network, folder, "--workers", "0")
    alone, *others = (
        evaluated(capsys, network, folder, "--workers", workers, "--batch-size", batch) for workers in (0, 1, 3)
    )
    equal_but_for_rounding(f"batches of {batch}", alone[1], reference)
    for found_right, found in (alone, *others):
        assert found_right == right
        identical("workers", found, alone[1])


def identical(case: str, found: Predictions, reference: Predictions) -> None:
    for name in ("names", "labels", *COMPUTED):
        assert np.array_equal(getattr(found, name), getattr(reference, name)), (case, name)


def equal_but_for_rounding(case: str, found: Predictions, reference: Predictions) -> None:
    """Assert that integers are the same and the logits within a quarter of what is allowed between frameworks."""
    for name in ("names", "labels", "top5"):
        assert np.array_equal(getattr(found, name), getattr(reference, name)), (case, name)
    largest = np.abs(reference.label_logit).max()
    for name in ("label_logit", "margin", "confidence"):
        error = float(np.abs(getattr(found, name) - getattr(reference, name)).max() / largest)
        assert record(f"containers, {case}", name, error, f"<= {TOLERANCE / 4:.0e}") <= TOLERANCE / 4
