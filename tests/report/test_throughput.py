"""The picture and the table of throughput tell the same time, and say what the rate leaves out."""

from typing import Any

import pytest

from effconvert.report.pictures import picture, pictures
from effconvert.report.renderings.numbers_text import FIRST_BATCH, processes_words
from effconvert.report.renderings.page import render_page
from helpers.report.drawn_pictures import corners, parts, texts
from helpers.report.made_documents import made_document, typed


def of_few_images(**more: Any) -> dict[str, Any]:
    """Return a report of a run whose rate after the first batch is lower than its images in its seconds."""
    document = made_document(1)
    found = document["networks"][0]["throughput"]
    found |= {"images_per_second": 1.2, "model_images_per_second": 1.3, "prepared_per_core_second": 266.2}
    found |= {"seconds": 7.085, "workers": 0, "ranks": 1, "device": "cpu", "device_name": "cpu"}
    found["stages"] = {"reading": 0.003, "preparing": 0.075, "copying": 0.0, "waiting": 0.0}
    found |= more
    return document


def test_the_picture_has_the_seconds_and_the_workers_of_the_table() -> None:
    document = of_few_images()
    one = picture(document, "throughput")
    assert one is not None
    assert {"7.08 s in all", "0 workers, float32, cpu", "1.2 images/s"} <= set(texts(one.svg))
    page = render_page(typed(document), pictures(document))
    assert "0 workers, float32" in page
    assert ">7.1<" in page


def test_what_the_rate_leaves_out_stands_at_the_picture_and_at_the_table() -> None:
    document = of_few_images()
    page = render_page(typed(document), pictures(document))
    assert f"{FIRST_BATCH}.<details>" in page
    assert f"{FIRST_BATCH}</small>" in page


def test_the_network_has_at_most_the_time_that_preparing_leaves_where_no_worker_prepares() -> None:
    stages = {"reading": 1.0, "preparing": 4.0, "copying": 0.0, "waiting": 0.0}
    one = picture(of_few_images(stages=stages, seconds=10.0), "throughput")
    assert one is not None
    widths = {}
    for stage in ("band", "computing"):
        left, _, right, _ = corners(parts(one.svg, stage)[0])
        widths[stage] = right - left
    assert widths["computing"] / widths["band"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("workers", "ranks", "words"),
    [
        (0, 1, "0 workers"),
        (1, 1, "1 worker"),
        (4, 2, "8 workers, 2 processes"),
        (None, None, ""),
        (None, 2, "2 processes"),
    ],
)
def test_workers_of_every_process_are_counted(workers: int | None, ranks: int | None, words: str) -> None:
    assert processes_words(workers, ranks) == words
