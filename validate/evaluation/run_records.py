"""What a run says of itself: the header that must agree for it to be continued, and the record in its file."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from effconvert.validate.data.classes import IMAGENET
from effconvert.validate.data.dataset import Dataset
from effconvert.validate.evaluation.earlier_runs import SCHEMA as HEADER_SCHEMA
from effconvert.validate.evaluation.journal import Answers
from effconvert.validate.evaluation.settings import Settings
from effconvert.validate.predictions import NO_LABEL, SCHEMA, Predictions
from effconvert.validate.subjects import Subject
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, listing
from effconvert.version import VERSION

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

    But for the images' bytes: each answer has a hash of these, which must be what the image still has.

    decoder: what decodes on the GPU, None where the processor does.
    """
    record = one.record()
    header = {
        "schema": HEADER_SCHEMA,
        "effconvert": VERSION,
        "weights": sorted(record["model"]["sha256"].values()),
        "taken": record["model"]["taken"],
        "root": one.file.identity.sets.roots.get(record["model"]["taken"], ""),
        "tensors": record["model"]["tensors"],
        "facts": record["model"]["facts"],
        "recipe": record["recipe"],
        **dataset.listing,
        "images": hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest(),
        "order": hashlib.sha256(json.dumps(dataset.identity_names).encode()).hexdigest(),
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
        "dataset": _dataset_record(dataset, answers, skipped, settings),
        **more,
    }
    record["run"] = {**record["run"], "finished": datetime.now(UTC).isoformat(timespec="seconds")}
    return Predictions(
        record=record,
        ids=ids,
        names=np.array([dataset.names[number] for number in ids], np.str_),
        labels=dataset.labels[ids],
        hashes=np.ascontiguousarray(answers["hash"]),
        **{name: np.ascontiguousarray(answers[name]) for name in ("top5", "label_logit", "margin", "confidence")},
    )


def _dataset_record(
    dataset: Dataset, answers: Answers, skipped: Mapping[int, str], settings: Settings
) -> dict[str, Any]:
    classes, left_out = dataset.classes, sorted(skipped)
    own = {"class_names": list(classes.names), "class_identifiers": list(classes.identifiers)}
    hashes = dataset.hashes.of(np.array(left_out, np.int64))
    return {
        "path": dataset.path,
        "kind": dataset.kind,
        "classes": dataset.classes.name,
        "images": len(dataset),
        "evaluated": len(answers),
        "missing": dataset.missing,
        "chosen": settings.chosen,
        "imagenet_validation": dataset.imagenet_validation,
        "labels": dataset.label_source,
        "findings": list(dataset.findings),
        "fingerprint": dataset.fingerprint_of(answers["id"].astype(np.int64), answers["hash"]),
        "skipped": {dataset.names[number]: skipped[number] for number in left_out},
        "skipped_hashes": {str(number): row.tobytes().hex() for number, row in zip(left_out, hashes, strict=True)},
        **({"competing": len(np.unique(dataset.labels[dataset.labels != NO_LABEL]))} if settings.only_present else {}),
        **({} if classes.name == IMAGENET else own),
    }
