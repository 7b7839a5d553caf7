"""Every picture is an SVG for any page: safe, small, readable on light and dark, the same each time."""

import hashlib
import os
import re
import subprocess
import sys

import matplotlib
import pytest

from effconvert.report.pictures import PICTURES, Picture, picture, pictures
from helpers.places import TESTS
from helpers.report.drawn_pictures import SVG, colours, contrast, parsed, parts, texts
from helpers.report.made_documents import made_document

PALETTE = {"#2080c8", "#d55e00", "#009e73", "#cc79a7", "#808080"}
HOSTILE = "$x_1$ \\frac{1}{2} <script>alert(1)</script> & \"=cmd\" 'a'\x00\x07\n\u202egpj.exe \ud800"


@pytest.fixture(scope="module")
def drawn() -> list[Picture]:
    """The pictures of nine networks, one of which is not its source's."""
    document = made_document(9)
    comparison = document["networks"][4]["verifications"][0]["comparisons"][0]
    comparison |= {"same": False, "first": "blocks.3"}
    for row in comparison["rows"][8:]:
        row |= {"relative": 0.01, "largest": 0.01 * row["scale"], "passed": False}
    return pictures(document)


def test_there_is_a_picture_of_each_kind_and_several_of_layers(drawn: list[Picture]) -> None:
    names = [one.name.partition("-")[0] for one in drawn]
    assert tuple(dict.fromkeys(names)) == PICTURES
    assert names.count("layers") == 6


def test_pictures_have_no_external_reference_no_style_and_no_script(drawn: list[Picture]) -> None:
    for one in drawn:
        root = parsed(one.svg)
        assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {"svg", "g", "defs", "path", "use", "text"}
        assert not [element for element in root.iter() if "style" in element.attrib or "class" in element.attrib]
        assert re.findall("https?:[^\"' ]*", one.svg) == ["http://www.w3.org/2000/svg"]
        assert not one.svg.startswith("<?xml")


def test_ids_are_the_picture_s_own_and_each_is_referred_to(drawn: list[Picture]) -> None:
    ids: list[str] = []
    for one in drawn:
        elements = list(parsed(one.svg).iter())
        own = [element.attrib["id"] for element in elements if "id" in element.attrib]
        used = {element.attrib["href"].removeprefix("#") for element in elements if "href" in element.attrib}
        assert set(own) == used
        assert all(name.startswith(f"{one.name}-") for name in own)
        ids += own
    assert len(ids) == len(set(ids))


def test_colours_are_few_and_have_a_contrast_of_3_on_white_and_on_dark_pages(drawn: list[Picture]) -> None:
    for one in drawn:
        if one.name != "agreement":  # whose cells have colours of their own
            assert colours(one.svg) <= PALETTE | {"currentColor", "none"}
    for colour in PALETTE:
        assert min(contrast(colour, "#ffffff"), contrast(colour, "#121212")) >= 3


def test_shares_are_readable_in_their_cells() -> None:
    document = made_document(8)
    for row in range(8):
        for column in range(8):
            document["agreement"]["same"][row][column] = 50_000 - 700 * abs(row - column)
    one = picture(document, "agreement")
    assert one is not None
    cells = [element for element in parsed(one.svg).iter(f"{SVG}path") if element.get("fill", "").startswith("#")]
    cells = cells[: 8 * 7 // 2]
    words = parts(one.svg, "cell")
    assert len(words) == len(cells)
    for cell, word in zip(cells, words, strict=True):
        assert contrast(cell.attrib["fill"], word.attrib["fill"]) >= 4.5


def test_texts_are_texts_in_the_page_s_colour_and_large_enough(drawn: list[Picture]) -> None:
    for one in drawn:
        root = parsed(one.svg)
        scale = min(1.0, 760 / float(root.attrib["width"]))
        for text in root.iter(f"{SVG}text"):
            assert float(text.attrib["font-size"]) * scale >= 9
            assert text.get("fill") == "currentColor" or one.name == "agreement"


def test_a_picture_reads_itself_aloud(drawn: list[Picture]) -> None:
    for one in drawn:
        root = parsed(one.svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == f"{one.title}. {one.text}"
        assert re.search(r"\d", one.text)
        assert 1 <= len(re.findall(r"[.](?: |$)", one.text)) <= 4


def test_pictures_are_small(drawn: list[Picture]) -> None:
    assert all(len(one.svg.encode()) < 150_000 for one in drawn)
    assert not re.search(
        r"\d\.\d{3,}[^%]", "".join(re.sub(r"<text.*?</text>|aria-label=\".*?\"", "", one.svg) for one in drawn)
    )


def test_hostile_names_are_written_as_they_are() -> None:
    for one in pictures(made_document(3, name=HOSTILE)):
        words = texts(one.svg)
        if one.name in ("agreement", "differences", "throughput", "layers-b0-aa"):
            assert any("$x_1$" in text for text in (*words, one.title)), one.name
        everything = "".join((one.svg, one.text, one.title))
        assert everything.isprintable()
        assert "<script" not in one.svg.lower()


def test_long_names_lose_their_middle_and_keep_both_ends() -> None:
    name = "first" + "x" * 5000 + "last"
    for one in pictures(made_document(3, name=name)):
        assert max(map(len, texts(one.svg))) < 200
        assert len(one.svg) < 150_000
        shown = [text for text in texts(one.svg) if "…" in text]
        assert all(re.search(r"f.*…x*last|f.*….*t$", text) for text in shown)
    assert picture(made_document(3, name=name), "agreement").rows[0][0] == name  # type: ignore[union-attr]


def test_the_same_document_gives_the_same_bytes_whatever_the_hash_seed() -> None:
    code = (
        "import hashlib; from helpers.report.made_documents import made_document; from effconvert.report.pictures import pictures\n"
        "print(hashlib.sha256(repr(pictures(made_document(9))).encode()).hexdigest())"
    )

    def digest(seed: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(TESTS)}
        ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        return ran.stdout.strip()

    assert digest("1") == digest("2") == hashlib.sha256(repr(pictures(made_document(9))).encode()).hexdigest()


def test_a_user_s_own_settings_of_matplotlib_change_nothing_and_stay_as_they_were() -> None:
    document = made_document(2)
    expected = pictures(document)
    with matplotlib.rc_context(
        {"font.size": 30, "svg.fonttype": "path", "lines.linewidth": 9, "text.parse_math": True}
    ):
        before = dict(matplotlib.rcParams)
        assert pictures(document) == expected
        assert dict(matplotlib.rcParams) == before


def test_naming_the_pictures_imports_no_matplotlib_and_drawing_them_no_pyplot_and_no_torch() -> None:
    code = (
        "import sys; import effconvert.report.pictures as p; assert 'matplotlib' not in sys.modules\n"
        "from helpers.report.made_documents import made_document; p.pictures(made_document(2))\n"
        "assert not {'matplotlib.pyplot', 'torch'} & set(sys.modules), 'imported'"
    )
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_what_was_not_measured_is_not_drawn() -> None:
    assert [one.name for one in pictures(made_document(0))] == ["accuracy", "cost"]
    document = made_document(2, verification=False, accuracy=False)
    document["published"]["accuracy"] = []
    assert pictures(document) == []
    assert all(picture(document, name) is None for name in (*PICTURES, "layers-b0-aa"))
