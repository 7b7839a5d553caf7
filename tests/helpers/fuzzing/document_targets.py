"""Targets: the readers of what effconvert and its users write: maps, runs, predictions, results, journals, notes."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from effconvert.errors import BadMap, MissingPath, OutputProblem, UnreadableCheckpoint
from effconvert.hub.cache import _read_record
from effconvert.hub.downloads import _Part
from effconvert.maps.layouts import parse_layout
from effconvert.report.given_files import read_inputs
from effconvert.validate.evaluation.journal import ANSWER, begin_journal, read_journal
from effconvert.validate.predictions import Predictions, read_predictions, write_predictions
from effconvert.verification.runs import open_run
from helpers.fuzzing import zips
from helpers.fuzzing.target import Target, as_file, made, own_folder
from helpers.maps.user_maps import MINE
from helpers.report import made_inputs
from helpers.validate.made_predictions import predictions
from helpers.verification.small_runs import values, write_run

_URL = "https://example.org/b0.tar.gz"


def _read_map(content: bytes) -> None:
    parse_layout(content, "a map", own_folder())


def _map_seeds() -> Sequence[bytes]:
    facts = '[facts.lite0]\npadding = "tf-same"\n'
    series = MINE.replace(
        "[layers]", '[series]\npart = ["conv", "conv_{n}"]\n[axes]\nturned = "HWIO -> OIHW"\n[layers]'
    ).replace('"first.conv"', '"first.<part>"')
    axes = series.replace("[layers]", '[kinds]\nown = { w = "weight : turned" }\n[layers]').replace(
        '"conv",   "first', '"own", "first'
    )
    fill = (
        MINE
        + '[fill]\nstep = { dtype = "int64", value = 0, reason = "counter" }\n[ignore]\n"optimizer" = ["m", "*/v"]\n'
    )
    return [text.encode() for text in (MINE, MINE.replace("[layers]", f"{facts}[layers]"), axes, fill)]


def _read_run(content: bytes) -> None:
    with open_run(as_file(content, "run.npz")) as run:
        for layer in run.layers:
            run.layer(layer)


def _run_seeds() -> Sequence[bytes]:
    small = {name: array[:, :2, :1, :1] if array.ndim == 4 else array for name, array in values().items()}
    images = np.ones((2, 3, 1, 1), np.float32)
    return [made(write_run, layers, images=images) for layers in (small, {"logits": small["logits"]})]


def _prediction_seeds() -> Sequence[bytes]:
    return [made(_written, one) for one in (predictions([1, 2], [[1], [3, 4]]), predictions([5], [[5]]))]


def _written(path: Path, what: Predictions) -> Path:
    write_predictions(path, what)
    return path


def _read_report(name: str, content: bytes) -> None:
    try:
        read_inputs([as_file(content, name)])
    except MissingPath as error:
        raise UnreadableCheckpoint(str(error)) from error


def _reported_run_seeds() -> Sequence[bytes]:
    record = made_inputs.run_record(dataset={"evaluated": 2, "images": 2, "imagenet_validation": False})
    return [made(_written, predictions([1, 2], [[1], [3]], said=record))]


def _verification_seeds() -> Sequence[bytes]:
    return [json.dumps(made_inputs.verification()).encode()]


def _read_journal(content: bytes) -> None:
    read_journal(as_file(content, "x.npz.part-0"))


def _journal_seeds() -> Sequence[bytes]:
    answers = np.zeros(2, ANSWER)
    path = own_folder() / "journal"
    begin_journal(path, {"schema": "effconvert/journal/1", "images": 2}, answers)
    return [path.read_bytes()]


def _read_cache_record(content: bytes) -> None:
    _read_record(as_file(content, "download.json"))


def _record_seeds() -> Sequence[bytes]:
    record = {
        "url": _URL,
        "size": 3,
        "sha256": "0" * 64,
        "folder": "checkpoint/b0",
        "files": {"checkpoint/b0/x.index": [3, "0" * 64]},
    }
    return [json.dumps(record).encode()]


def _read_download(content: bytes) -> None:
    """Take an input as the notes of an unfinished download."""
    as_file(b"abc", "b0.tar.gz.part")
    as_file(content, "b0.tar.gz.part.json")
    part = _Part(_URL, own_folder() / "b0.tar.gz")
    assert part.is_whole() in (True, False)
    {"If-Range": part.validator or ""}["If-Range"].encode("latin-1", "replace")


DOCUMENTS = [
    Target("map", _read_map, _map_seeds, (BadMap,)),
    Target("run", _read_run, _run_seeds, mutate=zips.mutate_zip()),
    Target(
        "predictions",
        lambda content: read_predictions(as_file(content, "x.npz")),
        _prediction_seeds,
        mutate=zips.mutate_zip(stored=False),
    ),
    Target("reported_run", partial(_read_report, "x.npz"), _reported_run_seeds, mutate=zips.mutate_zip(stored=False)),
    Target("verification", partial(_read_report, "x.json"), _verification_seeds),
    Target("journal", _read_journal, _journal_seeds, (OutputProblem,)),
    Target("cache_record", _read_cache_record, _record_seeds),
    Target(
        "download_notes",
        _read_download,
        lambda: [json.dumps({"url": _URL, "validator": '"x"', "total": 3, "md5": None}).encode()],
    ),
]
