"""Answers of networks are handed on in order, each once, and are counted by a second method."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from effconvert.errors import DatasetProblem, EffconvertError
from effconvert.validate.data.image_hashes import HASH_BYTES, Hashes
from effconvert.validate.evaluation import evaluation, groups
from effconvert.validate.evaluation.answers import unpack
from effconvert.validate.evaluation.computing import Computing
from effconvert.validate.evaluation.evaluation import EvaluatedModel, evaluate
from effconvert.validate.evaluation.feeding import Batch
from effconvert.validate.evaluation.journal import ANSWER, Answers
from effconvert.validate.predictions import NO_LABEL

IMAGES, CLASSES = 23, 7
LABELS = np.where(np.arange(IMAGES) % 5 == 4, NO_LABEL, np.arange(IMAGES) % CLASSES).astype(np.int32)[:, None]


class Standing:
    """In place of an execution: answers an image, whose pixels hold its id, with the class id + `shift`."""

    computing = Computing("cpu", "float32")

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot((pixels[:, 0, 0, 0].long() + self.shift) % CLASSES, CLASSES).float()


def evaluated_model(shift: int = 0) -> tuple[EvaluatedModel, list[Answers]]:
    kept: list[Answers] = []
    return EvaluatedModel(Standing(shift), kept.append), kept  # type: ignore[arg-type]


def batches(size: int, failures: dict[int, str] | None = None, ids: Any = range(IMAGES)) -> Iterator[Batch]:
    ids = np.array(ids)
    for start in range(0, len(ids), size):
        part = ids[start : start + size]
        pixels = torch.from_numpy(np.tile(part[:, None, None, None], (1, 2, 2, 3)))
        broken = {number: words for number, words in (failures or {}).items() if number in part}
        yield Batch(part, pixels, broken, hashes_of(part))


def hashes_of(ids: Any) -> Hashes:
    """Return a hash for each image, which begins with its place."""
    return np.repeat(np.asarray(ids, np.uint8)[:, None], HASH_BYTES, 1)


def refuse(failures: dict[int, str]) -> None:
    raise DatasetProblem(str(failures))


def silent(images: int) -> None:
    pass


@pytest.mark.parametrize("size", [1, 4, 23, 100])
def test_every_image_is_answered_once_and_in_order(size: int) -> None:
    one, kept = evaluated_model()
    evaluate([one], batches(size), LABELS, refuse, silent)
    answers = np.concatenate(kept)
    assert answers["id"].tolist() == list(range(IMAGES))
    assert np.array_equal(answers["hash"], hashes_of(answers["id"]))
    assert answers["top5"][:, 0].tolist() == [number % CLASSES for number in range(IMAGES)]


def test_hits_are_counted_of_images_that_have_a_label() -> None:
    (right, _), (wrong, _) = evaluated_model(), evaluated_model(1)
    evaluate([right, wrong], batches(4), LABELS, refuse, silent)
    labelled = int((LABELS != NO_LABEL).sum())
    assert right.hits is not None
    assert wrong.hits is not None
    assert right.kept[0] == int(right.hits[0]) == labelled
    assert wrong.kept[0] == int(wrong.hits[0]) == 0


def test_each_network_keeps_its_own_answers() -> None:
    (one, kept), (other, kept_of_other) = evaluated_model(), evaluated_model(1)
    evaluate([one, other], batches(4), LABELS, refuse, silent)
    first, second = (np.concatenate(answers)["top5"][:, 0] for answers in (kept, kept_of_other))
    assert ((first + 1) % CLASSES).tolist() == second.tolist()


def test_broken_images_are_told_of_and_not_answered() -> None:
    one, kept = evaluated_model()
    told: dict[int, str] = {}
    evaluate([one], batches(4, {3: "cut", 9: "text"}), LABELS, told.update, silent)
    assert told == {3: "cut", 9: "text"}
    assert np.concatenate(kept)["id"].tolist() == [number for number in range(IMAGES) if number not in told]


def test_what_was_answered_before_a_broken_image_is_handed_on_first() -> None:
    one, kept = evaluated_model()
    with pytest.raises(DatasetProblem):
        evaluate([one], batches(4, {9: "text"}), LABELS, refuse, silent)
    assert np.concatenate(kept)["id"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]


def test_progress_is_told_of_every_image() -> None:
    told: list[int] = []
    evaluate([evaluated_model()[0]], batches(4, {3: "cut"}), LABELS, lambda failures: None, told.append)
    assert told == [4, 4, 4, 4, 4, 3]


def test_an_answer_that_was_changed_on_its_way_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:

    def changed(*given: Any) -> Answers:
        records = unpack(*given)
        records["top5"][records["id"] == 8] = 6
        return records

    monkeypatch.setattr(evaluation, "unpack", changed)
    with pytest.raises(EffconvertError, match="the device counted"):
        evaluate([evaluated_model()[0]], batches(4), LABELS, refuse, silent)


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([0, 1, 3], "1 images were not answered, 0 unexpected ones were"),
        ([0, 1, 2, 3, 9], "0 images were not answered, 1 unexpected ones were"),
    ],
)
def test_an_image_that_is_lost_or_was_not_asked_for_is_a_fault(ids: list[int], words: str) -> None:
    answers: Answers = np.zeros(len(ids), ANSWER)
    answers["id"] = ids
    with pytest.raises(EffconvertError, match=words):
        groups._check_once(answers, np.arange(4), {})


def test_an_image_that_was_left_out_is_not_missed() -> None:
    answers: Answers = np.zeros(3, ANSWER)
    answers["id"] = [0, 1, 3]
    groups._check_once(answers, np.arange(4), {2: "cut"})
