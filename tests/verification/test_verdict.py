"""A verdict gives in one line the measurement, the limit, the layer, and the tolerance that would pass."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effconvert.verification.comparison import TOLERANCES
from effconvert.verification.runs import open_run
from effconvert.verification.verdict import (
    DIFFERENT,
    NOT_VERIFIABLE,
    RELAXED,
    SAME,
    Verdict,
    lacks_background,
    reach_verdict,
    rounded_to,
)
from helpers.verification.small_runs import Layers, changed, values, write_run


def verdict(
    folder: Path,
    found: Layers | None = None,
    reference: Layers | None = None,
    *,
    fed: Layers | None = None,
    tolerance: float | None = None,
    **settings: Any,
) -> Verdict:
    """The verdict on a run against another that is equal to it but for what is given."""
    one = write_run(folder / "one.npz", reference)
    other = write_run(folder / "other.npz", found or reference, fed=fed, follows=one if fed else None, **settings)
    with open_run(one) as first, open_run(other) as second:
        return reach_verdict(first, [second], tolerance)


def test_equal_runs_are_the_same_bit_for_bit(tmp_path: Path) -> None:
    found = verdict(tmp_path)
    assert (found.word, found.sentence) == (SAME, "same: every layer is equal bit for bit")


def test_the_same_within_its_tolerance_says_what_was_measured_and_what_comes_nearest(tmp_path: Path) -> None:
    found = verdict(tmp_path, changed(changed(values(), "head", 2**-17), "logits", 2**-18))
    assert found.word == SAME
    assert found.sentence == (
        "same: logits differ by 3.8e-06 of the largest value; nearest to its tolerance is head: "
        "max |Δ| is 7.6e-06 of its largest value at [0, 0, 1, 1] (allowed 2.0e-05; 7.7e-06 would have passed)"
    )


def test_the_last_layers_difference_is_that_of_the_whole_network(tmp_path: Path) -> None:
    found = verdict(tmp_path, changed(values(), "logits", 2**-17), fed=values())
    assert found.sentence.startswith("same: logits differ by 7.6e-06 of the largest value")


def test_a_difference_says_where_how_much_and_how_many_times_its_tolerance(tmp_path: Path) -> None:
    found = verdict(tmp_path, changed(values(), "blocks.0", 2**-10))
    assert found.word == DIFFERENT
    assert found.sentence == (
        "different: blocks.0 is the first layer that differs: max |Δ| is 9.8e-04 of its largest value at [0, 0, 1, 0] "
        "(49 times its tolerance of 2.0e-05)"
    )


def test_a_layer_that_differs_by_itself_says_so(tmp_path: Path) -> None:
    wrong = changed(changed(values(), "head", 1e-3), "logits", 1e-3)
    found = verdict(tmp_path, wrong, fed=changed(values(), "head", 1e-3))
    assert found.sentence.startswith("different: head is the first layer that differs: max |Δ| is 1.0e-03")
    assert " times its tolerance of 5.0e-06)" in found.sentence


def test_rounding_that_adds_up_is_not_called_a_diverging_layer(tmp_path: Path) -> None:
    found = verdict(tmp_path, changed(values(), "logits", 3e-5), fed=values())
    assert found.word == DIFFERENT
    assert found.sentence.startswith(
        "different: no layer differs in isolation; rounding adds up, and logits is the first beyond its tolerance: "
    )


def test_another_shape_is_told_with_both(tmp_path: Path) -> None:
    found = verdict(tmp_path, values() | {"head": values()["head"][:, :, :1]})
    assert found.sentence == (
        "different: head is the first layer that differs: its output has the shape [2, 6, 1, 2], the reference's has [2, 6, 2, 2]"
    )


def test_what_is_not_finite_is_counted_on_both_sides(tmp_path: Path) -> None:
    head = values()["head"].copy()
    head[:, 0] = math.nan
    found = verdict(tmp_path, values() | {"head": head})
    assert found.sentence == (
        "different: head is the first layer that differs: it has 8 NaN or infinite values, the reference's has 0"
    )


def without(*names: str) -> Layers:
    return {name: array for name, array in values().items() if name not in names}


@pytest.mark.parametrize(
    ("reference", "found", "alone"),
    [
        ((), ("logits",), "only the reference has logits"),
        (("logits",), (), "only the converted has logits"),
        ((), ("head", "pooled", "logits"), "only the reference has head, pooled, logits"),
        (("logits",), ("head",), "only the reference has head and only the converted has logits"),
        ((), ("pooled",), "only the reference has pooled"),
    ],
)
def test_an_end_or_a_layer_that_only_one_side_has_is_a_difference(
    tmp_path: Path, reference: tuple[str, ...], found: tuple[str, ...], alone: str
) -> None:
    verdict_ = verdict(tmp_path, without(*found), without(*reference))
    assert (verdict_.word, verdict_.first) == (DIFFERENT, None)
    assert verdict_.sentence == f"different: every common layer is the same, but {alone}"


def test_the_pooled_features_of_a_map_may_be_the_converted_networks_alone(tmp_path: Path) -> None:
    found = verdict(tmp_path, without("logits"), without("pooled", "logits"))
    assert (found.word, found.pairs[0].comparison.only) == (SAME, {"pooled": "converted"})


@pytest.mark.parametrize(("by", "word"), [(0.0, SAME), (1e-3, DIFFERENT)])
@pytest.mark.parametrize("end", ["blocks.0", "head"])
def test_backbones_that_end_in_the_same_layer_are_compared_to_it(
    tmp_path: Path, end: str, by: float, word: str
) -> None:
    names = list(values())
    layers = without(*names[names.index(end) + 1 :])
    found = verdict(tmp_path, changed(layers, end, by), layers)
    assert (found.word, found.pairs[0].comparison.rows[-1].layer) == (word, end)


def test_the_second_network_of_a_file_is_named_where_it_alone_differs(tmp_path: Path) -> None:
    paths = [tmp_path / "one.npz", tmp_path / "other.npz", tmp_path / "third.npz"]
    for path, layers in zip(paths, (values(), values(), changed(values(), "stem", 0.1)), strict=True):
        write_run(path, layers)
    with open_run(paths[0]) as one, open_run(paths[1]) as other, open_run(paths[2]) as third:
        found = reach_verdict(one, [other, third])
    assert found.word == DIFFERENT
    assert found.sentence.startswith(
        "different: only timm (timm 1.0.31) differs, not the canonical network of the same file; stem is the first layer"
    )


@pytest.mark.parametrize(
    ("by", "tolerance", "word"),
    [
        (2**-7, 1e-2, RELAXED),
        (0.0, 1e-2, RELAXED),
        (2**-6, 1e-2, DIFFERENT),
        (2**-17, 6e-6, DIFFERENT),
        (2**-18, 4e-6, SAME),
        (0.0, 1e-7, SAME),
    ],
)
def test_r12_a_given_tolerance_decides_and_a_looser_one_is_another_word(
    tmp_path: Path, by: float, tolerance: float, word: str
) -> None:
    found = verdict(tmp_path, changed(values(), "logits", by), tolerance=tolerance)
    assert found.word == word
    said = {"accumulated": tolerance, "fed": tolerance, "relaxed": word == RELAXED, "rounded": ""}
    assert found.to_dict()["tolerance"] == said
    assert found.to_dict()["verdict"] == word


def test_a_looser_tolerance_shows_in_the_sentence(tmp_path: Path) -> None:
    found = verdict(tmp_path, changed(values(), "logits", 2**-7), tolerance=1e-2)
    assert found.sentence.startswith(
        "same within the given tolerance of 1.0e-02: logits differ by 7.8e-03 of the largest"
    )
    assert RELAXED == "same within the given tolerance"


def test_a_looser_tolerance_shows_where_every_bit_is_equal(tmp_path: Path) -> None:
    sentence = "same within the given tolerance of 2.5e-02: every layer is equal bit for bit"
    assert verdict(tmp_path, tolerance=2.5e-2).sentence == sentence


def test_a_given_tolerance_that_is_exceeded_is_printed_with_two_digits(tmp_path: Path) -> None:
    found = verdict(tmp_path, changed(values(), "logits", 2**-6), tolerance=1.5e-2)
    assert found.sentence.startswith("different: logits is the first layer that differs: ")
    assert "(1.04 times its tolerance of 1.5e-02)" in found.sentence


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_that_were_rounded_have_their_own_tolerance_and_show(tmp_path: Path, dtype: str) -> None:
    by = 0.9 * TOLERANCES[dtype].end_to_end
    found = verdict(tmp_path, changed(values(), "logits", by), dtype=dtype)
    assert (found.word, found.rounded, found.tolerance) == (SAME, dtype, TOLERANCES[dtype])
    assert found.sentence.startswith(f"same except for the rounding to {dtype}: ")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_what_rounding_does_not_explain_is_a_difference(tmp_path: Path, dtype: str) -> None:
    found = verdict(tmp_path, changed(values(), "logits", 1.2 * TOLERANCES[dtype].end_to_end), dtype=dtype)
    assert found.word == DIFFERENT


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_source_that_was_rounded_itself_is_held_to_the_tolerance_of_float32(tmp_path: Path, dtype: str) -> None:
    layers = changed(values(), "logits", 2**-10)
    one = write_run(tmp_path / "one.npz", dtype=dtype, rounded={"stem.conv.weight": dtype})
    for by, word in ((2**-17, SAME), (2**-10, DIFFERENT)):
        other = write_run(tmp_path / "other.npz", changed(layers, "logits", by), dtype=dtype)
        with open_run(one) as reference, open_run(other) as run:
            found = reach_verdict(reference, [run])
        assert (found.word, found.rounded, found.tolerance) == (word, dtype, TOLERANCES["float32"])
    assert found.to_dict()["tolerance"]["rounded"] == dtype


def test_of_two_dtypes_that_a_source_was_rounded_to_the_coarser_is_told(tmp_path: Path) -> None:
    rounded = {"stem.conv.weight": "float16", "head.fc.weight": "bfloat16", "head.fc.bias": "float16"}
    one = write_run(tmp_path / "one.npz", dtype="bfloat16", rounded=rounded)
    other = write_run(tmp_path / "other.npz", dtype="bfloat16")
    with open_run(one) as reference, open_run(other) as run:
        found = reach_verdict(reference, [run])
    assert found.sentence == "same except for the rounding to bfloat16: every layer is equal bit for bit"


@pytest.mark.parametrize(
    ("reference", "found", "rounded"),
    [
        ("float32", "float32", ""),
        ("float32", "float16", "float16"),
        ("float32", "bfloat16", "bfloat16"),
        ("float16", "float16", ""),
        ("float16", "float32", ""),
        ("float16", "bfloat16", "bfloat16"),
        ("float32", "float64", ""),
    ],
)
def test_weights_are_rounded_where_the_references_are_not(reference: str, found: str, rounded: str) -> None:
    assert rounded_to({"dtype": reference}, {"dtype": found}) == rounded


def test_one_image_shows_nothing(tmp_path: Path) -> None:
    found = verdict(tmp_path, reference=values(images=1))
    assert (found.word, found.sensitivity) == (NOT_VERIFIABLE, 0.0)
    assert found.sentence == (
        "not verifiable: one image cannot show whether the network reacts to its input; give two or more, "
        'with images="FOLDER"'
    )


def test_a_network_that_gives_the_same_of_every_image_is_not_verifiable(tmp_path: Path) -> None:
    layers = {name: np.repeat(array[:1], 2, 0) for name, array in values().items()}
    found = verdict(tmp_path, reference=layers)
    assert (found.word, found.sensitivity) == (NOT_VERIFIABLE, 0.0)
    assert found.sentence.startswith(
        "not verifiable: the reference hardly reacts to its input (sensitivity 0, needed 0.1), so "
    )


def test_images_that_are_all_the_same_show_nothing(tmp_path: Path) -> None:
    images = np.ones((2, 3, 8, 8), np.float32)
    paths = [write_run(tmp_path / name, images=images) for name in ("one.npz", "other.npz")]
    with open_run(paths[0]) as one, open_run(paths[1]) as other:
        found = reach_verdict(one, [other])
    assert found.sensitivity > 0.1
    assert found.sentence == (
        "not verifiable: the images are all the same, so they cannot show whether the network reacts to its input; "
        'give different ones, with images="FOLDER"'
    )


def test_of_one_class_the_features_that_it_is_made_of_must_react(tmp_path: Path) -> None:
    """Two values of one class are always the whole of their own range."""
    reacting = values() | {"logits": np.array([[1], [2]], np.float32)}
    blind = reacting | {"pooled": np.repeat(reacting["pooled"][:1], 2, 0)}
    blind["pooled"][0, 0] += 1e-3
    assert verdict(tmp_path, reference=reacting, classes=1).word == SAME
    (tmp_path / "blind").mkdir()
    found = verdict(tmp_path / "blind", reference=blind, classes=1)
    assert found.word == NOT_VERIFIABLE
    assert 0 < found.sensitivity < 1e-3


def test_one_constant_for_every_class_is_not_verifiable(tmp_path: Path) -> None:
    found = verdict(tmp_path, reference=values() | {"logits": np.full((2, 10), 3, np.float32)})
    assert (found.word, found.sensitivity) == (NOT_VERIFIABLE, 0.0)


@pytest.mark.parametrize(("share", "word"), [(0.09, NOT_VERIFIABLE), (0.11, SAME)])
def test_a_tenth_of_the_range_is_the_least_sensitivity(tmp_path: Path, share: float, word: str) -> None:
    logits = np.zeros((2, 10), np.float32)
    logits[:, 0] = 1
    logits[1, 1] = share
    assert verdict(tmp_path, reference=values() | {"logits": logits}).word == word


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_reference_that_is_not_finite_is_not_verifiable(tmp_path: Path, value: float) -> None:
    found = verdict(tmp_path, values(), values() | {"logits": np.full((2, 10), value, np.float32)})
    assert found.sentence == (
        "not verifiable: the reference's own outputs are NaN or infinite; take a checkpoint from before the training "
        "failed"
    )
    assert found.to_dict()["sensitivity"] is None


def test_a_difference_on_one_image_is_still_not_verifiable(tmp_path: Path) -> None:
    found = verdict(tmp_path, changed(values(images=1), "stem", 1), values(images=1))
    assert found.word == NOT_VERIFIABLE


def test_a_background_class_left_out_compares_the_other_thousand(tmp_path: Path) -> None:
    reference = values(classes=1001)
    found = reference | {"logits": reference["logits"][:, 1:]}
    one = write_run(tmp_path / "one.npz", reference, classes=1001)
    other = write_run(tmp_path / "other.npz", found, classes=1000)
    with open_run(one) as first, open_run(other) as second:
        assert reach_verdict(first, [second]).sentence == "same: every layer is equal bit for bit"


def test_the_wrong_end_of_the_classes_left_out_is_a_difference(tmp_path: Path) -> None:
    reference = values(classes=1001)
    one = write_run(tmp_path / "one.npz", reference, classes=1001)
    found = reference | {"logits": reference["logits"][:, :-1]}
    other = write_run(tmp_path / "other.npz", found, classes=1000)
    with open_run(one) as first, open_run(other) as second:
        found_verdict = reach_verdict(first, [second])
    assert found_verdict.word == DIFFERENT
    assert found_verdict.first is not None
    assert found_verdict.first.layer == "logits"


@pytest.mark.parametrize("classes", [9, 11])
def test_another_number_of_classes_is_a_difference(tmp_path: Path, classes: int) -> None:
    logits = np.resize(values()["logits"], (2, classes))
    found = verdict(tmp_path, values() | {"logits": logits}, classes=classes)
    assert (
        f"logits is the first layer that differs: its output has the shape [2, {classes}], the reference's has [2, 10]"
        in found.sentence
    )


@pytest.mark.parametrize(
    ("there", "here", "lacks"), [(1001, 1000, True), (1000, 1000, False), (1001, 1001, False), (11, 10, False)]
)
def test_only_a_thousand_and_one_classes_have_a_background(there: int, here: int, lacks: bool) -> None:
    assert lacks_background({"classes": there}, {"classes": here}) is lacks


def test_agreeing_classes_do_not_make_a_difference_the_same(tmp_path: Path) -> None:
    found = verdict(tmp_path, changed(values(), "logits", 1e-3))
    assert (found.pairs[0].comparison.top1, found.pairs[0].comparison.top5, found.word) == (1.0, 1.0, DIFFERENT)


def test_the_plain_values_hold_every_row_and_no_nan(tmp_path: Path) -> None:
    head = np.full_like(values()["head"], math.nan)
    plain = verdict(tmp_path, values() | {"head": head}, fed=values()).to_dict()
    rows = plain["comparisons"][0]["rows"]
    assert [row["layer"] for row in rows] == [name for name in values() for _ in range(2)]
    assert "nan" not in repr(plain).replace("NaN or infinite", "")
    assert plain["comparisons"][0]["framework"] == "timm (timm 1.0.31)"
