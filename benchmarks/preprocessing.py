"""Benchmark of every recipe against its library's own transform: images per second on one core, from a file's bytes.

The images are 500 x 375 JPEGs (4:2:0, quality 92) with structure at every scale, like photographs, since a decoder's
time depends on it. Both sides of a row are measured in turn, in CPU time, and the median is printed. A library that is
not installed is left out; MindSpore has its own environment, in which this runs too.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}

import argparse
import io
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from photographs import HEIGHT, WIDTH, photograph
from PIL import Image
from tabulate import tabulate

from effconvert.preprocessing.pipeline import pixel_type, pixels, preprocess
from effconvert.preprocessing.recipes import Recipe, recipe_named

sys.path.append(str(Path(__file__).parents[1] / "tests"))

Prepare = Callable[[bytes], Any]
IMAGENET_STD = [0.229, 0.224, 0.225]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    files = [photograph(seed) for seed in range(arguments.images)]
    print(f"{len(files)} JPEGs of {WIDTH} x {HEIGHT}, {sum(map(len, files)) / len(files) / 1000:.0f} kB on average")
    rows = []
    for name, ours, library, make in PEERS:
        recipe = recipe_named(name, "b0")
        try:
            theirs = make(recipe)
        except ImportError:
            continue
        found, peer = rates(
            [lambda data, ours=ours, recipe=recipe: ours(data, recipe), theirs], files, arguments.rounds
        )
        kind = str(pixel_type(recipe)) if ours is pixels else "normalised"
        rows.append([name, kind, found, library, peer, f"{found / peer:.2f} x"])
    print(tabulate(rows, ["recipe", "to", "images / s", "library", "images / s", "ratio"], floatfmt=".0f"))


def rates(ways: list[Prepare], files: list[bytes], rounds: int) -> list[float]:
    """Return images per CPU second for each way, the median of the rounds after the first."""
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds + 1):
        for way, measured in zip(ways, seconds, strict=True):
            begin = time.process_time()
            for data in files:
                way(data)
            measured.append(time.process_time() - begin)
    return [len(files) / median(measured[1:]) for measured in seconds]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def timm(recipe: Recipe, rounded: bool) -> Prepare:
    from helpers.frameworks import torchvision_repair  # noqa: F401

    # isort: split
    from timm.data import create_transform

    options = {"interpolation": "bicubic", "crop_pct": 0.875, "mean": (0.485, 0.456, 0.406), "std": IMAGENET_STD}
    transform = create_transform(recipe.size, is_training=False, use_prefetcher=rounded, **options)
    return lambda data: transform(opened(data))


def torchvision(recipe: Recipe) -> Prepare:
    from helpers.frameworks import torchvision_repair  # noqa: F401

    # isort: split
    from torchvision.models import EfficientNet_B0_Weights

    transform = EfficientNet_B0_Weights.IMAGENET1K_V1.transforms()
    return lambda data: transform(opened(data))


def mmpretrain(recipe: Recipe) -> Prepare:
    from helpers.frameworks import torchvision_repair  # noqa: F401

    # isort: split
    from mmengine.dataset import Compose
    from mmpretrain import get_model
    from mmpretrain.registry import TRANSFORMS

    network = get_model("efficientnet-b0_3rdparty_8xb32-aa_in1k", pretrained=False)
    _, *steps = network._config.test_dataloader.dataset.pipeline  # the first reads a file
    pipeline = Compose([TRANSFORMS.build(step) for step in steps])

    def prepare(data: bytes) -> Any:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return pipeline({"img": image, "img_shape": image.shape[:2], "ori_shape": image.shape[:2]})

    return prepare


def transformers(recipe: Recipe) -> Prepare:
    from helpers.frameworks import torchvision_repair  # noqa: F401

    # isort: split
    from transformers import EfficientNetImageProcessor

    size = {"height": recipe.size, "width": recipe.size}
    processor = EfficientNetImageProcessor(size=size, resample=0, rescale_offset=False)
    return lambda data: processor(opened(data), return_tensors="pt")


def keras(recipe: Recipe) -> Prepare:
    from keras.utils import load_img

    def prepare(data: bytes) -> Any:
        return np.asarray(load_img(io.BytesIO(data), target_size=(recipe.size, recipe.size)))

    return prepare


def tensorflow(recipe: Recipe) -> Prepare:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def prepare(data: Any) -> Any:
        height, width = tf.unstack(tf.image.extract_jpeg_shape(data)[:2])
        share = recipe.size / (recipe.size + recipe.crop_padding)
        side = tf.cast(share * tf.cast(tf.minimum(height, width), tf.float32), tf.int32)
        window = tf.stack([(height - side + 1) // 2, (width - side + 1) // 2, side, side])
        image = tf.image.decode_and_crop_jpeg(data, window, channels=3)
        return tf.compat.v1.image.resize_bicubic([image], [recipe.size, recipe.size])[0]

    return lambda data: prepare(data).numpy()


def mindspore(recipe: Recipe, interpolation: str) -> Prepare:
    from mindspore.dataset import vision

    scale = vision.Inter.BICUBIC if interpolation == "bicubic" else vision.Inter.BILINEAR
    steps = [vision.Decode(), vision.Resize(recipe.shorter_side, scale), vision.CenterCrop(recipe.size)]

    def prepare(data: bytes) -> Any:
        image: Any = np.frombuffer(data, np.uint8)
        for step in steps:
            image = step(image)
        return image

    return prepare


PEERS: list[tuple[str, Callable[..., Any], str, Callable[[Recipe], Prepare]]] = [
    ("timm", pixels, "timm, prefetcher", lambda recipe: timm(recipe, rounded=True)),
    ("timm", preprocess, "timm", lambda recipe: timm(recipe, rounded=False)),
    ("torchvision", preprocess, "torchvision", torchvision),
    ("mmpretrain", pixels, "mmpretrain", mmpretrain),
    ("huggingface", preprocess, "transformers", transformers),
    ("keras", pixels, "Keras load_img", keras),
    ("tf-official", pixels, "TensorFlow", tensorflow),
    ("mindcv", pixels, "MindSpore, bicubic", lambda recipe: mindspore(recipe, "bicubic")),
    ("mindvision", pixels, "MindSpore, bilinear", lambda recipe: mindspore(recipe, "bilinear")),
]

if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
