"""Pictures draw the numbers of the tables, and name what they leave out."""

import math
from typing import Any

import pytest

from effconvert.report.document import build_report, published_report
from effconvert.report.pictures import Picture, picture, pictures
from helpers.report.drawn_pictures import corners, hollow, markers, numbered, parts, texts
from helpers.report.made_documents import made_document
from helpers.report.measured import Real


def drawn(document: dict[str, Any], name: str) -> Picture:
    found = picture(document, name)
    assert found is not None
    return found


def columns(one: Picture, *names: str, **such: Any) -> list[tuple[Any, ...]]:
    """Return these columns of the table, of the rows that have such values."""
    rows = [dict(zip(one.headers, row, strict=True)) for row in one.rows]
    return [tuple(row[name] for name in names) for row in rows if such.items() <= row.items()]


def assert_stand_at(places: list[float], values: list[float], ticks: list[tuple[float, float]]) -> None:
    """Assert that values lie where the numbers of the axis, pairs of (value, pixel), say that they do."""
    (low, at_low), (high, at_high) = min(ticks), max(ticks)
    pixels = (at_high - at_low) / (high - low)
    first = places[0] - pixels * values[0]
    assert abs(first - (at_low - pixels * low)) < 5  # a number's baseline is under its line
    for place, value in zip(places, values, strict=True):
        assert place - first == pytest.approx(pixels * value, abs=0.05)


def test_published_accuracies_are_hollow_and_measured_ones_solid() -> None:
    one = drawn(made_document(5), "accuracy")
    for kind in ("published", "measured"):
        shown = markers(one.svg, f"{kind} top1")
        assert len(shown) == len(columns(one, kind=kind, metric="top1", drawn=True)) > 0
        assert {hollow(marker) for marker in shown} == {kind == "published"}


def test_accuracies_stand_where_the_axis_says() -> None:
    document = made_document(1)
    one = drawn(document, "accuracy")
    percents = [row[0] for row in columns(one, "percent", kind="published", framework="TensorFlow (timm)", drawn=True)]
    ticks = [(number, y) for number, x, y in numbered(one.svg) if x < 50 and number.is_integer() and 70 < number < 90]
    assert len(percents) > 5
    ys = sorted(float(marker.attrib["y"]) for marker in markers(one.svg, "published top1"))
    values = sorted(
        (row[0] for row in columns(one, "percent", kind="published", metric="top1", drawn=True)), reverse=True
    )
    assert_stand_at(ys, values, ticks)


def test_the_usual_training_of_a_variant_is_drawn_and_figures_that_decide_nothing_are_not() -> None:
    one = drawn(made_document(0), "accuracy")
    trainings = columns(one, "weights", variant="b0", source="readme", drawn=True)
    assert trainings == [("aa",)]
    assert columns(one, "weights", variant="l2", source="readme", drawn=True) == [("ns",)]
    assert columns(one, "percent", decides=False, drawn=True) == []
    assert columns(one, "percent", decides=False)


def test_of_many_networks_of_a_variant_a_few_are_drawn_and_the_others_are_said_to_be_in_the_table() -> None:
    one = drawn(made_document(80), "accuracy")
    assert len(columns(one, kind="measured", metric="top1")) == 80
    assert len(markers(one.svg, "measured top1")) == 8 * 4
    assert "At most 4 networks of a variant are drawn; 48 more are only in the table" in one.text


def test_networks_of_one_name_stand_side_by_side() -> None:
    document = made_document(2)
    document["networks"][1] |= {"name": document["networks"][0]["name"], "variant": "b0"}
    document["networks"][1]["accuracy"] = document["networks"][0]["accuracy"]
    one = drawn(document, "accuracy")
    left, right = (float(marker.attrib["x"]) for marker in markers(one.svg, "measured top1"))
    assert right - left > 4
    assert len(markers(drawn(document, "cost").svg, "measured parameters")) == 2


@pytest.mark.parametrize(
    "changed",
    [{"imagenet_validation": False}, {"chosen": "subset"}, {"labels": "real.json"}],
    ids=["data", "subset", "labels"],
)
def test_accuracies_of_other_images_or_labels_do_not_stand_beside_published_ones(changed: dict[str, Any]) -> None:
    document = made_document(2)
    document["networks"][1]["dataset"] |= changed
    document["networks"][1]["accuracy"] |= {"verdict": "not judged", "colour": ""}
    for name, shows in (("accuracy", "measured top1"), ("cost", "measured parameters")):
        one = drawn(document, name)
        assert len(markers(one.svg, shows)) == 1
        assert "not on ImageNet's validation images: 1 measured here" in one.text
        (row,) = set(columns(one, "drawn", kind="measured", variant="b1"))
        assert row == (False,)


def test_a_file_of_imagenet_s_own_labels_is_as_good_as_none() -> None:
    document = made_document(1)
    document["networks"][0]["dataset"]["labels"] = "val.txt"
    assert markers(drawn(document, "accuracy").svg, "measured top1")


def test_differences_from_one_publisher_stand_in_a_panel_of_their_own() -> None:
    one = drawn(published_report().to_dict(), "accuracy")
    found = {
        (metric, variant, framework): percent
        for metric, variant, framework, percent in columns(one, "metric", "variant", "framework", "percent", drawn=True)
    }
    for metric, name, publisher in (("top1", "Top-1", "TensorFlow"), ("top5", "Top-5", "timm")):
        assert f"{name} minus {publisher}, points" in texts(one.svg)
        expected = [
            percent - found[metric, variant, publisher]
            for (of, variant, framework), percent in found.items()
            if of == metric and framework != publisher and (metric, variant, publisher) in found
        ]
        shown = [float(marker.attrib["y"]) for marker in markers(one.svg, f"published difference {metric}")]
        assert len(shown) == len(expected) > 15
        pixels = (max(shown) - min(shown)) / (max(expected) - min(expected))
        heights = sorted((max(shown) - y) / pixels + min(expected) for y in shown)
        assert heights == pytest.approx(sorted(expected), abs=0.005)


def test_a_network_of_another_training_has_no_difference_from_the_usual_one() -> None:
    document = made_document(2)
    document["published"] = published_report().to_dict()["published"]
    document["networks"][1]["weights"] = "ns"
    one = drawn(document, "accuracy")
    assert len(markers(one.svg, "measured top1")) == 2
    assert len(markers(one.svg, "measured difference top1")) == 1
    assert "; 1 of another training are in no panel of differences." in one.text


@pytest.mark.parametrize("name", ["accuracy", "cost"])
def test_a_report_without_a_run_on_imagenet_s_images_has_no_picture_of_published_numbers_only(name: str) -> None:
    document = made_document(2)
    for network in document["networks"]:
        network["dataset"]["imagenet_validation"] = False
    assert picture(document, name) is None


@pytest.mark.parametrize("quantity", ["multiply_adds", "parameters"])
def test_cost_draws_a_marker_for_each_row_of_its_table(quantity: str) -> None:
    one = drawn(made_document(9), "cost")
    for kind in ("published", "measured"):
        shown = markers(one.svg, f"{kind} {quantity}")
        assert len(shown) == len(columns(one, kind=kind)) > 0
        assert {hollow(marker) for marker in shown} == {kind == "published"}


def test_costs_stand_on_a_log_scale() -> None:
    one = drawn(made_document(0), "cost")
    places = sorted(float(marker.attrib["x"]) for marker in markers(one.svg, "published parameters"))
    values = sorted(math.log10(row[0] / 1e6) for row in columns(one, "parameters", kind="published"))
    ticks = sorted({(math.log10(number), x) for number, x, y in numbered(one.svg) if y > 600 and x > 50})
    assert_stand_at(places, values, ticks)


def test_every_variant_has_its_name_and_no_name_hides_another() -> None:
    one = drawn(made_document(12), "cost")
    variants = {row[0] for row in columns(one, "variant")}
    labels = parts(one.svg, "label")
    assert {label.text for label in labels} >= variants
    places = [(float(label.attrib["x"]), float(label.attrib["y"])) for label in labels]
    for number, (x, y) in enumerate(places):
        assert all(abs(x - right) > 14 or abs(y - down) > 10 for right, down in places[:number])


def test_multiply_adds_at_another_size_are_scaled_by_its_pixels_and_marked() -> None:
    one = drawn(made_document(0), "cost")
    scaled = columns(
        one, "multiply_adds", "size", variant="b0", weights="ra4_e3600_r224_in1k", multiply_adds_scaled=True
    )
    assert scaled == [(round(386e6 * (256 / 224) ** 2), 256)]
    assert "scaled by the number of pixels" in one.text


def _broken() -> dict[str, Any]:
    """A report whose second network differs from blocks.3 on, and is equal to the last bit at the stem."""
    document = made_document(2)
    comparison = document["networks"][1]["verifications"][0]["comparisons"][0]
    comparison |= {"same": False, "first": "blocks.3"}
    document["networks"][1]["verifications"][0]["comparisons"] = [comparison]
    for row in comparison["rows"]:
        if row["layer"] == "stem":
            row |= {"relative": 0.0, "largest": 0.0, "mean": 0.0}
        elif row["layer"] == "blocks.3" or (row["mode"] == "accumulated" and row["layer"] in ("head", "logits")):
            row |= {"relative": 0.004, "largest": 0.004 * row["scale"], "passed": False}
    return document


def test_the_network_that_differs_most_is_the_first_of_the_layers() -> None:
    names = [one.name for one in pictures(_broken()) if one.name.startswith("layers")]
    assert names == ["layers-b1-aa", "layers-b0-aa"]
    assert drawn(_broken(), "layers").name == "layers-b1-aa"
    assert drawn(_broken(), "layers-b0-aa").name == "layers-b0-aa"
    assert picture(_broken(), "layers-none") is None


def test_every_layer_has_its_largest_error_solid_and_its_mean_hollow() -> None:
    one = drawn(_broken(), "layers")
    for what in ("largest", "mean"):
        shown = markers(one.svg, what)
        assert len(shown) == len(one.rows)
        assert {hollow(marker) for marker in shown} == {what == "mean"}


def test_exact_zeros_stand_on_a_line_that_says_0() -> None:
    one = drawn(_broken(), "layers")
    zeros = [y for number, x, y in numbered(one.svg) if number == 0 and x < 60]
    assert len(zeros) == 2
    for first, zero in zip((0, len(one.rows) // 2), zeros, strict=True):
        assert float(markers(one.svg, "largest")[first].attrib["y"]) == pytest.approx(zero, abs=5)


def test_the_first_layer_that_differs_is_marked_in_both_panels() -> None:
    one = drawn(_broken(), "layers")
    assert [text.text for text in parts(one.svg, "first")] == ["first divergence: blocks.3"] * 2
    assert "blocks.3 diverges first" in one.text
    assert not parts(drawn(_broken(), "layers-b0-aa").svg, "first")


def test_layers_within_the_tolerance_stand_in_its_band_and_others_above() -> None:
    one = drawn(_broken(), "layers")
    bands = [corners(shape) for shape in parts(one.svg, "tolerance")]
    passed = [row[0] for mode in ("accumulated", "fed") for row in columns(one, "passed", mode=mode)]
    ys = [float(marker.attrib["y"]) for marker in markers(one.svg, "largest")]
    half = len(ys) // 2
    for number, (y, good) in enumerate(zip(ys, passed, strict=True)):
        band = bands[number >= half]
        assert (band[1] < y) == good
    assert [text for text in texts(one.svg) if text.startswith("tolerance")] == ["tolerance 2.0e-5", "tolerance 5.0e-6"]


def test_layers_that_are_not_finite_are_crosses_and_said_in_words() -> None:
    document = made_document(1)
    row = document["networks"][0]["verifications"][0]["comparisons"][0]["rows"][4]
    row |= dict.fromkeys(("largest", "mean", "relative", "cosine")) | {"passed": False}
    one = drawn(document, "layers")
    assert len(markers(one.svg, "not finite")) == 1
    assert "not finite" in texts(one.svg)
    assert f"{row['layer']} (end to end): not finite" in one.text
    assert columns(one, "largest_relative", layer=row["layer"], mode=row["mode"]) == [(None,)]


def test_tiny_and_huge_errors_and_layers_without_a_name_are_drawn() -> None:
    document = made_document(1)
    rows = document["networks"][0]["verifications"][0]["comparisons"][0]["rows"]
    rows[4]["layer"] = rows[5]["layer"] = ""
    rows[0] |= {"relative": 5e-324, "mean": 5e-324}
    rows[2] |= {"relative": 1e308, "largest": 1e308, "mean": 1e300}
    assert len(markers(drawn(document, "layers").svg, "largest")) == len(rows)


def test_agreement_writes_every_pair_once_and_100_only_where_all_images_agree() -> None:
    document = made_document(3)
    document["agreement"]["same"] = [[50_000, 50_000, 49_999], [50_000, 50_000, 45_678], [49_999, 45_678, 50_000]]
    one = drawn(document, "agreement")
    assert [cell.text for cell in parts(one.svg, "cell")] == ["100", "99.9", "91.3"]
    assert columns(one, "same_top1") == [(50_000,), (49_999,), (45_678,)]
    assert "(91.3 %)" in one.text
    assert "(100 %)" in one.text


def test_networks_without_common_images_have_no_share() -> None:
    document = made_document(3)
    for matrix in ("images", "same"):
        document["agreement"][matrix][0][2] = document["agreement"][matrix][2][0] = 0
    one = drawn(document, "agreement")
    assert [cell.text for cell in parts(one.svg, "cell")][1] == "-"
    assert columns(one, "percent")[1] == (None,)
    document["agreement"]["images"] = [[0] * 3] * 3
    assert picture(document, "agreement") is None


def test_of_many_networks_the_20_that_agree_least_are_drawn() -> None:
    document = made_document(25)
    for other in range(25):
        for one, two in ((24, other), (other, 24)):
            document["agreement"]["same"][one][two] = 30_000
    document["agreement"]["left_out"] = 75
    picture = drawn(document, "agreement")
    assert len(parts(picture.svg, "cell")) == 20 * 19 // 2
    assert len(picture.rows) == 25 * 24 // 2
    assert "The 20 of 100 networks that agree least are drawn" in picture.text
    assert any(document["networks"][24]["name"] in text for text in texts(picture.svg))


def test_differences_stand_where_the_axis_says_with_the_limit_around_0() -> None:
    document = made_document(3)
    one = drawn(document, "differences")
    differences = sorted((row[0] for row in columns(one, "difference", metric="top1")), reverse=True)
    xs = [float(marker.attrib["x"]) for marker in markers(one.svg, "measured")]
    lowest = max(y for _, _, y in numbered(one.svg))
    ticks = [(number, x) for number, x, y in numbered(one.svg) if y == lowest]
    assert_stand_at(xs, differences, ticks)
    zeros = {marker.attrib["x"] for marker in markers(one.svg, "published")}
    assert len(zeros) == 1
    assert all(hollow(marker) for marker in markers(one.svg, "published"))
    limits = [corners(shape) for shape in parts(one.svg, "limit")]
    assert len(limits) == len([row for row in columns(one, "limit") if row[0] is not None])
    assert all((left + right) / 2 == pytest.approx(float(zeros.copy().pop()), abs=0.1) for left, _, right, _ in limits)


def test_the_furthest_apart_are_drawn_of_many_and_one_beyond_the_axis_is_an_arrow() -> None:
    document = made_document(30)
    far = document["networks"][7]["accuracy"]["sources"][0]["top1"]
    far |= {"difference": -20.0, "word": "away"}
    one = drawn(document, "differences")
    assert len(markers(one.svg, "measured")) == len(columns(one, drawn=True)) == 40
    assert len(columns(one, metric="top1")) == 90
    assert "40 of 90 pairs of network and source are drawn: deciding ones, then the furthest apart." in one.text
    assert "1 is beyond the limits, 10 without a limit." in one.text
    assert min(row[0] for row in columns(one, "difference", drawn=True)) == -20
    xs = [float(marker.attrib["x"]) for marker in markers(one.svg, "measured")]
    assert xs[-1] == min(xs)


def _shares(one: Picture, *stages: str) -> dict[str, float]:
    """Return the percent of the elapsed time that each bar of the first run shows, by the numbers of the axis."""
    ticks = [(number, x) for number, x, y in numbered(one.svg) if y > 60]
    (low, at_low), (high, at_high) = min(ticks), max(ticks)
    percent = (at_high - at_low) / (high - low)
    boxes = {stage: corners(parts(one.svg, stage)[0]) for stage in stages}
    return {stage: (right - left) / percent for stage, (left, _, right, _) in boxes.items()}


def test_stages_are_shares_of_the_time_that_passed() -> None:
    document = made_document(1)
    found = document["networks"][0]["throughput"]
    found |= {"images_per_second": 100.0, "model_images_per_second": 200.0, "prepared_per_core_second": 50.0}
    found |= {"stages": {"reading": 20.0, "preparing": 40.0, "copying": 3.0, "waiting": 8.0}, "workers": 4, "ranks": 2}
    found |= {"seconds": 20.0}
    one = drawn(document, "throughput")  # of 2,000 images
    seconds = {"reading": 20 / 8, "preparing": 40 / 8, "waiting": 8 / 2, "copying": 3 / 2, "computing": 2000 / 200 / 2}
    expected = {stage: 100 * time / 20 for stage, time in seconds.items()}
    assert _shares(one, *expected) == pytest.approx(expected, abs=0.1)
    assert {"100 images/s", "20 s in all"} < set(texts(one.svg))
    assert "8 workers, 2 processes, float32, cpu" in texts(one.svg)


def test_the_seconds_of_a_run_are_those_of_all_its_images_as_those_of_its_stages_are(real: Real) -> None:
    (network,) = build_report([real.run]).to_dict()["networks"]
    found = network["throughput"]
    assert found["seconds"] >= found["stages"]["reading"] + found["stages"]["preparing"] > 0


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_stages_are_never_longer_than_the_time_that_passed(device: str) -> None:
    document = made_document(1)
    found = document["networks"][0]["throughput"]
    found |= {"images_per_second": 20.0, "model_images_per_second": 25.0, "prepared_per_core_second": 40.0}
    found |= {"stages": {"reading": 0.4, "preparing": 50 / 40, "copying": 1.5, "waiting": 2.9}, "workers": 2}
    found |= {"seconds": 1.2, "device": device}  # as if the first images were not in it
    shares = _shares(drawn(document, "throughput"), "reading", "preparing", "computing", "copying", "waiting")
    assert shares["reading"] + shares["preparing"] <= 100.1
    assert shares["computing"] + shares["copying"] + shares["waiting"] == pytest.approx(100, abs=0.1)


def test_the_slowest_runs_are_drawn_of_many_and_runs_that_were_not_timed_are_left_out() -> None:
    document = made_document(30)
    document["networks"][3]["throughput"] = None
    document["networks"][4]["throughput"]["images_per_second"] = None
    one = drawn(document, "throughput")
    assert len([text for text in texts(one.svg) if text.endswith("images/s")]) == 20
    assert len(one.rows) == 28
    assert "The 20 slowest of 28 runs are drawn" in one.text


def test_runs_that_know_little_of_their_time_are_drawn_all_the_same() -> None:
    document = made_document(1)
    found = document["networks"][0]["throughput"]
    found |= {name: None for name in found if name not in ("images_per_second", "stages")}
    found["stages"] = dict.fromkeys(found["stages"])
    assert "350 images/s" in texts(drawn(document, "throughput").svg)


def test_the_publishers_of_a_variant_are_compared_in_one_training() -> None:
    one = drawn(published_report().to_dict(), "accuracy")
    trainings: dict[str, set[str]] = {}
    for variant, weights in columns(one, "variant", "weights", kind="published", drawn=True):
        trainings.setdefault(variant, set()).add(weights)
    shared = {variant: found & {"base", "aa", "ra", "advprop", "ns"} for variant, found in trainings.items()}
    assert {variant for variant, found in shared.items() if len(found) != 1} == set()
    assert (shared["b0"], shared["b8"], shared["l2"], shared["edgetpu-s"]) == ({"aa"}, {"advprop"}, {"ns"}, {"base"})
    assert columns(one, "percent", variant="edgetpu-s", framework="timm", drawn=True) == []
    assert {"imagenet1k_v1", "mindvision", "mindcv"} < trainings["b0"]


def test_of_many_differences_those_that_decide_are_drawn_before_others_that_are_further_apart() -> None:
    document = made_document(60)
    for network in document["networks"]:
        for place, source in enumerate(network["accuracy"]["sources"]):
            source["decides"] = place == 0 and network is not document["networks"][0]
            source["top1"]["difference"] = 0.01 if source["decides"] else -3.0
    assert columns(drawn(document, "differences"), "difference", decides=False, drawn=True) == []
