"""What a run says of itself: the header that must agree for it to be continued, and the record in its file."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from effconvert.validate.data.classes import IMAGENET
from effconvert.validate.data.dataset import Dataset
from effconvert.validate.evaluation.journal import Answers
from effconvert.validate.evaluation.settings import Settings
from effconvert.validate.predictions import SCHEMA, Predictions
from effconvert.validate.subjects import Subject
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, listing

if TYPE_CHECKING:
    from effconvert.validate.evaluation.computing import Computing


def header_of(
    one: Subject,
    dataset: Dataset,
    ids: NDArray[np.int64],
    settings: Settings,
    computing: "Computing",
    decoder: str | None = None,
) -> dict[str, Any]:
    """Return what decides the answers of a run, in plain values: two runs that agree in it may be joined.

    decoder: what decodes on the GPU, None where the processor does.
    """
    record = one.record()
    header = {
        "schema": "effconvert/journal/1",
        "weights": sorted(record["model"]["sha256"].values()),
        "taken": record["model"]["taken"],
        "root": one.file.identity.sets.roots.get(record["model"]["taken"], ""),
        "facts": record["model"]["facts"],
        "recipe": record["recipe"],
        "data": dataset.fingerprint,
        "images": hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest(),
        "order": hashlib.sha256("\n".join(dataset.names).encode()).hexdigest(),
        "pipeline": settings.pipeline,
        "decoder": decoder,
        "device": computing.device.partition(":")[0],
        "dtype": computing.dtype,
        "compiled": computing.compiled,
        "only_present": settings.only_present,
    }
    plain: dict[str, Any] = json.loads(json.dumps(header))  # as it comes back from a file
    return plain


def predictions_of(
    one: Subject,
    dataset: Dataset,
    answers: Answers,
    skipped: Mapping[int, str],
    settings: Settings,
    more: Mapping[str, Any],
) -> Predictions:
    """Return the predictions that `answers`, each image once, amount to. more: what else the record says.

    Raises DatasetProblem when there is no answer.
    """
    if not len(answers):
        broken = [f"{dataset.names[number]}: {words}" for number, words in sorted(skipped.items())]
        raise DatasetProblem(listing(f"{dataset.path}: no image could be evaluated:", broken))
    ids = answers["id"].astype(np.int64)
    record = one.record() | {
        "schema": SCHEMA,
        "complete": True,
        "dataset": _dataset_record(dataset, len(ids), skipped, settings.chosen),
        **more,
    }
    record["run"] = {**record["run"], "finished": datetime.now(UTC).isoformat(timespec="seconds")}
    return Predictions(
        record=record,
        ids=ids,
        names=np.array([dataset.names[number] for number in ids], np.str_),
        labels=dataset.labels[ids],
        **{name: np.ascontiguousarray(answers[name]) for name in ("top5", "label_logit", "margin", "confidence")},
    )


def _dataset_record(dataset: Dataset, evaluated: int, skipped: Mapping[int, str], chosen: str) -> dict[str, Any]:
    own = {} if dataset.classes.name == IMAGENET else {"class_names": list(dataset.classes.names)}
    return {
        "path": dataset.path,
        "kind": dataset.kind,
        "classes": dataset.classes.name,
        "images": len(dataset),
        "evaluated": evaluated,
        "missing": dataset.missing,
        "chosen": chosen,
        "imagenet_validation": dataset.imagenet_validation,
        "labels": dataset.label_source,
        "findings": list(dataset.findings),
        "fingerprint": dataset.fingerprint,
        "skipped": {dataset.names[number]: words for number, words in sorted(skipped.items())},
        **own,
    }
