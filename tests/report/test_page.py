"""The page is self-contained and accessible, and shows names from files without executing them."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from effconvert.report.document import published_report
from effconvert.report.pictures import pictures
from effconvert.report.renderings.markdown import render_markdown
from effconvert.report.renderings.page import render_page, template_text
from effconvert.report.renderings.published_views import Cell, Row, Table, best_accuracy
from helpers.report.hostile import NAMES
from helpers.report.made_documents import made_document, typed

_VOID = {"meta", "link", "input", "br", "img", "wbr"}


class Parsed(HTMLParser):
    """Every element as (tag, attributes, text of it and of what is in it), in the order of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[tuple[str, dict[str, str], list[str]]] = []
        self.feed(text)
        self.close()
        assert not self._open, f"these are not closed: {[tag for tag, *_ in self._open]}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len(dict(attributes)) == len(attributes), f"<{tag}> has an attribute twice: {attributes}"
        element: Any = (tag, {name: value or "" for name, value in attributes}, [])
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}, []))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1][0] == tag, f"</{tag}> closes <{self._open[-1][0]}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for *_, text in self._open:
            text.append(data)

    def all(self, *tags: str) -> list[tuple[str, dict[str, str], str]]:
        """Return the elements of these tags."""
        return [(tag, attributes, "".join(text)) for tag, attributes, text in self.elements if tag in tags]


def rendered(document: dict[str, Any]) -> str:
    return render_page(typed(document), pictures(document))


def hostile_document() -> dict[str, Any]:
    """Return a report in which every name, path, address and remark is one of NAMES."""
    document = made_document(4)
    for number, name in enumerate(NAMES):
        network = document["networks"][number % 4]
        network["cautions"].append(name)
        network["conversion"]["left_behind"][name] = 1
        network["recipe"]["name"] = network["model"]["file"] = network["conversion"]["url"] = name
    for network, name in zip(document["networks"], NAMES, strict=False):
        network["name"] = network["sentence"] = network["weights"] = name
        network["accuracy"]["sources"][0]["note"] = network["verdicts"][0]["reason"] = name
        network["verifications"][0]["comparisons"][0]["rows"][0]["layer"] = name
        network["accuracy"]["groups"][0]["name"] = network["provenance"]["versions"]["torch"] = name
    document["title"] = document["sentence"] = NAMES[0]
    document["inputs"][0]["path"] = NAMES[0]
    return document


@pytest.fixture(scope="module")
def runs() -> str:
    return rendered(made_document(3))


@pytest.fixture(scope="module")
def published() -> str:
    return rendered(published_report().to_dict())


@pytest.fixture(scope="module")
def hostile() -> str:
    return rendered(hostile_document())


@pytest.fixture(scope="module", params=["runs", "published", "hostile"])
def any_page(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param)


def test_there_is_one_first_heading_and_no_level_is_left_out(any_page: str) -> None:
    levels = [int(tag[1]) for tag, *_ in Parsed(any_page).all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_table_says_what_it_shows_and_every_head_what_it_is_the_head_of(any_page: str) -> None:
    parsed = Parsed(any_page)
    captions = [text for _, _, text in parsed.all("caption")]
    assert len(captions) == len(parsed.all("table")) > 5
    assert all(captions)
    assert {attributes.get("scope") for _, attributes, _ in parsed.all("th")} == {"col", "row"}


def test_every_picture_has_words_in_its_place(any_page: str) -> None:
    parsed = Parsed(any_page)
    assert len(parsed.all("svg")) == len(parsed.all("figcaption")) >= 2
    for _, attributes, _ in parsed.all("svg"):
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"]) > 40


def test_what_scrolls_says_what_it_is_and_can_be_reached_by_the_keyboard(published: str) -> None:
    scrolling = [attributes for _, attributes, _ in Parsed(published).all("div") if attributes.get("role") == "group"]
    assert scrolling
    assert all(attributes["aria-label"].startswith(("Table: ", "Picture: ")) for attributes in scrolling)
    assert all(attributes["tabindex"] == "0" for attributes in scrolling)


def test_links_within_the_page_lead_somewhere_and_no_id_stands_twice(any_page: str) -> None:
    elements = Parsed(any_page).elements
    ids = [attributes["id"] for _, attributes, _ in elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    targets = {attributes["href"][1:] for _, attributes, _ in elements if attributes.get("href", "").startswith("#")}
    assert targets <= set(ids)


def test_every_sign_of_a_verdict_has_a_legend() -> None:
    page = rendered(made_document(1))
    legend = page[page.index('<p class="signs">') :].partition("</p>")[0]
    signed = set(re.findall(r"\.([a-z-]+)::before", template_text("page.css")))
    assert {"passed", "incomplete", "not-judged"} < signed
    also = {"same": "passed", "away": "failed"}
    assert set(re.findall('<span class="([a-z-]+)">', legend)) == {also.get(sign, sign) for sign in signed}


def test_several_tensors_left_behind_are_in_the_plural() -> None:
    document = made_document(2)
    for network, number in zip(document["networks"], (1, 49), strict=True):
        network["conversion"]["left_behind"] = {"counter of training batches": number}
    page, text = rendered(document), render_markdown(typed(document))
    assert ">1 counter of training batches</td>" in page
    assert ">49 counters of training batches</td>" in page
    assert "| 1 counter of training batches |" in text
    assert "| 49 counters of training batches |" in text


def test_the_best_published_accuracy_has_no_mark(published: str) -> None:
    table = published[published.index("<caption><span><b>Variants, with the best") :]
    assert 'class="flag"' not in table[: table.index("</table>")]


def test_of_two_equal_best_accuracies_the_one_with_a_top5_is_shown() -> None:
    numbers = published_report().published.accuracy
    top1 = next(number for number in numbers if number.quantity == "top1")
    top5 = next(number for number in numbers if number.quantity == "top5")
    cells = (Cell(top1, False), Cell(top1, False, top5), Cell(replace(top1, value=99.9), True))
    table = Table(["one", "both", "marked"], [Row((top1.variant, ""), cells)])
    assert best_accuracy(table, top1.variant) == cells[1]


def test_a_file_that_nobody_verified_says_so_first() -> None:
    text = rendered(made_document(1, verification=False))
    assert '<td class="verdict incomplete">not verified<small>passed 4 of 7</small></td>' in text
    assert "verified against tensorflow, efficientnet-b0/model.ckpt" in rendered(made_document(1)).replace("<wbr>", "")


def test_nothing_is_fetched(any_page: str) -> None:
    for tag, attributes, _ in Parsed(any_page).elements:
        assert tag not in ("img", "iframe", "object", "embed", "audio", "video", "base", "form")
        assert not {"src", "srcset", "data", "action", "poster", "style", "background"} & set(attributes)
        if "href" in attributes:
            own = ("#", "http://", "https://") if tag == "a" else ("#", "data:image/svg+xml,")
            assert attributes["href"].startswith(own)


def test_the_policy_allows_this_style_and_this_script_and_nothing_else(any_page: str) -> None:
    parsed = Parsed(any_page)
    policy = next(a["content"] for _, a, _ in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    [(_, _, style)], [(_, _, script)] = parsed.all("style"), parsed.all("script")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for name, text in (("style-src", style), ("script-src", script)):
        allowed = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{allowed}';" in policy
    assert not [attributes for _, attributes, _ in parsed.elements if any(name.startswith("on") for name in attributes)]


def test_s7_names_from_files_are_shown_and_not_obeyed(hostile: str) -> None:
    parsed = Parsed(hostile)
    assert parsed.all("h1")[0][2] == NAMES[0]
    shown = {text for _, _, text in parsed.all("li")}
    assert any(
        text.startswith("{U+001B}[31mred{U+0007} {U+202E}gpj.exe {U+200B} {U+FEFF} {U+0085} {U+2028}") for text in shown
    )
    assert any(text.startswith("line{U+000A}of two{U+000D}{U+000A}| and | cells |") for text in shown)
    assert any(text.startswith("模型 Größe الشبكة") for text in shown)
    assert not [tag for tag, *_ in parsed.elements if tag in ("img", "script")][1:]


def test_no_character_hides_or_turns_others(hostile: str) -> None:
    assert not [character for character in hostile if not character.isprintable() and character != "\n"]


def test_only_addresses_of_the_web_become_links() -> None:
    document = made_document(2)
    document["networks"][0]["conversion"]["url"] = "javascript:alert(1)"
    document["networks"][1]["conversion"]["url"] = 'https://example.org/a"onclick="alert(1)/b.tar.gz'
    found = Parsed(render_page(typed(document), [])).all("a")
    away = [attributes for _, attributes, _ in found if not attributes["href"].startswith("#")]
    assert away == [{"href": 'https://example.org/a"onclick="alert(1)/b.tar.gz', "rel": "noreferrer"}]


@pytest.mark.parametrize(
    "document",
    [
        made_document(1),
        made_document(2, verification=False),
        made_document(2, accuracy=False),
        made_document(1, verification=False, accuracy=False),
    ],
    ids=["one", "not verified", "not run", "neither"],
)
def test_what_was_not_done_has_no_section(document: dict[str, Any]) -> None:
    titles = {attributes["id"] for _, attributes, _ in Parsed(render_page(typed(document), [])).all("section")}
    network = document["networks"][0]
    assert ("accuracy" in titles) == (network["accuracy"] is not None)
    assert ("layers" in titles) == bool(network["verifications"])
    assert ("agreement" in titles) == (document["agreement"] is not None)


def test_sections_stand_in_the_order_in_which_they_are_asked_for(runs: str) -> None:
    assert [attributes["id"] for _, attributes, _ in Parsed(runs).all("section")] == [
        "summary", "verdicts", "accuracy", "tensors", "layers", "warnings", "cost", "throughput", "agreement", "provenance",
    ]  # fmt: skip


def test_warnings_are_counted_at_the_top(runs: str) -> None:
    links = [(attributes["href"], text) for _, attributes, text in Parsed(runs).all("a")]
    assert ("#warnings", "1 warning") in links


def test_a_verdict_is_a_word_and_a_difference_is_in_points_with_its_sign() -> None:
    document = made_document(1)
    document["networks"][0]["accuracy"]["sources"][0]["top1"] |= {"word": "away", "difference": -1.0504}
    cells = [
        (attributes.get("class"), text) for _, attributes, text in Parsed(render_page(typed(document), [])).all("td")
    ]
    assert ("verdict away", "away") in cells
    assert ("n", "\N{MINUS SIGN}1.050") in cells


def test_sources_that_disagree_are_named_where_the_accuracy_is_judged() -> None:
    document = made_document(1)
    document["networks"][0]["weights"] = "ns"
    assert "The sources disagree:" in render_page(typed(document), [])
    assert "The sources disagree:" not in render_page(typed(made_document(1)), [])


def test_numbers_that_are_not_finite_are_a_dash() -> None:
    document = made_document(1)
    row = document["networks"][0]["verifications"][0]["comparisons"][0]["rows"][0]
    row |= {"largest": None, "mean": None, "relative": None, "cosine": None, "passed": False}
    assert "None" not in render_page(typed(document), [])


def test_the_published_numbers_are_in_the_digits_of_their_source(published: str) -> None:
    cells = [text for _, _, text in Parsed(published).all("td")]
    assert "77.26" in cells
    assert "5,288,548" in cells
    assert any(re.match("484.984 G", cell) for cell in cells)


def test_the_same_document_gives_the_same_bytes() -> None:
    assert rendered(made_document(2)) == rendered(made_document(2))


def test_of_many_networks_the_worst_are_detailed_and_all_are_listed() -> None:
    document = made_document(320)
    document["networks"][319]["summary"]["verdict"] = "failed"
    parsed = Parsed(render_page(typed(document), []))
    detailed = [attributes["id"] for _, attributes, _ in parsed.all("details") if "id" in attributes]
    verdicts = [name for name in detailed if name.startswith("verdicts-")]
    assert len(verdicts) == 50
    assert verdicts[0] == f"verdicts-{document['networks'][319]['id']}"
    listed = {text for _, _, text in parsed.all("th")}
    assert all(any(text.startswith(network["name"]) for text in listed) for network in document["networks"])
