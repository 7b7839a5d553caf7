"""The figures kept from an image's logits equal a plain computation, one image at a time."""

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from effconvert.validate.evaluation.answers import answer, count_hits, unpack
from effconvert.validate.predictions import NO_CLASS, NO_LABEL

Case = tuple[NDArray[np.float32], NDArray[np.int64], int, NDArray[np.bool_] | None]

# Few values, so that many are equal; some that only differ in float32's last digits, some far apart.
_VALUES = st.sampled_from([-100.0, -1.5, 0.0, 0.25, 1.0, 1.0 + 2**-23, 3.0, 80.0])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    outputs, count = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    first_class = draw(st.integers(0, 1)) if outputs > 1 else 0
    rows = st.lists(_VALUES, min_size=outputs, max_size=outputs)
    logits = np.array(draw(st.lists(rows, min_size=count, max_size=count)), np.float32)
    width = draw(st.integers(1, 3))
    labels = np.full((count, width), NO_LABEL, np.int64)
    for row in labels:
        some = draw(st.lists(st.integers(0, outputs - first_class - 1), max_size=width, unique=True))
        row[: len(some)] = some
    only = None
    if draw(st.booleans()):
        only = np.array(draw(st.lists(st.booleans(), min_size=outputs, max_size=outputs)))
        only[draw(st.integers(0, outputs - 1))] = True
    return logits, labels, first_class, only


def plainly(row: NDArray[np.float32], label: int, first_class: int, only: NDArray[np.bool_] | None) -> list[float]:
    """Return the eight numbers for one image."""
    competing = [place for place in range(len(row)) if only is None or only[place]]
    ranked = sorted(competing, key=lambda place: (-row[place], place))
    top = [place - first_class for place in ranked[:5]]
    top += [NO_CLASS] * (5 - len(top))
    own = math.nan if label == NO_LABEL else row[label + first_class]
    margin = row[ranked[0]] - row[ranked[1]] if len(ranked) > 1 else 0.0
    confidence = 1 / sum(math.exp(float(row[place]) - float(row[ranked[0]])) for place in ranked)
    return [*top, own, margin, confidence]


def asked(logits: NDArray[np.float32], labels: NDArray[np.int64], first_class: int = 0, only: object = None) -> NDArray:
    mask = None if only is None else torch.from_numpy(np.array(only))
    return answer(torch.from_numpy(logits), torch.from_numpy(labels), first_class, mask).numpy()


@given(cases())
def test_answers_are_those_of_a_plain_computation(case: Case) -> None:
    logits, labels, first_class, only = case
    found = asked(logits, labels, first_class, only)
    expected = [plainly(row, own[0], first_class, only) for row, own in zip(logits, labels, strict=True)]
    np.testing.assert_array_equal(found[:, :5], np.array(expected)[:, :5])
    np.testing.assert_allclose(found[:, 5:], np.array(expected)[:, 5:], rtol=1e-5, atol=1e-7)


@given(cases(), st.data())
def test_hits_are_counted_of_good_images_alone(case: Case, data: st.DataObject) -> None:
    logits, labels, first_class, only = case
    good = np.array(data.draw(st.lists(st.booleans(), min_size=len(logits), max_size=len(logits))))
    answers = asked(logits, labels, first_class, only)
    found = count_hits(torch.from_numpy(answers), torch.from_numpy(labels), torch.from_numpy(good))
    top = [set(row[:5].astype(int).tolist()) for row in answers]
    right = [set(row[row != NO_LABEL].tolist()) for row in labels]
    first = sum(int(row[0]) in own for row, own, fine in zip(answers, right, good, strict=True) if fine)
    five = sum(bool(seen & own) for seen, own, fine in zip(top, right, good, strict=True) if fine)
    assert found.tolist() == [first, five]


def test_of_equal_logits_the_lower_class_stands_first() -> None:
    logits = np.zeros((1, 1000), np.float32)
    logits[0, [7, 500, 993]] = 2
    found = asked(logits, np.array([[500]]))
    assert found[0, :5].tolist() == [7, 500, 993, 0, 1]
    assert found[0, 6] == 0


def test_a_label_that_an_image_lacks_and_a_class_that_a_network_lacks_are_no_match() -> None:
    answers = torch.from_numpy(asked(np.array([[1.0, 2.0]], np.float32), np.array([[NO_LABEL, NO_LABEL]])))
    assert answers[0, :5].tolist() == [1, 0, NO_CLASS, NO_CLASS, NO_CLASS]
    assert count_hits(answers, torch.tensor([[NO_LABEL, NO_LABEL]]), torch.tensor([True])).tolist() == [0, 0]


def test_the_background_is_no_class() -> None:
    answers = torch.from_numpy(asked(np.array([[9.0, 1.0, 2.0]], np.float32), np.array([[1]]), first_class=1))
    assert answers[0, :3].tolist() == [-1, 1, 0]
    assert answers[0, 5] == 2
    assert count_hits(answers, torch.tensor([[1]]), torch.tensor([True])).tolist() == [0, 1]


@given(st.integers(1, 7), st.integers(0, 6), st.sampled_from([math.nan, math.inf, -math.inf]), st.booleans())
def test_nan_and_infinity_anywhere_are_seen(outputs: int, place: int, value: float, only_some: bool) -> None:
    logits = np.linspace(0, 1, outputs, dtype=np.float32)[None].repeat(2, 0)
    logits[1, place % outputs] = value
    only = np.arange(outputs) == 0 if only_some else None
    sums = asked(logits, np.array([[0], [0]]), only=only)[:, 6:].sum(1)
    assert np.isfinite(sums).tolist() == [True, False]


def test_records_hold_what_was_answered() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    packed = asked(logits, np.array([[4], [5], [NO_LABEL]]))
    hashes = np.arange(48, dtype=np.uint8).reshape(3, 16)
    records = unpack(np.array([10, 3, 2**40]), packed, hashes)
    assert records["id"].tolist() == [10, 3, 2**40]
    assert np.array_equal(records["hash"], hashes)
    np.testing.assert_array_equal(records["top5"], np.argsort(-logits, axis=1)[:, :5])
    np.testing.assert_array_equal(records["label_logit"], [logits[0, 4], logits[1, 5], np.nan])
    assert records["margin"].tobytes() == packed[:, 6].tobytes()
    assert records["confidence"].tobytes() == packed[:, 7].tobytes()
