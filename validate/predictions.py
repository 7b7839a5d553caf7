"""Predictions of one network for every image of a data set, as arrays and as a file."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.atomic import new_file
from effconvert.budget import Budget, guarded
from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.file_kinds import PREDICTIONS, kind_of
from effconvert.formats.npz import NpzArchive
from effconvert.formats.strict_json import parse_json
from effconvert.paths import require_path
from effconvert.shown import Row, Shown
from effconvert.validate.data.image_hashes import HASH_BYTES

SCHEMA = "effconvert/validation/1"
# In place of a class: the background class that some networks have; the end of an image's labels, where other images
# have more; an unused place among the top five of a network with fewer classes.
BACKGROUND, NO_LABEL, NO_CLASS = -1, -2, -3

OWN_LABELS = "own"  # instead of the name of a file of labels

_RECORD = "validation"
_ARRAYS = {
    "ids": (np.int64, 1),
    "names": (np.str_, 1),
    "labels": (np.int32, 2),
    "top5": (np.int32, 2),
    "label_logit": (np.float32, 1),
    "margin": (np.float32, 1),
    "confidence": (np.float32, 1),
}
_HASHES = "hashes"  # missing in old runs
_OF_IMAGES = ("ids", "names", "labels")  # equal in all runs on the same images
# What a run tells of an image cannot be packed into fewer bytes: three logits, and since 2026 a hash of 16 bytes.
_LEAST_BYTES, _LEAST_BYTES_WITH_HASH = 8, 24
_MOST_BYTES_OF_RECORD = 1 << 25
_FEW_IMAGES = 100_000  # may take fewer: they are within the budget of any file
_MOST_CLASSES, _LAST_CHARACTER = 1_000_000, 0x10FFFF
_BYTES_OF_IMAGE = 700  # what reading, judging and comparing take for one, beside its name
_NEEDED = {"model": dict, "recipe": dict, "dataset": dict, "computing": dict, "complete": bool}


@dataclass(frozen=True, repr=False)
class Predictions(Shown):
    """The predictions of one network, images in the data set's order.

    record: model, recipe, data set, and how it was computed, in plain values. ids [N]: the image's index in the whole
    data set. names [N]. labels [N, L]: the correct classes, ended by NO_LABEL. top5 [N, 5]: the classes with the
    largest logits, the largest first, of equal ones the lower class. label_logit [N]: of the first label. margin [N]:
    between the two largest logits. confidence [N]: the largest softmax probability. hashes [N, 16]: `image_hash` of
    each image's bytes; None in an old run without hashes.
    """

    record: Mapping[str, Any]
    ids: NDArray[np.int64] = field(repr=False)
    names: NDArray[np.str_] = field(repr=False)
    labels: NDArray[np.int32] = field(repr=False)
    top5: NDArray[np.int32] = field(repr=False)
    label_logit: NDArray[np.float32] = field(repr=False)
    margin: NDArray[np.float32] = field(repr=False)
    confidence: NDArray[np.float32] = field(repr=False)
    hashes: NDArray[np.uint8] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def line(self) -> str:
        """The network and the number of images, in one line."""
        model, dataset = self.record["model"], self.record["dataset"]
        partly = "" if self.record["complete"] else ", unfinished"
        return f"{model.get('file')}: {len(self):,} images of {dataset.get('path')}{partly}"

    def to_rows(self) -> list[Row]:
        """Return a row for each image; `top1` and `top5` are whether a correct class is among these."""
        columns = {
            "image": self.names,
            "label": self.labels[:, 0],
            "predicted": self.top5[:, 0],
            "confidence": self.confidence,
            "margin": self.margin,
            "top1": self.hits(1),
            "top5": self.hits(5),
        }
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in values]

    def hits(self, count: int) -> NDArray[np.bool_]:
        """Return [N]: whether a correct class is among the first `count` (1 to 5)."""
        found: NDArray[np.bool_] = (self.top5[:, :count, None] == self.labels[:, None, :]).any((1, 2))
        return found


def is_predictions(path: Path) -> bool:
    """Return whether the file at `path` holds predictions, whole or damaged."""
    try:
        with guarded(path), DataFile(path) as file:
            return _RECORD in NpzArchive(file)
    except (ValueError, UnreadableCheckpoint):  # `read_predictions` reports the problem
        return False


def read_predictions(path: str | Path) -> Predictions:
    """Return the predictions in the file at `path`.

    Raises MissingPath; UnreadableCheckpoint for a file that does not hold predictions, is damaged, has a later schema,
    or would take too much memory, which is checked before an array is read.

    Example: `effconvert.validate.read_predictions("effconvert-runs/b0.npz").to_rows()`
    """
    path = require_path(path)
    if (kind := kind_of(path)) and kind != PREDICTIONS:
        raise UnreadableCheckpoint(f"{path}: not predictions but {kind.in_words()}")
    with DataFile(path) as file:
        return predictions_in(file)


def predictions_in(file: DataFile) -> Predictions:
    """Return the predictions in an open file. Raises UnreadableCheckpoint as `read_predictions`."""
    path = file.path
    try:
        with guarded(path):
            arrays = NpzArchive(file)
            _allow_images(arrays, file.budget)
            record = parse_json(arrays.text(_RECORD), file.budget)
            held = [*_ARRAYS, *([_HASHES] if _HASHES in arrays else [])]
            values = {name: arrays.read(name) for name in held}
            problems = _problems(record, values)
    except (ValueError, TypeError) as error:
        words = f"not the predictions of `effconvert validate`: {error or type(error).__name__}"
        raise UnreadableCheckpoint(f"{path}: {words}") from error
    if problems:
        raise UnreadableCheckpoint(f"{path}: {'; '.join(problems)}")
    return Predictions(record, **values)


def sharing_arrays(predictions: Predictions, others: Iterable[Predictions]) -> Predictions:
    """Return the same predictions; if one of `others` is for the same images, their names and labels are kept once."""
    for other in others:
        shared = {name: getattr(other, name) for name in _OF_IMAGES}
        if all(np.array_equal(getattr(predictions, name), array) for name, array in shared.items()):
            return replace(predictions, **shared)
    return predictions


def write_predictions(path: Path, predictions: Predictions, force: bool = False) -> None:
    """Write the predictions to `path`, whole or not at all. Raises OutputProblem."""
    arrays: dict[str, Any] = {name: getattr(predictions, name) for name in _ARRAYS}
    arrays |= {} if predictions.hashes is None else {_HASHES: predictions.hashes}
    arrays[_RECORD] = np.array(json.dumps(predictions.record, sort_keys=True))
    with new_file(path, force) as (file, _):
        np.savez_compressed(file, **arrays)


def _allow_images(arrays: NpzArchive, budget: Budget) -> None:
    """Allow the memory that many images take. Raises ValueError for more images than the file can hold."""
    if arrays.nbytes(_RECORD) > _MOST_BYTES_OF_RECORD:
        words = f"{arrays.nbytes(_RECORD):,} bytes; at most {_MOST_BYTES_OF_RECORD:,} are read"
        raise ValueError(f"its record has {words}")
    shape, _ = arrays.header("ids")
    images = shape[0] if shape else 0
    least = _LEAST_BYTES_WITH_HASH if _HASHES in arrays else _LEAST_BYTES
    if images > max(_FEW_IMAGES, budget.size // least):
        raise ValueError(f"it is for {images:,} images, but {budget.size:,} bytes cannot hold so many")
    if images > _FEW_IMAGES:
        budget.allow(images * _BYTES_OF_IMAGE)


def _problems(record: Any, values: Mapping[str, NDArray[Any]]) -> list[str]:
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else None
        return [f"predictions of schema {found!r}; this version of effconvert reads {SCHEMA!r}"]
    problems = [
        f"$.{name}: must be {kind.__name__}" for name, kind in _NEEDED.items() if not isinstance(record.get(name), kind)
    ]
    count = len(values["ids"]) if values["ids"].ndim else 0
    for name, array in values.items():
        dtype, dimensions = _ARRAYS.get(name, (np.uint8, 2))
        if not np.issubdtype(array.dtype, dtype) or array.ndim != dimensions or len(array) != count:
            problems.append(f"{name} is {array.dtype} {list(array.shape)}, for {count} images")
    if not problems and values["top5"].shape[1] != 5:
        problems.append(f"top5 has {values['top5'].shape[1]} columns, expected 5")
    if not problems and _HASHES in values and values[_HASHES].shape[1] != HASH_BYTES:
        problems.append(f"hashes have {values[_HASHES].shape[1]} bytes, expected {HASH_BYTES}")
    if not problems and len(np.unique(values["ids"])) != count:
        problems.append("ids contains an image twice")
    if not count:
        problems.append("contains no image")
    return problems or list(_impossible(values))


def _impossible(values: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    """Yield values that no run gives and that readers cannot handle: absurd classes, invalid characters."""
    labels, names = values["labels"], values["names"]
    if not labels.shape[1]:
        yield "labels has no columns"
        return
    first = labels[(labels != NO_LABEL).any(1), 0]
    if (labels < NO_LABEL).any() or (labels >= _MOST_CLASSES).any() or (first < 0).any():
        yield f"labels has values that are not classes (0 to {_MOST_CLASSES - 1:,}, ended by {NO_LABEL})"
    if names.dtype.itemsize and (np.ascontiguousarray(names).view(_character(names)) > _LAST_CHARACTER).any():
        yield "names has invalid characters"


def _character(names: NDArray[np.str_]) -> np.dtype[Any]:
    return np.dtype(np.uint32).newbyteorder(names.dtype.byteorder)
