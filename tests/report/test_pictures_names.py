"""Names in pictures are those of the tables, and hide nothing."""

from effconvert.report.document import published_report
from effconvert.report.pictures import picture
from effconvert.report.pictures.style import SMALL, text_width
from effconvert.report.renderings.published_views import by_publisher
from helpers.report.drawn_pictures import SVG, markers, parsed


def test_a_publisher_is_called_as_in_the_tables_with_its_library_if_it_has_two() -> None:
    one = picture(published_report().to_dict(), "accuracy")
    assert one is not None
    labels = {row[one.headers.index("framework")] for row in one.rows}
    assert {"MindSpore (MindCV)", "MindSpore (MindSpore Vision)"} < labels
    columns = {*by_publisher(published_report().published).columns, "the paper"}
    assert {label.partition(" (")[0] for label in labels} <= columns


def test_the_caption_of_accuracies_names_both_metrics() -> None:
    one = picture(published_report().to_dict(), "accuracy")
    assert one is not None
    assert "top-1" in one.text
    assert "Top-5 is below." in one.text


def test_no_name_of_a_variant_hides_a_point_by_multiply_adds() -> None:
    one = picture(published_report().to_dict(), "cost")
    assert one is not None
    points = [
        (float(each.attrib["x"]), float(each.attrib["y"])) for each in markers(one.svg, "published multiply_adds")
    ]
    names = {row[0] for row in one.rows}
    texts = [text for text in parsed(one.svg).iter(f"{SVG}text") if text.text in names]
    assert len(texts) >= 2 * len({row[0] for row in one.rows})
    for text in texts:
        x, y, half = float(text.attrib["x"]), float(text.attrib["y"]) - 4, text_width(text.text or "", SMALL) / 2
        assert not [place for place in points if abs(place[0] - x) < half and abs(place[1] - y) < 6], text.text


def test_names_of_the_smallest_variants_stand_left_of_all_lines() -> None:
    one = picture(published_report().to_dict(), "cost")
    assert one is not None
    first = min(float(each.attrib["x"]) for each in markers(one.svg, "published multiply_adds"))
    upper: dict[str | None, float] = {}
    for text in parsed(one.svg).iter(f"{SVG}text"):
        upper.setdefault(text.text, float(text.attrib["x"]) + text_width(text.text or "", SMALL) / 2)
    assert max(upper[name] for name in ("b0", "cc-b0-4e", "cc-b0-8e", "lite0")) < first
