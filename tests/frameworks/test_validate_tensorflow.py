"""`effconvert validate` gives TensorFlow's own results: its checkpoint, images in its records, its operations."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from effconvert.cli import main
from helpers.deep import deep_but
from helpers.frameworks.calibrated_checkpoint import calibrated_state, write_checkpoint
from helpers.frameworks.tensorflow_network import official_network
from helpers.frameworks.validating import (
    Images,
    assert_same_answers,
    hits,
    images,
    validated,
    write_flat,
    write_labels,
)
from helpers.pictures import JPEGS

IMAGES = images(65, JPEGS)
# What tensorflow/tpu evaluates with: size, mean and deviation of pixels, resize; models/official/efficientnet,
# preprocessing.py, efficientnet_builder.py, lite/efficientnet_lite_builder.py, edgetpu/efficientnet_edgetpu_builder.py.
IMAGENET = [0.485 * 255, 0.456 * 255, 0.406 * 255], [0.229 * 255, 0.224 * 255, 0.225 * 255]
HALF = [127.0] * 3, [128.0] * 3
PIPELINES = {
    "efficientnet-b0": (224, *IMAGENET, tf.compat.v1.image.resize_bicubic),
    "efficientnet-lite0": (224, *HALF, tf.compat.v1.image.resize_bilinear),
    "efficientnet-edgetpu-S": (224, *HALF, tf.compat.v1.image.resize_bicubic),
}
PADDING = 32


@dataclass(frozen=True)
class Official:
    """A checkpoint as training leaves it, converted, and what TensorFlow answers with its averages: [N, outputs]."""

    file: Path
    logits: np.ndarray

    @property
    def first_class(self) -> int:
        """EdgeTPU's networks have a background class before the others."""
        return self.logits.shape[1] - 1000

    @property
    def labels(self) -> list[int]:
        """The class that TensorFlow finds in each image; the background is none."""
        return self.logits[:, self.first_class :].argmax(1).tolist()


def prepared(model: str, data: bytes) -> np.ndarray:
    """Return the image as the official evaluation gives it to the network, [3, H, W]."""
    size, mean, deviation, resize = PIPELINES[model]
    height, width = tf.unstack(tf.image.extract_jpeg_shape(data)[:2])
    side = tf.cast((size / (size + PADDING)) * tf.cast(tf.minimum(height, width), tf.float32), tf.int32)
    window = tf.stack([((height - side) + 1) // 2, ((width - side) + 1) // 2, side, side])
    image = resize([tf.image.decode_and_crop_jpeg(data, window, channels=3)], [size, size])[0]
    return ((image - tf.constant(mean)) / tf.constant(deviation)).numpy().transpose(2, 0, 1)


def answered(folder: Path, model: str, found: Images) -> np.ndarray:
    network = official_network(folder / "model.ckpt", model)
    batch = np.stack([prepared(model, data) for data in found.data])
    return np.concatenate([network(batch[start : start + 16])["logits"] for start in range(0, len(batch), 16)])


def converted(folder: Path, model: str) -> Official:
    """Write raw weights and averages that differ, let TensorFlow answer with the averages, and convert them."""
    variant = model.removeprefix("efficientnet-").lower()
    averages = calibrated_state(variant, (224, 224), 5)
    raw = {name: value * np.float32(1.2) for name, value in averages.items()}
    first = write_checkpoint(folder / "first", model, averages, raw)
    logits = answered(first, model, images(13, JPEGS))
    averages["head.fc.bias"] -= logits.mean(0)  # or a few classes come first everywhere
    if logits.shape[1] == 1001:  # the background comes first here and there
        logits -= logits.mean(0)
        averages["head.fc.bias"][0] += np.quantile(logits.max(1) - logits[:, 0], 0.1)
    checkpoint = write_checkpoint(folder / model, model, averages, raw)
    file = folder / f"{variant}.safetensors"
    main(["tf2pt", "--checkpoint", str(checkpoint), "--out", str(file), "--quiet"])
    return Official(file, answered(checkpoint, model, IMAGES))


def write_shards(folder: Path, labels: list[int]) -> Path:
    """Write TFRecord shards with the features that the official evaluation reads, labels from 1."""
    folder.mkdir()
    for shard in range(3):
        with tf.io.TFRecordWriter(str(folder / f"validation-{shard:05}-of-00003")) as writer:
            for place in range(shard, len(IMAGES), 3):
                feature = {
                    "image/encoded": bytes_feature(IMAGES.data[place]),
                    "image/filename": bytes_feature(IMAGES.names[place].encode()),
                    "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[labels[place] + 1])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return folder


def bytes_feature(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


@pytest.mark.parametrize("model", deep_but(PIPELINES, lambda model: model == "efficientnet-b0"))
def test_every_image_is_answered_as_tensorflow_answers_it(capsys, tmp_path, model):
    official = converted(tmp_path, model)
    result, found = validated(capsys, official.file, write_shards(tmp_path / "val", official.labels))
    assert_same_answers(f"TensorFlow {model}", found, official.logits, official.first_class)
    background = int((official.logits.argmax(1) < official.first_class).sum())
    assert bool(background) == bool(official.first_class)
    assert hits(result) == (len(IMAGES) - background, len(IMAGES), len(IMAGES))


def test_a_folder_gives_the_same_and_accuracy_is_the_share_of_right_labels(capsys, tmp_path):
    official = converted(tmp_path, "efficientnet-lite0")
    flat = write_flat(tmp_path / "flat", IMAGES, official.labels)
    result, found = validated(capsys, official.file, flat)
    assert_same_answers("TensorFlow, a folder", found, official.logits)
    assert hits(result) == (len(IMAGES), len(IMAGES), len(IMAGES))
    order = np.argsort(-official.logits, axis=1)
    places = [(0, 0, 2, 0, 999)[number % 5] for number in range(len(IMAGES))]
    wrong = write_labels(tmp_path / "wrong.txt", IMAGES, order[np.arange(len(IMAGES)), places].tolist())
    result, _ = validated(capsys, official.file, flat, "--labels", wrong)
    assert hits(result) == (len(IMAGES) * 3 // 5, len(IMAGES) * 4 // 5, len(IMAGES))
