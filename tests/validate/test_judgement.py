"""A measured accuracy is judged only by the published accuracy of the same weights."""

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from effconvert.architecture.facts import Facts
from effconvert.identify.description import Description
from effconvert.preprocessing.recipes import recipe_for
from effconvert.reference_tables.accuracy import accuracy_table
from effconvert.reference_tables.weights import weights_table
from effconvert.validate.accuracy.comparability import training
from effconvert.validate.accuracy.judgement import (
    AMBER_LIMIT,
    AWAY,
    GREEN_LIMIT,
    IMAGENET_IMAGES,
    NEAR,
    NOT_JUDGED,
    OWN_LIMIT,
    SAME,
    Judgement,
    judge,
    judge_value,
)
from effconvert.validate.accuracy.statistics import Proportion
from effconvert.validate.data.imagenet import validation_labels
from effconvert.validate.predictions import Predictions
from helpers.validate.made_predictions import scored

OWN = recipe_for("tf-official", "b0", "aa")
OTHER: dict[str, Any] = {"recipe": OWN.to_dict() | {"resize": "pil-bicubic"}}


def published(variant: str, weights: str, kind: str) -> Any:
    (row,) = (row for row in accuracy_table() if (row.variant, row.weights, row.kind) == (variant, weights, kind))
    return row


def at(percent: float | Fraction | str, hits5: int = 0, **said: Any) -> Judgement:
    """The judgement of a run on all images with this top-1."""
    hits = Fraction(str(percent)) * IMAGENET_IMAGES / 100
    assert hits.denominator == 1
    return judge(scored(int(hits), IMAGENET_IMAGES, hits5, **said))


def words(found: Judgement) -> dict[str, str]:
    return {row.published.kind: row.top1.word for row in found.rows}


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("points", "own", "word"),
    [
        ("0", True, SAME),
        ("0.05", True, SAME),
        ("0.052", True, AWAY),
        ("0.40", True, AWAY),
        ("0.15", False, SAME),
        ("0.152", False, NEAR),
        ("0.40", False, NEAR),
        ("0.402", False, AWAY),
    ],
)
@pytest.mark.parametrize("value", [77.1, 84.3, 93.27, 76.542])
def test_a_limit_itself_is_inside_and_the_next_image_outside(
    value: float, points: str, own: bool, word: str, sign: int
) -> None:
    hits = (Fraction(str(value)) + sign * Fraction(points)) * IMAGENET_IMAGES / 100
    assert hits.denominator == 1
    assert judge_value(Proportion(int(hits), IMAGENET_IMAGES), value, own).word == word


def test_a_sample_widens_the_limits_by_half_its_interval() -> None:
    """Of 50,000 images: what is left out of them is all that can move the figure."""
    measured = Proportion(771, 1000)
    low, high = measured.interval
    half = (high - low) / 2 * (49_000 / 49_999) ** 0.5
    for own, limit in ((True, OWN_LIMIT), (False, GREEN_LIMIT)):
        assert judge_value(measured, 77.1, own).limit == pytest.approx(float(limit) + half)
    assert judge_value(measured, round(77.1 + half + 0.04, 3), True).word == SAME
    assert judge_value(measured, round(77.1 + half + 0.06, 3), True).word == AWAY
    assert judge_value(measured, round(77.1 + half + float(AMBER_LIMIT) + 0.01, 3), False).word == AWAY
    assert any("1,000 of 50,000 images" in words for words in judge(scored(771, 1000)).remarks)


def test_all_images_are_no_sample() -> None:
    assert judge_value(Proportion(38_550, 50_000), 77.1, True).limit == float(OWN_LIMIT)
    assert at("77.1").remarks == ()


def test_one_image_that_is_left_out_hardly_widens_the_limits() -> None:
    assert 0.05 < float(judge_value(Proportion(38_549, 49_999), 77.1, True).limit or 0) < 0.053
    assert judge(scored(38_370, 49_999)).word == AWAY


def test_images_that_a_user_chose_stand_for_no_others() -> None:
    found = judge(scored(300, 500, dataset={"chosen": "subset"}))
    assert (found.word, "subset=…" in found.sentence) == (NOT_JUDGED, True)


def test_a_part_of_the_data_that_has_few_classes_is_not_judged() -> None:
    """`scored` has one class; a sample of as many images would have a thousand."""
    found = judge(scored(300, 500, dataset={"chosen": "all", "missing": 49_500}))
    assert (found.word, "few classes" in found.sentence) == (NOT_JUDGED, True)


def test_the_fast_pipeline_is_nobodys_own_preprocessing() -> None:
    fast = {"pipeline": "fast", "effect": {"images": 512, "changed_top1": 20}}
    found = at("77.2", computing=fast)
    assert (found.word, at("77.2").word) == (NEAR, AWAY)
    assert any("changed 3.9% of the predictions" in words for words in found.remarks)


def test_a_source_with_the_runs_own_preprocessing_decides() -> None:
    found = at("77.1")
    assert (found.word, found.colour) == (SAME, "green")
    assert {row.published.kind for row in found.rows if row.decides} == {"readme", "paper"}
    assert "its own preprocessing" in found.sentence


def test_away_from_its_own_figure_is_red_though_others_are_near() -> None:
    found = at("77.2")
    assert words(found) == {"readme": AWAY, "paper": AWAY, "timm": NEAR, "mmpretrain": SAME} | dict.fromkeys(
        ("readme-before-2020-07-20", "readme-condconv", "timm-documents", "lukemelas"), NOT_JUDGED
    )
    assert (found.word, found.colour) == (AWAY, "red")
    assert "+0.100 points, allowed 0.050" in found.sentence


def test_another_preprocessings_figure_does_not_decide_beside_the_own_one() -> None:
    """timm measured AdvProp's B0 half a point below the README, each with its own preprocessing."""
    row = published("b0", "advprop", "timm")
    found = at(row.top1, weights="ap_in1k", layout="timm")
    assert words(found)["readme"] == AWAY
    assert found.word == SAME
    (readme,) = (row for row in found.rows if row.published.kind == "readme")
    assert "so its figure decides" in readme.reason


@pytest.mark.parametrize(("percent", "word"), [("77.1", NEAR), ("77", SAME), ("76.82", AWAY), ("77.55", AWAY)])
def test_nobodys_preprocessing_is_judged_by_the_furthest_of_all(percent: str, word: str) -> None:
    """77.1 in the README and the paper, 76.882 of timm, 77.26 of mmpretrain."""
    distances = [abs(Fraction(percent) - Fraction(value)) for value in ("77.1", "76.882", "77.26")]
    expected = SAME if max(distances) <= GREEN_LIMIT else NEAR if max(distances) <= AMBER_LIMIT else AWAY
    found = at(percent, **OTHER)
    assert found.word == expected
    furthest = ("readme", "timm", "mmpretrain")[distances.index(max(distances))]
    assert f"{furthest} has" in found.sentence
    assert "another preprocessing" in found.sentence


@pytest.mark.parametrize(
    "change",
    [
        {"decode": "pil"},
        {"crop": "mmpretrain-center"},
        {"crop_padding": 31},
        {"resize": "tf1-bilinear"},
        {"mean": [127.0] * 3},
        {"std": [128.0] * 3},
        {"channels": "bgr"},
        {"shorter_side": 256},
    ],
    ids=str,
)
def test_every_step_must_be_the_sources_own(change: dict[str, Any]) -> None:
    assert not any(row.own for row in at("77.1", recipe=OWN.to_dict() | change).rows)


def test_the_name_of_a_preprocessing_proves_nothing() -> None:
    found = at("77.1", recipe=OWN.to_dict() | {"name": "mine"})
    assert {row.published.kind for row in found.rows if row.own} >= {"readme", "paper"}


def test_a_source_marked_as_wrong_never_decides() -> None:
    wrong = published("b0", "ns", "mmpretrain")
    own: dict[str, Any] = {
        "recipe": recipe_for("mmpretrain", "b0", "ns").to_dict(),
        "layout": "mmpretrain",
        "weights": "ns",
    }
    found = at(wrong.top1, **own)
    assert words(found)["mmpretrain"] == NOT_JUDGED
    assert found.word == AWAY
    assert at(published("b0", "ns", "readme").top1, **own).word == SAME


@pytest.mark.parametrize("variant", ["edgetpu-s", "edgetpu-m", "edgetpu-l"])
def test_timms_edgetpu_decides_nothing(variant: str) -> None:
    found = at(published(variant, "base", "readme").top1, variant=variant, weights="in1k", layout="timm")
    assert words(found) == {"readme": SAME, "timm": NOT_JUDGED, "timm-documents": NOT_JUDGED}
    assert found.word == SAME


def test_superseded_figures_and_inferred_weights_decide_nothing() -> None:
    for row in accuracy_table():
        if row.kind.startswith("readme-"):
            assert row.decides == "no"
            assert row.note


def test_figures_of_another_size_decide_nothing() -> None:
    found = judge(scored(0, 50_000, variant="b0", weights="ns", recipe=OWN.at(200).to_dict()))
    assert found.word == NOT_JUDGED
    assert "published at 224 pixels; this run is at 200" in found.sentence


def test_top5_is_judged_where_it_is_trusted_and_does_not_decide() -> None:
    timm = published("b0", "aa", "timm")
    found = at(timm.top1, hits5=0, weights="aa_in1k", layout="timm")
    top5 = {row.published.kind: row.top5.word if row.top5 else None for row in found.rows}
    assert top5 == {
        "readme": None,
        "readme-before-2020-07-20": None,
        "paper": NOT_JUDGED,
        "timm": AWAY,
        "mmpretrain": AWAY,
        "readme-condconv": None,
        "timm-documents": NOT_JUDGED,
        "lukemelas": None,
    }
    assert found.word == SAME
    right = at(timm.top1, hits5=round(timm.top5 * 500), weights="aa_in1k", layout="timm")
    assert next(row.top5.word for row in right.rows if row.published.kind == "timm") == SAME


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"dataset": {"imagenet_validation": False}}, "not ImageNet's validation set"),
        ({"dataset": {"labels": "real.json"}}, "labels are those of real.json"),
        ({"model": {"taken": "raw"}}, "weights are raw"),
        ({"model": {"origin": {"layout": "tf-official", "taken": "raw", "options": {}}}}, "weights are raw"),
        ({"model": {"options": {"inexact": {"difference": 0.1}}}}, "converted inexactly"),
        ({"model": {"options": {"earlier": [{"raw": True}, {"inexact": {}}]}}}, "converted inexactly"),
        ({"model": {"weights": None}}, "does not say which training"),
        ({"model": {"weights": "base", "layout": "mindspore-zoo-b0"}}, "model zoo"),
        ({"model": {"weights": "my-own"}}, "no accuracy is published for b0 my-own"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_compared_is_not_judged_with_the_reason(said: dict[str, Any], reason: str) -> None:
    found = judge(scored(0, IMAGENET_IMAGES, **said))
    assert (found.word, found.colour) == (NOT_JUDGED, "")
    assert reason in found.sentence
    assert not any(row.decides or row.top1.word != NOT_JUDGED for row in found.rows)


def test_the_kits_labels_from_a_file_are_imagenets_own() -> None:
    run = scored(38_550, IMAGENET_IMAGES, dataset={"labels": "ILSVRC2012_validation_ground_truth.txt"})
    own = Predictions(**{**vars(run), "labels": validation_labels()[:, None], "top5": np.zeros((50_000, 5), np.int32)})
    assert judge(own).word == AWAY
    others = own.labels.copy()
    others[7] += 1
    several = np.column_stack([own.labels, own.labels + 1])
    for labels in (others, several):
        assert judge(Predictions(**{**vars(own), "labels": labels})).word == NOT_JUDGED
    bare = np.array([f"image {place}" for place in range(50_000)])
    assert judge(Predictions(**{**vars(own), "names": bare})).word == NOT_JUDGED


@pytest.mark.parametrize("said", [{"model": {"options": {"dtype": "float16"}}}, {"computing": {"dtype": "float16"}}])
def test_rounded_weights_and_computing_are_judged_with_a_remark(said: dict[str, Any]) -> None:
    found = at("77.1", **said)
    assert found.word == SAME
    assert any("float16" in remark for remark in found.remarks)
    assert at("77.1", model={"options": {"dtype": "float32"}}).remarks == ()


@pytest.mark.deep
def test_every_source_can_be_matched_by_its_own_preprocessing() -> None:
    """At its own figure, prepared as it is, a source that decides finds the run the same."""
    for row in accuracy_table():
        recipe = recipe_for(row.layout, row.variant, row.weights)
        assert recipe.size == row.size, row
        if row.decides == "no":
            continue
        nearest = round(Fraction(str(row.top1)) * IMAGENET_IMAGES / 100)
        found = judge(scored(nearest, IMAGENET_IMAGES, variant=row.variant, weights=row.weights, layout=row.layout))
        assert next(each for each in found.rows if each.published == row).own
        assert found.word == SAME, row


@pytest.mark.parametrize(
    "row", [row for row in weights_table() if row.framework == "timm"], ids=lambda row: f"{row.network}.{row.weights}"
)
def test_timms_tags_find_the_figures_of_their_network(row: Any) -> None:
    tag = f"{row.network}.{row.weights}"
    for name in (row.weights, tag, tag.upper()):
        for layout in ("timm", "canonical"):
            known = training({"variant": row.variant, "weights": name, "layout": layout})
            figures = [each for each in accuracy_table() if (each.variant, each.weights) == (row.variant, known)]
            assert {each.source.split()[-1] for each in figures if each.kind == "timm"} == (
                {tag} if row.classes == 1000 else set()
            )


def test_a_network_without_its_tag_is_a_training_only_where_it_has_one() -> None:
    assert training({"variant": "b0", "weights": "efficientnet_b0", "layout": "timm"}) is None
    assert training({"variant": "lite1", "weights": "tf_efficientnet_lite1", "layout": "timm"}) == "base"


def test_a_short_name_is_timms_own_only_in_timms_files() -> None:
    assert training({"variant": "b0", "weights": "ra", "layout": "timm"}) == "ra_in1k"
    assert training({"variant": "b0", "weights": "ra", "layout": "lukemelas"}) == "ra"


def test_the_origin_of_a_converted_file_is_told_from_its_description() -> None:
    options = {"inexact": {"difference": 0.1}}
    said = Description("b0", "aa", Facts(), OWN, "timm", "averages", options, {}, "")
    assert said.origin().items() >= {"layout": "timm", "taken": "averages", "options": options}.items()
    found = judge(scored(0, IMAGENET_IMAGES, model={"layout": "canonical", "origin": said.origin()}))
    assert "converted inexactly" in found.sentence


def test_it_is_plain_for_json() -> None:
    found = at("77.1").to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["verdict"], found["colour"]) == (SAME, "green")
    assert found["sources"][0]["top1"] == {
        "word": SAME,
        "measured": 77.1,
        "published": 77.1,
        "difference": 0.0,
        "limit": 0.05,
    }
    assert {source["kind"] for source in found["sources"]} >= {"readme", "paper", "timm", "mmpretrain"}
