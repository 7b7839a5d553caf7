"""Predictions made by code: for a few images, or for all of ImageNet's validation set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from effconvert.preprocessing.recipes import recipe_for
from effconvert.validate.accuracy.matching import stems
from effconvert.validate.data.image_hashes import HASH_BYTES, Hashes, image_hash
from effconvert.validate.predictions import NO_LABEL, SCHEMA, Predictions


def record(
    variant: str = "b0",
    weights: str | None = "aa",
    layout: str = "tf-official",
    *,
    model: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    dataset: Mapping[str, Any] | None = None,
    computing: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a record of an official B0 on ImageNet's validation set, prepared as its library does, with changes."""
    own = recipe_for(layout, variant, weights).to_dict() if recipe is None else dict(recipe)
    return {
        "schema": SCHEMA,
        "complete": True,
        "model": {"file": "b0.safetensors", "variant": variant, "weights": weights, "layout": layout}
        | dict(model or {}),
        "recipe": own,
        "dataset": {"classes": "imagenet-1k", "imagenet_validation": True, "labels": "own"} | dict(dataset or {}),
        "computing": {"device": "cpu", "dtype": "float32"} | dict(computing or {}),
        "cautions": [],
        "run": {},
    }


def predictions(
    top1: Sequence[int],
    labels: Sequence[Sequence[int]],
    *,
    names: Sequence[str] = (),
    margin: Sequence[float] = (),
    confidence: Sequence[float] = (),
    label_logit: Sequence[float] = (),
    hashes: Any = None,
    said: Mapping[str, Any] | None = None,
) -> Predictions:
    """Return predictions with these first classes; the other four of each image are 900 and up.

    labels: the right classes of each image, as many as it has. hashes: [N, 16], in place of those of the names.
    """
    count = len(top1)
    called = names or [f"ILSVRC2012_val_{place + 1:08}" for place in range(count)]
    width = max((len(row) for row in labels), default=1) or 1
    padded = [[*row, *[NO_LABEL] * (width - len(row))] for row in labels]
    return Predictions(
        record=dict(said or record()),
        ids=np.arange(count),
        names=np.array(called),
        labels=np.array(padded, np.int32).reshape(count, width),
        top5=np.column_stack([np.array(top1, np.int32), np.tile(np.arange(900, 904, dtype=np.int32), (count, 1))]),
        label_logit=np.array(label_logit or [1.0] * count, np.float32),
        margin=np.array(margin or [1.0] * count, np.float32),
        confidence=np.array(confidence or [0.5] * count, np.float32),
        hashes=hashes_of(called) if hashes is None else np.asarray(hashes, np.uint8),
    )


def hashes_of(names: Sequence[str]) -> Hashes:
    """Return the hashes of images whose bytes are their names, without folders and suffixes."""
    found = b"".join(image_hash(stem.encode("utf-8", "surrogatepass")) for stem in stems(names))
    return np.frombuffer(found, np.uint8).reshape(-1, HASH_BYTES)


def scored(hits: int, images: int, hits5: int = 0, **said: Any) -> Predictions:
    """Return predictions of which `hits` are right, and `hits5` or as many are among the first five."""
    labels = np.full((images, 1), 1, np.int32)
    top5 = np.tile(np.arange(10, 15, dtype=np.int32), (images, 1))
    top5[:hits, 0] = 1
    top5[hits : max(hits, hits5), 4] = 1
    numbers = np.full(images, 0.5, np.float32)
    names = np.array([f"ILSVRC2012_val_{place + 1:08}" for place in range(images)])
    found = hashes_of(names.tolist())
    return Predictions(record(**said), np.arange(images), names, labels, top5, numbers, numbers, numbers, found)
