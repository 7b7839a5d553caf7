"""A picture as a separate file: SVG, PDF, PNG for print, and its numbers as CSV."""

import csv
import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from effconvert.errors import OutputProblem
from effconvert.report.pictures import PICTURES, NothingToDraw, pictures, write_picture
from helpers.report.made_documents import made_document

HOSTILE = "=cmd|' /C calc'!A0 $x_1$ \u202egpj"


def test_an_svg_file_is_xml_with_black_ink_that_is_white_in_the_dark(tmp_path: Path) -> None:
    write_picture(made_document(0), "cost", tmp_path / "cost.svg")
    text = (tmp_path / "cost.svg").read_text(encoding="utf-8")
    assert text.startswith('<?xml version="1.0" encoding="utf-8"?>\n<svg ')
    assert "svg{color:#000}@media(prefers-color-scheme:dark){svg{color:#fff}}" in text
    ElementTree.fromstring(text.encode())


@pytest.mark.parametrize("name", PICTURES)
def test_a_png_is_black_on_white_twice_as_large_and_nothing_reaches_its_border(tmp_path: Path, name: str) -> None:
    document = made_document(12, name="x" * 300)
    write_picture(document, name, tmp_path / "picture.png")
    (one,) = [one for one in pictures(document) if one.name.partition("-")[0] == name][:1]
    width, height = (float(ElementTree.fromstring(one.svg).attrib[side]) for side in ("width", "height"))
    with Image.open(tmp_path / "picture.png") as image:
        assert image.size == pytest.approx((2 * width, 2 * height), abs=2)
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.min() < 20
    for border in (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]):
        assert (border == 255).all()


def test_a_pdf_has_its_fonts_its_title_and_no_date(tmp_path: Path) -> None:
    write_picture(made_document(0), "cost", tmp_path / "cost.pdf")
    content = (tmp_path / "cost.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/FontFile2" in content
    assert b"Accuracy against cost" in content
    assert b"CreationDate" not in content


def test_the_same_document_gives_the_same_files(tmp_path: Path) -> None:
    for suffix in ("svg", "pdf", "png", "csv"):
        for number in (1, 2):
            write_picture(made_document(3), "accuracy", tmp_path / f"{number}.{suffix}")
        assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()


def test_a_csv_has_the_whole_table_and_no_formula(tmp_path: Path) -> None:
    document = made_document(3, name=HOSTILE)
    write_picture(document, "differences", tmp_path / "differences.csv")
    (one,) = [one for one in pictures(document) if one.name == "differences"]
    rows = list(csv.reader(io.StringIO((tmp_path / "differences.csv").read_text(encoding="utf-8"))))
    assert tuple(rows[0]) == one.headers
    assert len(rows) == 1 + len(one.rows)
    assert rows[1][0] == "'=cmd|' /C calc'!A0 $x_1$ {U+202E}gpj"
    assert float(rows[1][one.headers.index("measured")]) == one.rows[0][one.headers.index("measured")]


def test_nothing_to_draw_is_said_with_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(
        NothingToDraw, match=r"agreement: nothing to draw; it needs two runs of `validate` on the same images"
    ):
        write_picture(made_document(1), "agreement", tmp_path / "agreement.svg")
    with pytest.raises(
        NothingToDraw,
        match="layers: nothing to draw; it needs compared layers: give a file of `verify --json` with --verify",
    ):
        write_picture(made_document(1, verification=False), "layers", tmp_path / "layers.svg")
    assert NothingToDraw.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_another_suffix_and_a_file_that_exists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        OutputProblem, match=r"cost\.jpg: the suffix must be \.svg, \.pdf or \.png, or \.csv for the numbers"
    ):
        write_picture(made_document(0), "cost", tmp_path / "cost.jpg")
    (tmp_path / "cost.svg").write_text("mine")
    with pytest.raises(OutputProblem, match="exists; give force=True"):
        write_picture(made_document(0), "cost", tmp_path / "cost.svg")
    assert (tmp_path / "cost.svg").read_text() == "mine"
    write_picture(made_document(0), "cost", tmp_path / "cost.svg", force=True)
    assert "<svg" in (tmp_path / "cost.svg").read_text()
