"""Whether a run that lies there is the one that is asked for: its header, and the bytes of the images it answered."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import OutputProblem, UnreadableCheckpoint
from effconvert.validate.data.image_hashes import HASH_BYTES, Hashes
from effconvert.validate.evaluation.journal import read_journal
from effconvert.validate.predictions import Predictions, read_predictions

# From places in the data set and the hashes that a run has of them, to the name of an image that is another now, or "".
OtherImage = Callable[[NDArray[np.int64], Hashes], str]

SCHEMA = "effconvert/journal/2"
# What each entry of a header decides, in the order in which it is told; what follows from one before is not.
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
    "only_present": "choice of classes (--only-present)",
    "effconvert": "version of effconvert",
}
_FOLLOWS = {"classes": {"labels"}, "names": {"labels", "order", "images"}, "order": {"images"}, "weights": {"tensors"}}


def same_header(found: Mapping[str, Any], header: Mapping[str, Any]) -> bool:
    """Return whether the run with the header `found` is that with `header`, but for the images' bytes."""
    return all(found.get(name) == header[name] for name in header)


def difference_of_journals(
    journals: Sequence[Path], header: Mapping[str, Any], force: bool, other_image: OtherImage
) -> str:
    """Return why the unfinished run in `journals` is not the one with `header`, "" where it is.

    Where `force` replaces it, a damaged one is. Raises OutputProblem for a damaged one else.
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
    """Return why what lies at `out` is not the finished run with `header`, "" where it is."""
    try:
        run = read_predictions(out)
    except UnreadableCheckpoint:
        return "it cannot be read as one"
    if words := _difference(run.record.get("settings", {}), header):
        return words
    if run.hashes is None:
        return "it has no hashes of its images"
    return _other(other_image(*_hashes_of(run, run.hashes)))


def _difference(found: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    if same_header(found, header):
        return ""
    if found.get("schema") != header.get("schema"):
        return "it is older than the hashes of images, so that nobody knows whether it is of these"
    other = [name for name in header if found.get(name) != header[name]]
    implied = {name for each in other for name in _FOLLOWS.get(each, ())}
    told = [_WORDS.get(name, name) for name in (*_WORDS, *(set(other) - set(_WORDS))) if name in other]
    short = [_WORDS.get(name, name) for name in _WORDS if name in other and name not in implied]
    return f"other {', '.join(short or told)}"


def _other(name: str) -> str:
    return f"other images, {name} has other bytes" if name else ""


def _hashes_of(run: Predictions, hashes: Hashes) -> tuple[NDArray[np.int64], Hashes]:
    """Return the places and hashes of all images that the run has read, also of those that it left out as broken."""
    skipped: Mapping[str, str] = run.record["dataset"].get("skipped_hashes", {})
    others = np.frombuffer(bytes.fromhex("".join(skipped.values())), np.uint8).reshape(-1, HASH_BYTES)
    ids = np.array(list(map(int, skipped)), np.int64)
    return np.concatenate([run.ids, ids]), np.concatenate([hashes, others])
