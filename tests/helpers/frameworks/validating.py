"""Shared helpers of the tests of `effconvert validate`: data sets labelled by a library, the command, its results."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effconvert.cli import main
from effconvert.validate.data.classes import imagenet_classes
from effconvert.validate.predictions import Predictions, read_predictions
from helpers.frameworks.figures import record
from helpers.pictures import random_files

TOLERANCE = 2e-5  # of the largest logit, as everywhere


@dataclass(frozen=True)
class Images:
    """Files of images, each named as a JPEG whatever it is."""

    names: tuple[str, ...]
    data: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.names)


def images(count: int, kinds: list[str]) -> Images:
    """Return `count` images of random sizes, of the kinds in turn."""
    data = tuple(data for _, data in random_files(count, kinds, seed=count))
    return Images(tuple(f"image-{number:03}.JPEG" for number in range(count)), data)


def write_flat(folder: Path, found: Images, labels: Sequence[int]) -> Path:
    """Write the images side by side, and beside them their labels, lines `name label`."""
    folder.mkdir()
    for name, data in zip(found.names, found.data, strict=True):
        (folder / name).write_bytes(data)
    write_labels(folder / "labels.txt", found, labels)
    return folder


def write_labels(path: Path, found: Images, labels: Sequence[int]) -> Path:
    """Write lines `name label`."""
    path.write_text("".join(f"{name} {label}\n" for name, label in zip(found.names, labels, strict=True)))
    return path


def write_class_folders(folder: Path, found: Images, labels: Sequence[int]) -> Path:
    """Write a folder per class, named by its synset."""
    for name, data, label in zip(found.names, found.data, labels, strict=True):
        place = folder / imagenet_classes().identifiers[label]
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return folder


def validated(
    capsys: pytest.CaptureFixture[str], file: Path, data: Path | str, *options: object
) -> tuple[dict[str, Any], Predictions]:
    """Run `effconvert validate`, which must succeed; return its JSON and what it kept, images in the order of names."""
    runs = file.parent / "runs"
    capsys.readouterr()  # libraries talk
    main(["validate", str(file), "--data", str(data), "--json", "--force", f"--runs={runs}", *map(str, options)])
    (result,) = json.loads(capsys.readouterr().out)["results"]
    kept = read_predictions(result["out"])
    order = np.argsort(kept.names)
    arrays = {name: getattr(kept, name)[order] for name in vars(kept) if name != "record"}
    return result, Predictions(kept.record, **arrays)


def hits(result: dict[str, Any]) -> tuple[int, int, int]:
    """Return of how many images the first class is right, one of the first five, and of how many in all."""
    accuracy = result["accuracy"]
    return accuracy["top1"]["hits"], accuracy["top5"]["hits"], accuracy["top1"]["images"]


def five_first(logits: np.ndarray) -> np.ndarray:
    """Return [N, 5] the outputs with the largest of `logits` [N, outputs], the largest first."""
    return np.argsort(-logits, axis=1, kind="stable")[:, :5]


def assert_clear(case: str, logits: np.ndarray) -> np.ndarray:
    """Return [N] where all of the first six of `logits` [N, outputs] are further apart than rounding could bring them.

    Asserts that the first two are everywhere, all six almost everywhere, and that the images matter.
    """
    largest = -np.sort(-logits.astype(np.float64), axis=1)[:, :6]
    gaps = (largest[:, :-1] - largest[:, 1:]) / np.abs(logits).max()
    classes, margin, clear = len(set(logits.argmax(1).tolist())), float(gaps[:, 0].min()), gaps.min(1) > TOLERANCE
    assert record(case, "classes that come first", classes, f">= {len(logits) // 4}") >= len(logits) // 4
    assert record(case, "smallest margin / largest logit", margin, f"> {TOLERANCE:.0e}") > TOLERANCE
    assert (
        record(case, "images with a nearer pair among six", (~clear).sum(), f"<= {len(logits) // 10}")
        <= len(logits) // 10
    )
    return clear


def assert_same_answers(case: str, found: Predictions, logits: np.ndarray, first_class: int = 0) -> None:
    """Assert that every image was answered as `logits` [N, outputs] of the library say, images in the order of names.

    first_class: the output that is class 0.
    """
    clear, reference = assert_clear(case, logits), logits.astype(np.float64)
    theirs, rows = five_first(logits), np.arange(len(logits))
    assert np.array_equal(found.top5[:, 0], theirs[:, 0] - first_class)
    assert np.array_equal(found.top5[clear], theirs[clear] - first_class)
    largest, scale = -np.sort(-reference, axis=1), np.abs(reference).max()
    expected = {
        "margin": largest[:, 0] - largest[:, 1],
        "label_logit": reference[rows, found.labels[:, 0] + first_class],
    }
    for name, values in expected.items():
        error = float(np.abs(getattr(found, name) - values).max() / scale)
        assert record(case, f"{name} / largest logit", error, f"<= {TOLERANCE:.0e}") <= TOLERANCE
    confidence = 1 / np.exp(reference - largest[:, :1]).sum(1)
    error, bound = float(np.abs(found.confidence / confidence - 1).max()), 2 * TOLERANCE * scale
    assert record(case, "confidence, relative", error, f"<= {bound:.0e}") <= bound
