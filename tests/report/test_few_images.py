"""An accuracy of few images that nobody published says on how many it was measured, and why it is not compared."""

from typing import Any

from effconvert.report.pictures import picture, pictures
from effconvert.report.renderings.markdown import render_markdown
from effconvert.report.renderings.page import render_page
from effconvert.validate.accuracy.statistics import Proportion
from helpers.report.drawn_pictures import texts
from helpers.report.made_documents import made_document, typed

REASON = "the images are not ImageNet's validation set"


def of_photographs() -> dict[str, Any]:
    """Return a report of a network that was run on 20 photographs, 17 of them right."""
    document = made_document(1)
    network = document["networks"][0]
    accuracy = network["accuracy"]
    accuracy |= {"images": 20, "top1": Proportion(17, 20).to_dict(), "top5": Proportion(19, 20).to_dict()}
    accuracy |= {"verdict": "not judged", "colour": "", "sentence": f"not judged: {REASON}", "groups": []}
    for source in accuracy["sources"]:
        for judged in (source["top1"], source["top5"]):
            if judged:
                judged |= {"word": "not judged", "measured": 85.0, "difference": 8.123, "limit": None}
        source |= {"decides": False, "own_preprocessing": False, "reason": REASON}
    check = next(check for check in network["verdicts"] if check["check"] == "accuracy")
    check |= {"verdict": "not judged", "measured": "85 % top-1 of 20 images", "allowed": "", "reason": REASON}
    summary = network["summary"]
    summary |= {"verdict": "incomplete", "words": "passed 6 of 7; accuracy not judged"}
    summary["top1"] |= {"measured": 85.0, "difference": None}
    summary["top5"] |= {"measured": 95.0, "difference": None}
    return document


def page_of(document: dict[str, Any]) -> str:
    return render_page(typed(document), pictures(document))


def test_the_first_table_says_how_many_images_and_why_the_accuracy_is_not_compared() -> None:
    page = page_of(of_photographs())
    first = page[: page.index('<section id="verdicts"')]
    assert ">85<small>20 images</small></td>" in first
    assert "accuracy not judged: the images are not ImageNet&#39;s validation set" in first


def test_what_is_not_compared_has_a_difference_nowhere_and_one_that_is_has_it() -> None:
    document = of_photographs()
    text = render_markdown(typed(document))
    for rendered in (page_of(document).partition("Against each published source")[2].partition("</details>")[0], text):
        assert REASON in rendered.replace("&#39;", "'")
        assert "8.123" not in rendered
        assert "+8" not in rendered
    document["networks"][0]["accuracy"]["verdict"] = "same"
    assert "+8" in render_markdown(typed(document))


def test_twenty_images_bear_no_decimals() -> None:
    document = of_photographs()
    page, text = page_of(document), render_markdown(typed(document))
    for rendered in (page.partition('<figure id="picture-')[0], text):
        assert "85.0" not in rendered.replace('data-value="85.0"', "")
    assert "top-1 85 %, top-5 95 % of 20 images" in page
    assert "| 20 | 85 % | 64 to 95 % | 95 % |" in text


def test_an_accuracy_that_is_not_judged_among_other_checks_says_why_too() -> None:
    document = of_photographs()
    document["networks"][0]["summary"]["words"] = "passed 5 of 7; accuracy, operations not judged"
    assert "<small>accuracy: the images are not ImageNet" in page_of(document)


def test_the_picture_of_differences_says_why_none_is_judged_and_its_legend_has_what_is_drawn() -> None:
    one = picture(of_photographs(), "differences")
    assert one is not None
    assert f"No difference was judged: {REASON}." in one.text
    assert "85 % against" in one.text
    legend = {"published", "measured, not judged", "95 % interval"}
    possible = legend | {"measured", "measured, with the source's own preprocessing", "limit of the verdict"}
    assert possible & set(texts(one.svg)) - {"measured"} == legend  # that is the head of a column too
    judged = picture(made_document(3), "differences")
    assert judged is not None
    assert possible <= set(texts(judged.svg)) | {"measured, not judged"}
