"""A summary counts correct predictions: over all images, each class and each group."""

import json

import numpy as np
import pytest

from effconvert.errors import DatasetProblem
from effconvert.validate.accuracy.statistics import Proportion
from effconvert.validate.accuracy.summary import summarise
from effconvert.validate.data.classes import imagenet_classes
from helpers.validate.made_predictions import predictions, record


def test_hits_are_counted_of_the_first_and_of_the_first_five() -> None:
    found = summarise(predictions([1, 1, 1, 900], [[1], [900], [2], [903]]))
    assert (found.images, found.top1, found.top5) == (4, Proportion(1, 4), Proportion(3, 4))


def test_any_of_several_labels_is_right() -> None:
    found = summarise(predictions([7, 8], [[3, 7], [3]]))
    assert found.top1 == Proportion(1, 2)
    assert [row.index for row in found.classes] == [3]


def test_images_without_a_label_count_nowhere() -> None:
    found = summarise(predictions([1, 2], [[1], []], margin=[2, 100], confidence=[1, 0]))
    assert (found.top1, found.unlabelled) == (Proportion(1, 1), 1)
    assert (found.mean_margin, found.calibration.error) == (2, 0)


def test_without_a_label_there_is_no_accuracy() -> None:
    with pytest.raises(DatasetProblem, match="no image has a label"):
        summarise(predictions([1], [[]]))


def test_the_background_is_never_right() -> None:
    assert summarise(predictions([-1], [[0]])).top1 == Proportion(0, 1)


def test_a_class_has_its_own_hits_and_what_people_call_it() -> None:
    found = summarise(predictions([0, 5, 1], [[0], [0], [1]])).classes
    assert [(row.index, row.identifier, row.name) for row in found] == [
        (0, "n01440764", "tench"),
        (1, "n01443537", "goldfish"),
    ]
    assert [row.top1 for row in found] == [Proportion(1, 2), Proportion(1, 1)]


def test_a_group_sums_its_classes_and_the_least_accurate_stands_first() -> None:
    groups = imagenet_classes().groups
    fish = [index for index, group in enumerate(groups) if group == groups[0]][:2]
    other = next(index for index, group in enumerate(groups) if group != groups[0])
    found = summarise(predictions([fish[0], fish[1], 950, other], [[fish[0]], [fish[1]], [fish[1]], [other]])).groups
    assert [(row.name, row.classes, row.top1) for row in found] == [
        (groups[0], 2, Proportion(2, 3)),
        (groups[other], 1, Proportion(1, 1)),
    ]


def test_classes_and_groups_add_up_to_all_images() -> None:
    labels = np.random.default_rng(1).integers(0, 900, 500)
    answers = np.where(np.arange(500) % 3, labels, 950)
    found = summarise(predictions(answers.tolist(), labels[:, None].tolist()))
    for rows in (found.classes, found.groups):
        assert sum(row.top1.images for row in rows) == 500
        assert sum(row.top1.hits for row in rows) == found.top1.hits
        assert sum(row.top5.hits for row in rows) == found.top5.hits


def test_a_list_of_ones_own_has_its_names_and_no_groups() -> None:
    said = record(dataset={"classes": "pets.txt", "class_names": ["cat", "dog"]})
    found = summarise(predictions([1, 1], [[1], [0]], said=said))
    assert [(row.identifier, row.name, row.group) for row in found.classes] == [("cat", "cat", ""), ("dog", "dog", "")]
    assert found.groups == ()


def test_it_is_plain_for_json() -> None:
    found = summarise(predictions([1, 1], [[1], [0]], margin=[1, float("inf")])).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["top1"] == {"hits": 1, "images": 2, "percent": 50.0, "interval": found["top1"]["interval"]}
    assert len(found["calibration_bins"]) == 15
    assert found["mean_margin"] is None
