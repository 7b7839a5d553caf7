"""Comparison of an earlier run with the requested one: by header, and by the bytes of its images."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import OutputProblem, UnreadableCheckpoint
from effconvert.option_words import option
from effconvert.validate.data.image_hashes import HASH_BYTES, Hashes
from effconvert.validate.engines.names import TORCH
from effconvert.validate.evaluation.journal import read_journal
from effconvert.validate.predictions import Predictions, read_predictions

# From ids in the data set and a run's hashes of them to the name of an image that has changed since, or "".
OtherImage = Callable[[NDArray[np.int64], Hashes], str]

SCHEMA = "effconvert/journal/2"
# The entries of a header in words, in the order of messages. _FOLLOWS: entries that differ only because another does.
_WORDS = {
    "weights": "weights",
    "taken": "weights (averages or raw)",
    "root": "weights (another network of the file)",
    "tensors": "weights (other tensors of the file)",
    "facts": "facts of the network",
    "recipe": "preprocessing",
    "classes": "classes, or these in another order",
    "names": "names of images",
    "labels": "labels",
    "order": "order of the images",
    "images": "choice of images",
    "pipeline": "pipeline",
    "decoder": "decoder",
    "device": "device",
    "dtype": "dtype",
    "compiled": "execution (compiled or not)",
    "engine": "engine",
    "only_present": "choice of classes",
    "effconvert": "version of effconvert",
}
_FOLLOWS = {"classes": {"labels"}, "names": {"labels", "order", "images"}, "order": {"images"}, "weights": {"tensors"}}


def same_header(found: Mapping[str, Any], header: Mapping[str, Any]) -> bool:
    """Return whether a run with the header `found` is the one with `header`, apart from the images' bytes."""
    return not _other_entries(found, header)


def engine_of(header: Mapping[str, Any]) -> str:
    """Return the engine of a run; before there were several it was torch."""
    return str(header.get("engine", TORCH))


def _other_entries(found: Mapping[str, Any], header: Mapping[str, Any]) -> list[str]:
    whole = {**found, "engine": engine_of(found)}
    return [name for name in header if whole.get(name) != header[name]]


def difference_of_journals(
    journals: Sequence[Path], header: Mapping[str, Any], force: bool, other_image: OtherImage
) -> str:
    """Return why the unfinished run in `journals` is not the one with `header`, "" if it is.

    With `force` a damaged journal counts as the same run, to be replaced; without, it raises OutputProblem.
    """
    try:
        read = [read_journal(path) for path in journals]
    except OutputProblem:
        if force:
            return ""
        raise
    if words := _difference(read[0][0], header):
        return words
    mine = [answers for found, answers in read if same_header(found, header)]
    answers = np.concatenate(mine)
    return _other(other_image(answers["id"], answers["hash"]))


def difference_of_run(out: Path, header: Mapping[str, Any], other_image: OtherImage) -> str:
    """Return why the file at `out` is not the finished run with `header`, "" if it is."""
    try:
        run = read_predictions(out)
    except UnreadableCheckpoint:
        return "it cannot be read as a run"
    if words := _difference(run.record.get("settings", {}), header):
        return words
    if run.hashes is None:
        return "it has no hashes of its images"
    return _other(other_image(*_hashes_of(run, run.hashes)))


def _difference(found: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    if same_header(found, header):
        return ""
    if found.get("schema") != header.get("schema"):
        return "it has no hashes of its images, so it is unknown whether it is of these images"
    other = _other_entries(found, header)
    implied = {name for each in other for name in _FOLLOWS.get(each, ())}
    told = [_WORDS.get(name, name) for name in (*_WORDS, *(set(other) - set(_WORDS))) if name in other]
    short = [_WORDS.get(name, name) for name in _WORDS if name in other and name not in implied]
    if (short or told) == ["engine"]:
        return (
            f"other engine ({engine_of(found)}, not {header['engine']}; {option('engine', engine_of(found))} takes it)"
        )
    return f"other {', '.join(short or told)}"


def _other(name: str) -> str:
    return f"other images ({name} has other bytes)" if name else ""


def _hashes_of(run: Predictions, hashes: Hashes) -> tuple[NDArray[np.int64], Hashes]:
    """Return the ids and hashes of all images that the run has read, also of the broken ones that it skipped."""
    skipped: Mapping[str, str] = run.record["dataset"].get("skipped_hashes", {})
    others = np.frombuffer(bytes.fromhex("".join(skipped.values())), np.uint8).reshape(-1, HASH_BYTES)
    ids = np.array(list(map(int, skipped)), np.int64)
    return np.concatenate([run.ids, ids]), np.concatenate([hashes, others])
