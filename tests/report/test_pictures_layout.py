"""Nothing of a picture hides another part, is cut without a mark, or goes unnamed."""

import copy
from itertools import combinations
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from effconvert.report.document import published_report
from effconvert.report.pictures import Picture, picture, pictures
from effconvert.report.pictures.style import text_width
from helpers.report.drawn_pictures import SVG, corners, markers, parsed, parts, texts
from helpers.report.made_documents import made_document

LAYERS = ("stem", *(f"blocks.{number}" for number in range(88)), "head", "pooled", "logits")
Box = tuple[float, float, float, float]


def several(networks: int) -> dict[str, Any]:
    """A report of networks beside all that was published."""
    return made_document(networks) | {"published": published_report().to_dict()["published"]}


def with_an_outlier() -> dict[str, Any]:
    """A report of six networks, one of which is right for hardly any image, and slow."""
    document = several(6)
    network = document["networks"][2]
    for metric in ("top1", "top5"):
        network["accuracy"][metric] |= {"percent": 0.1, "interval": [0.07, 0.13]}
    for source in network["accuracy"]["sources"]:
        source["top1"] |= {"measured": 0.1, "difference": 0.1 - source["top1"]["published"], "word": "away"}
    network["throughput"] |= {"images_per_second": 0.4, "seconds": 125_000.0, "model_images_per_second": 0.5}
    return document


def of_few_images() -> dict[str, Any]:
    """A report of six networks, two of which have so few images that their intervals are wide."""
    document = several(6)
    for network, half in zip(document["networks"], (20.0, 20.0, 0.2, 0.2, 0.2, 0.2), strict=True):
        percent = network["accuracy"]["top1"]["percent"]
        network["accuracy"]["top1"]["interval"] = [percent - half, percent + half]
    return document


def compared(*relatives: float, first: str | None = None) -> dict[str, Any]:
    """A report of the deepest network, with a comparison for each value: that of the last three layers."""
    document = made_document(1)
    verification = document["networks"][0]["verifications"][0]
    whole = verification["comparisons"][0]
    rows = [
        copy.deepcopy(whole["rows"][2 * (number % 20) + mode]) | {"layer": layer}
        for number, layer in enumerate(LAYERS)
        for mode in (0, 1)
    ]
    verification["comparisons"] = [
        whole
        | {"framework": f"a framework with a long name, release {number}.0.1", "first": first}
        | {"rows": [*rows[:-6], *(row | {"relative": relative} for row in rows[-6:])]}
        for number, relative in enumerate(relatives)
    ]
    return document


DOCUMENTS = {
    "published": lambda: published_report().to_dict(),
    "one": lambda: several(1),
    "ten": lambda: several(10),
    "forty": lambda: several(40),
    "outlier": with_an_outlier,
    "few images": of_few_images,
    "deep": lambda: compared(1e-6, 2e-6, 0.3, first="pooled"),
    "fails at once": lambda: compared(0.3, first="stem"),
    "long names": lambda: made_document(3, name="a-long-name-" * 30),
    "one point": lambda: made_document(1) | {"published": published_report().to_dict()["published"] | {"accuracy": []}},
}


def box(text: Element) -> Box:
    """Return the box around a text: left, top, right, bottom."""
    size, x, y = (float(text.attrib[name]) for name in ("font-size", "x", "y"))
    width = text_width(text.text or "", size) * (1.1 if text.get("font-weight") == "bold" else 1)
    left = x - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[text.get("text-anchor", "start")]
    return left, y - 0.72 * size, left + width, y + 0.05 * size


def overlap(one: Box, other: Box) -> bool:
    """Return whether two boxes share more than a pixel."""
    return all(min(one[side + 2], other[side + 2]) - max(one[side], other[side]) > 1 for side in (0, 1))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_text_hides_another_or_leaves_the_picture(document: str) -> None:
    for one in pictures(DOCUMENTS[document]()):
        root = parsed(one.svg)
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        found = [(text.text, box(text)) for text in root.iter(f"{SVG}text")]
        hidden = [(text, other) for (text, place), (other, there) in combinations(found, 2) if overlap(place, there)]
        outside = [text for text, (left, top, *end) in found if min(left, top) < 0 or end[0] > width or end[1] > height]
        assert (one.name, hidden, outside) == (one.name, [], [])


def layers_of(document: dict[str, Any]) -> Picture:
    found = picture(document, "layers")
    assert found is not None
    return found


def test_every_layer_has_its_name_however_many_there_are() -> None:
    expected = {layer.removeprefix("blocks.") for layer in LAYERS}
    assert set(texts(layers_of(compared(1e-6)).svg)) >= expected


def test_names_of_frameworks_are_whole_in_the_legend() -> None:
    shown = texts(layers_of(compared(1e-6, 2e-6, 3e-6)).svg)
    assert [text for text in shown if text.startswith("a framework")] == [
        f"a framework with a long name, release {number}.0.1" for number in range(3)
    ]


def test_equal_curves_are_one_and_the_legend_says_so() -> None:
    one = layers_of(compared(1e-6, 2e-6, 1e-6))
    assert any(
        "release 0.0.1 and a framework with a long name, release 2.0.1 (equal)" in text for text in texts(one.svg)
    )
    assert len(markers(one.svg, "largest")) == 2 * 2 * len(LAYERS)


def test_a_curve_under_another_is_wider_so_that_both_show() -> None:
    root = parsed(layers_of(compared(1e-6, 2e-6)).svg)
    widths = [element.get("stroke-width") for element in root.iter(f"{SVG}path") if element.get("stroke-width")]
    assert {"1.2", "2.2"} < set(widths)


def test_comparisons_that_are_not_drawn_are_counted() -> None:
    assert (
        "The first 3 of 5 comparisons are drawn." in layers_of(compared(*(number * 1e-6 for number in range(5)))).text
    )


@pytest.mark.parametrize(("name", "cut"), [("differences", 4 * 3), ("accuracy", None), ("cost", None)])
def test_an_interval_that_leaves_the_frame_has_arrowheads(name: str, cut: int | None) -> None:
    one = picture(of_few_images(), name)
    assert one is not None
    found = markers(one.svg, "cut")
    assert len(found) == cut if cut else found
    narrow = picture(several(6), name)
    assert narrow is not None
    assert not markers(narrow.svg, "cut")


def test_an_interval_within_the_frame_of_wide_ones_is_whole() -> None:
    document = several(3)
    for network in document["networks"]:
        percent = network["accuracy"]["top1"]["percent"]
        network["accuracy"]["top1"]["interval"] = [percent - 20, percent + 15]
    one = picture(document, "differences")
    assert one is not None
    assert not markers(one.svg, "cut")


@pytest.mark.parametrize("name", ["accuracy", "cost", "differences"])
def test_an_outlier_is_an_arrow_with_its_value_and_flattens_nothing(name: str) -> None:
    one, usual = picture(with_an_outlier(), name), picture(several(6), name)
    assert one is not None
    assert usual is not None
    beyond = [text.text for text in parts(one.svg, "beyond")]
    assert {"accuracy": "0.1", "cost": "0.1", "differences": "\N{MINUS SIGN}80.000"}[name] in beyond
    assert not parts(usual.svg, "beyond")
    kind = {"accuracy": "published top1", "cost": "published parameters", "differences": "measured"}[name]
    side = "x" if name == "differences" else "y"

    def spread(drawn: Picture) -> float:
        places = sorted(float(marker.attrib[side]) for marker in markers(drawn.svg, kind))
        return places[len(places) * 9 // 10] - places[len(places) // 4]

    assert spread(one) > 0.6 * spread(usual)


def test_bands_of_variants_are_equally_wide() -> None:
    one = picture(published_report().to_dict(), "accuracy")
    assert one is not None
    widths = [right - left for left, _, right, _ in map(corners, parts(one.svg, "band"))]
    assert len(widths) == 2 * 2 * 10
    assert max(widths) - min(widths) < 0.05


def test_both_panels_of_cost_have_titles_of_their_own_and_few_series() -> None:
    one = picture(published_report().to_dict(), "cost")
    assert one is not None
    words = texts(one.svg)
    assert {"Top-1 on ImageNet, %, by multiply-adds", "Top-1 on ImageNet, %, by parameters"} < set(words)
    assert words.count("a library's own training") == 1


def test_a_measured_point_shows_the_published_one_under_it() -> None:
    one = picture(several(1), "cost")
    assert one is not None
    root = parsed(one.svg)
    sizes = {}
    for path in (path for group in root.iter(f"{SVG}defs") for path in group):
        left, _, right, _ = corners(path)
        sizes[path.attrib["id"]] = right - left

    def size(shows: str) -> float:
        return max(sizes[marker.attrib["href"].removeprefix("#")] for marker in markers(one.svg, shows))

    assert size("measured parameters") < 0.7 * size("published parameters")
