"""The agreement of all networks, found at once, equals the comparison of any two of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effconvert.report.matrices import MOST_COMPARED, compare_answers
from effconvert.validate.accuracy.prediction_comparison import compare_predictions
from effconvert.validate.predictions import Predictions, read_predictions
from helpers.report.made_inputs import run_record, unlabelled, write_run

IMAGES = 60


def answers(path: Path, seed: int, *, names: list[str] | None = None, **changes: Any) -> Predictions:
    """Write a run whose classes are drawn from a few, and read it."""
    random = np.random.default_rng(seed)
    top5 = np.argsort(random.random((IMAGES, 6)), axis=1)[:, :5].astype(np.int32)
    arrays: dict[str, Any] = {"labels": np.arange(IMAGES, dtype=np.int32)[:, None] % 3, "top5": top5, **changes}
    if names is not None:
        arrays["names"] = np.array(names)
    return read_predictions(write_run(path / f"{seed}.npz", 0, IMAGES, **arrays))


def stems(order: list[int]) -> list[str]:
    return [f"{number:03}" for number in order]


NAMES = {
    "equal": lambda seed: None,
    "in another order": lambda seed: stems(np.random.default_rng(100 + seed).permutation(IMAGES).tolist()),
    "in folders and with suffixes": lambda seed: [f"{seed}/{name}.JPEG" for name in stems(list(range(IMAGES)))],
    "of one stem": lambda seed: [
        f"{number // 10}/{number % 10}{('.png', '.jpg')[seed % 2]}" for number in range(IMAGES)
    ],
    "partly others": lambda seed: stems([number + 10 * seed for number in range(IMAGES)]),
}


@pytest.mark.parametrize("kind", NAMES)
def test_each_cell_is_what_a_comparison_of_the_pair_says(tmp_path: Path, kind: str) -> None:
    runs = [(f"n{seed}", answers(tmp_path, seed, names=NAMES[kind](seed))) for seed in range(3)]
    found = compare_answers(runs)
    assert found is not None
    assert (found.ids, found.left_out) == (("n0", "n1", "n2"), 0)
    for row, (_, one) in enumerate(runs):
        for column, (_, other) in enumerate(runs):
            expected = compare_predictions(one, other)
            top1 = expected.paired[1]
            cell = {
                name: getattr(found, name)[row][column] for name in ("images", "same", "only_first", "only_second", "p")
            }
            assert cell == {
                "images": expected.images,
                "same": expected.same.hits,
                "only_first": top1.only_a,
                "only_second": top1.only_b,
                "p": top1.p,
            }


def test_runs_without_a_common_image_have_no_matrix(tmp_path: Path) -> None:
    runs = [
        (str(seed), answers(tmp_path, seed, names=stems([100 * seed + n for n in range(IMAGES)]))) for seed in range(2)
    ]
    assert compare_answers(runs) is None


def test_runs_of_other_classes_are_not_compared(tmp_path: Path) -> None:
    own = run_record(
        dataset={"classes": "names.txt", "class_names": ["ant", "bee", "cat"], "imagenet_validation": False}
    )
    runs = [("a", answers(tmp_path, 0)), ("b", answers(tmp_path, 1)), ("own", answers(tmp_path, 2, record=own))]
    found = compare_answers(runs)
    assert found is not None
    assert found.images == ((IMAGES, IMAGES, 0), (IMAGES, IMAGES, 0), (0, 0, IMAGES))
    assert found.p[0][2] is None


def test_names_that_stand_for_several_images_match_nothing(tmp_path: Path) -> None:
    twice = ["same"] * IMAGES
    runs = [("a", answers(tmp_path, 0)), ("b", answers(tmp_path, 1)), ("c", answers(tmp_path, 2, names=twice))]
    found = compare_answers(runs)
    assert found is not None
    assert found.images[2] == (0, 0, IMAGES)


def test_images_without_labels_agree_and_have_no_p(tmp_path: Path) -> None:
    runs = [(str(seed), answers(tmp_path, seed, **unlabelled(IMAGES))) for seed in range(2)]
    found = compare_answers(runs)
    assert found is not None
    assert (found.images[0][1], found.only_first[0][1], found.p[0][1]) == (IMAGES, 0, None)


def test_of_very_many_runs_the_first_are_compared_and_the_others_counted(tmp_path: Path) -> None:
    run = answers(tmp_path, 0)
    found = compare_answers([(str(number), run) for number in range(MOST_COMPARED + 5)])
    assert found is not None
    assert (len(found.same), found.left_out) == (MOST_COMPARED, 5)


def test_runs_of_equal_names_that_do_not_tell_images_apart_have_nothing_in_common(tmp_path: Path) -> None:
    runs = [(f"n{seed}", answers(tmp_path, seed, names=["image"] * IMAGES)) for seed in range(2)]
    assert compare_answers(runs) is None


def test_runs_of_other_pictures_are_refused_with_the_reason(tmp_path: Path) -> None:
    runs = [("a", answers(tmp_path, 0)), ("b", answers(tmp_path, 1))]
    assert runs[0][1].hashes is not None
    hashes = runs[0][1].hashes.copy()
    hashes[7] = 0
    found = compare_answers([*runs, ("c", answers(tmp_path, 2, hashes=hashes))])
    assert found is not None
    assert found.images == ((IMAGES, IMAGES, 0), (IMAGES, IMAGES, 0), (0, 0, IMAGES))
    assert [(pair.first, pair.second) for pair in found.refused] == [("a", "c"), ("b", "c")]
    assert (
        "1 of 60 images have the same name but are different pictures (ILSVRC2012_val_00000008.JPEG)"
        in found.refused[0].reason
    )
    assert found.by_name == ()


def test_runs_that_are_all_refused_still_say_why(tmp_path: Path) -> None:
    found = compare_answers([(str(seed), answers(tmp_path, seed, hashes=_hashes(seed))) for seed in range(2)])
    assert found is not None
    assert len(found.refused) == 1


def test_pictures_are_compared_image_by_image_in_whatever_order_they_lie(tmp_path: Path) -> None:
    runs = [(str(seed), answers(tmp_path, seed, names=NAMES["in another order"](seed))) for seed in range(2)]
    found = compare_answers(runs)
    assert found is not None
    assert (found.images[0][1], found.refused) == (IMAGES, ())


def test_runs_without_hashes_are_matched_by_name_and_named(tmp_path: Path) -> None:
    old = replace(answers(tmp_path, 0), hashes=None)
    found = compare_answers([("old", old), ("new", answers(tmp_path, 1))])
    assert found is not None
    assert (found.images[0][1], found.by_name, found.refused) == (IMAGES, ("old",), ())


def _hashes(seed: int) -> np.ndarray:
    return np.full((IMAGES, 16), seed, np.uint8)
