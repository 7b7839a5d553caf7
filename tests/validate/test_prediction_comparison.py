"""Two networks' predictions are compared image by image, under any names of the images."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from effconvert.errors import NumericMismatch
from effconvert.validate.accuracy.matching import match
from effconvert.validate.accuracy.prediction_comparison import compare_predictions
from effconvert.validate.accuracy.statistics import Proportion, mcnemar, paired_interval
from helpers.validate.made_predictions import predictions, record

NAMES = ["x", "y", "z"]


def test_a_run_is_the_same_as_itself() -> None:
    run = predictions([1, 2, 3], [[1], [2], [9]])
    found = compare_predictions(run, run)
    assert (found.images, found.only_a, found.only_b, found.changed) == (3, 0, 0, ())
    assert (found.label_logit.value, found.margin.value) == (0, 0)
    assert found.paired[1].p == 1
    assert found.sentence == "same answers: top-1 is the same for all 3 images"


def test_images_are_matched_by_name_in_any_order() -> None:
    a = predictions([1, 2, 3], [[1], [2], [3]], names=["n01/x.JPEG", "n02/y.JPEG", "n03/z.JPEG"])
    b = predictions([3, 1, 5], [[3], [1], [2]], names=["z", "x", "y"])
    found = compare_predictions(a, b)
    assert [(image.name, image.a, image.b) for image in found.changed] == [("n02/y.JPEG", 2, 5)]


def test_what_only_one_side_has_is_counted() -> None:
    a = predictions([1, 2, 3], [[1], [2], [3]], names=["x", "y", "z"])
    b = predictions([2, 4], [[2], [4]], names=["y", "q"])
    found = compare_predictions(a, b)
    assert (found.images, found.only_a, found.only_b) == (1, 2, 1)


def test_nothing_in_common_is_a_failure() -> None:
    with pytest.raises(NumericMismatch, match="the runs have no image in common"):
        compare_predictions(predictions([1], [[1]], names=["x"]), predictions([1], [[1]], names=["y"]))


def test_equal_names_in_several_folders_are_told_apart_by_the_folder() -> None:
    found = match(["cat/1.png", "dog/1.png"], ["dog/1.jpg", "cat/1.jpg"])
    assert (found.names, found.first, found.second) == (("cat/1.png", "dog/1.png"), (0, 1), (1, 0))
    assert match(["cat/1.png", "dog/1.png"], ["1", "2"]).names == ()


def test_folders_that_all_images_of_one_run_lie_in_do_not_part_them_from_the_others() -> None:
    found = match(["val/cat/1.png", "val/dog/1.png"], ["cat/1.png", "dog/1.png"])
    assert (found.first, found.second) == ((0, 1), (0, 1))
    assert match(["val/cat/1.png", "val/dog/1.png"], ["cow/1.png", "hen/1.png"]).names == ()


def test_names_that_stand_for_several_images_are_refused() -> None:
    with pytest.raises(NumericMismatch, match=r"belongs to several images.*\n  cat/1$"):
        match(["cat/1.png", "cat/1.jpg", "dog/1.png"], ["1"])


def test_another_list_of_classes_cannot_be_compared() -> None:
    pets = record(dataset={"classes": "pets.txt", "class_names": ["cat", "dog"]})
    with pytest.raises(NumericMismatch, match=r"imagenet-1k and of pets\.txt"):
        compare_predictions(predictions([1], [[1]]), predictions([1], [[1]], said=pets))
    others = record(dataset={"classes": "pets.txt", "class_names": ["dog", "cat"]})
    with pytest.raises(NumericMismatch, match="have different classes"):
        compare_predictions(predictions([1], [[1]], said=pets), predictions([1], [[1]], said=others))


def test_discordant_pairs_are_those_that_one_alone_got_right() -> None:
    labels = [[1]] * 6
    a = predictions([1, 1, 1, 5, 5, 5], labels)
    b = predictions([1, 5, 6, 1, 5, 6], labels)
    top1 = compare_predictions(a, b).paired[1]
    assert (top1.only_a, top1.only_b) == (2, 1)
    assert (top1.a, top1.b) == (Proportion(3, 6), Proportion(2, 6))
    assert top1.p == mcnemar(2, 1)
    assert top1.difference == pytest.approx(-100 / 6)
    assert top1.interval == tuple(100 * bound for bound in paired_interval(1, 2, 6))
    assert top1.interval.low < top1.difference < top1.interval.high


def test_top5_is_compared_as_well() -> None:
    found = compare_predictions(predictions([1, 2], [[900], [2]]), predictions([1, 900], [[900], [2]]))
    assert (found.paired[5].only_a, found.paired[5].only_b) == (1, 0)
    assert (found.paired[1].only_a, found.paired[1].only_b) == (1, 0)


def test_images_without_a_label_may_change_but_are_not_right_or_wrong() -> None:
    found = compare_predictions(predictions([1, 2], [[1], []]), predictions([1, 3], [[1], []]))
    assert len(found.changed) == 1
    assert found.paired[1].a.images == 1
    bare = compare_predictions(predictions([1], [[]]), predictions([2], [[]]))
    assert bare.paired == {}
    assert bare.sentence == "different: top-1 differs for 1 of 1 images (100 %)"


def test_labels_that_differ_are_said_and_those_of_a_judge_both() -> None:
    a = predictions([1, 2, 3], [[1], [2], [3, 4]], names=NAMES)
    b = predictions([1, 2, 3], [[1, 5], [2], [4, 3]], names=NAMES)
    found = compare_predictions(a, b)
    assert found.other_labels == ("x",)
    swapped = compare_predictions(a, predictions([1, 2, 3], [[7], [7], [7]], names=NAMES))
    assert swapped.other_labels == tuple(NAMES)
    assert swapped.paired[1].b == Proportion(3, 3)


def test_changed_images_stand_with_the_surest_first() -> None:
    a = predictions([1, 1, 1, 1], [[1]] * 4, names=["p", *NAMES], margin=[9, 1, 2, 3])
    b = predictions([1, 2, 3, 4], [[1]] * 4, names=["p", *NAMES], margin=[9, 8, 1, 4])
    found = compare_predictions(a, b)
    assert [(image.name, image.margin_a, image.margin_b) for image in found.changed] == [
        ("x", 1, 8),
        ("z", 3, 4),
        ("y", 2, 1),
    ]
    assert found.same == Proportion(1, 4)


def test_the_verdict_says_in_whose_favour_images_changed() -> None:
    a = predictions([1, 1, 5, 5, 1], [[1], [1], [1], [1], [1]])
    b = predictions([2, 2, 1, 6, 1], [[1], [1], [1], [1], [1]])
    found = compare_predictions(a, b).sentence
    assert (
        found
        == "different: top-1 differs for 4 of 5 images (80 %); correct only in A 2, only in B 1, in neither or both 1"
    )


def test_the_largest_differences_are_found_with_their_image() -> None:
    a = predictions([1, 2, 3], [[1], [2], [3]], names=NAMES, label_logit=[1, 2, 3], margin=[1, 1, 1])
    b = predictions([1, 2, 3], [[1], [2], [3]], names=NAMES, label_logit=[1.5, 1, 3], margin=[1, 1, 3])
    found = compare_predictions(a, b)
    assert (found.label_logit.value, found.label_logit.name) == (1, "y")
    assert (found.margin.value, found.margin.name) == (2, "z")


def test_numbers_that_are_none_are_passed_over() -> None:
    nan = math.nan
    a = predictions([1, 2], [[1], []], label_logit=[1, nan], margin=[math.inf, 1])
    b = predictions([2, 2], [[1], []], label_logit=[3, nan], margin=[1, 1])
    found = compare_predictions(a, b)
    assert (found.label_logit.value, found.margin.value) == (2, 0)
    nothing = compare_predictions(predictions([1], [[]], label_logit=[nan]), predictions([1], [[]], label_logit=[nan]))
    assert nothing.label_logit.value is None
    document = found.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_every_changed_image_is_in_the_document() -> None:
    labels = [[1]] * 300
    found = compare_predictions(predictions([1] * 300, labels), predictions([2] * 300, labels)).to_dict()
    assert found["schema"] == "effconvert/prediction-comparison/1"
    assert len(found["changed"]) == 300
    assert (found["verdict"], found["top1"]["only_a"], found["top1"]["only_b"]) == ("different", 300, 0)


def test_as_many_images_as_imagenet_has_can_be_compared() -> None:
    labels = np.ones((50_000, 1), int).tolist()
    a, b = (predictions(np.where(np.arange(50_000) % 2 == side, 1, 2).tolist(), labels) for side in (0, 1))
    found = compare_predictions(a, b)
    assert (found.paired[1].only_a, found.paired[1].only_b, found.paired[1].p) == (25_000, 25_000, 1)


def test_images_of_the_same_names_that_are_other_pictures_are_refused() -> None:
    a = predictions([1, 2, 3], [[1], [2], [3]], names=NAMES)
    b = predictions([1, 2, 3], [[1], [2], [3]], names=["y", "z", "x"])
    assert compare_predictions(a, b).images == 3  # in another order, but the same pictures
    assert b.hashes is not None
    other = replace(b, hashes=np.roll(b.hashes, 1, axis=0))
    with pytest.raises(
        NumericMismatch, match=r"3 of 3 images have the same name but are different pictures \(x, y, z\): nothing"
    ):
        compare_predictions(a, other)


def test_one_other_picture_is_enough_and_is_named() -> None:
    a = predictions([1] * 9, [[1]] * 9)
    hashes = a.hashes.copy()
    hashes[4, 15] ^= 1
    with pytest.raises(NumericMismatch, match=r"1 of 9 images .* \(ILSVRC2012_val_00000005\)"):
        compare_predictions(a, replace(a, hashes=hashes))


def test_pictures_that_only_one_side_has_do_not_matter() -> None:
    a = predictions([1, 2], [[1], [2]], names=["x", "y"])
    b = predictions([1, 2], [[1], [2]], names=["x", "q"])
    assert compare_predictions(a, b).images == 1


@pytest.mark.parametrize("old", ["A", "B", "A and B"])
def test_a_run_without_hashes_is_compared_with_a_doubt(old: str) -> None:
    run = predictions([1, 2], [[1], [2]])
    a, b = (replace(run, hashes=None) if side in old.split() else run for side in "AB")
    found = compare_predictions(a, b)
    assert found.doubt.startswith(f"{old} has no hashes of its images")
    assert found.to_dict()["doubt"] == found.doubt
    assert compare_predictions(run, run).doubt == ""


def test_the_classes_decide_and_not_the_file_that_lists_them() -> None:
    names = {"class_names": ["cat", "dog"], "class_identifiers": ["n1", "n2"]}
    one = predictions([1], [[1]], said=record(dataset={"classes": "a.txt", **names}))
    other = predictions([1], [[1]], said=record(dataset={"classes": "b.txt", **names}))
    assert compare_predictions(one, other).images == 1
    swapped = {**names, "class_identifiers": ["n2", "n1"]}
    with pytest.raises(NumericMismatch, match="in another order: class 0 is 'n1' and 'n2'"):
        compare_predictions(one, predictions([1], [[1]], said=record(dataset={"classes": "a.txt", **swapped})))
    fewer = {"class_names": ["cat"], "class_identifiers": ["n1"]}
    with pytest.raises(NumericMismatch, match=r"of a\.txt and of a\.txt \(2 and 1\)"):
        compare_predictions(one, predictions([0], [[0]], said=record(dataset={"classes": "a.txt", **fewer})))
