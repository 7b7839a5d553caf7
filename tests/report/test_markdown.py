"""A Markdown parser shows every string of report.md unchanged, and nothing in it is active."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from markdown_it import MarkdownIt

from effconvert.report.document import published_report
from effconvert.report.renderings.markdown import render_markdown
from effconvert.report.renderings.markdown_text import code, code_block, escape, link, table_head
from effconvert.report.renderings.numbers_text import NONE
from effconvert.report.renderings.text import shortened, visible
from helpers.report.hostile import NAMES
from helpers.report.made_documents import made_document, typed

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# What GitHub makes links and pictures of where it stands in one piece of text.
LINKED = re.compile(r"@\w|#\d|\bGH-\d|://|www\.|:[a-z_+-]+:|\$", re.IGNORECASE)


def tables(text: str) -> list[list[list[Any]]]:
    """Return the cells of every table, each as its inline tokens."""
    found: list[list[list[Any]]] = []
    tokens = PARSER.parse(text)
    for place, token in enumerate(tokens):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("th_open", "td_open"):
            found[-1][-1].append(tokens[place + 1].children)
    return found


def pieces(children: list[Any]) -> Iterator[str]:
    """Yield the pieces of text that a reader sees, parted where something else stands between them."""
    joined = ""
    for child in children:
        if child.type in ("text", "text_special", "code_inline"):
            joined += child.content
        else:
            yield joined
            joined = ""
    yield joined


def shown(children: list[Any]) -> str:
    return "".join(pieces(children))


def acting(children: list[Any]) -> set[str]:
    """Return what is more than text: marks, links, pictures, and HTML that is not ours."""
    html = {child.content for child in children if child.type == "html_inline"}
    other = {child.type for child in children} - {"text", "text_special", "code_inline", "html_inline"}
    return (html - {"<!-- -->", "<span>", "</span>", "<code>", "</code>"}) | other


@pytest.mark.parametrize("write", [escape, code])
@pytest.mark.parametrize("name", NAMES)
def test_a_cell_shows_a_text_as_it_is_and_nothing_in_it_acts(name: str, write: Any) -> None:
    ((_, row),) = tables(f"{table_head(['Name', 'Next'])}\n| {write(name)} | next |")
    cell, following = row
    assert shown(cell) == shortened(name, 1000 if write is escape else 300).strip()
    assert acting(cell) == set()
    assert shown(following) == "next"


@pytest.mark.parametrize("name", NAMES)
def test_a_paragraph_shows_a_text_as_it_is(name: str) -> None:
    begin, inline, end = PARSER.parse(escape(name) + "\n")
    assert (begin.type, end.type) == ("paragraph_open", "paragraph_close")
    assert inline.children is not None
    assert shown(inline.children) == shortened(name, 1000).strip()
    assert acting(inline.children) == set()


@pytest.mark.parametrize("name", NAMES)
def test_no_mention_number_address_smiley_or_formula_is_left_in_one_piece(name: str) -> None:
    (_, inline, _) = PARSER.parse(escape(name))
    assert inline.children is not None
    for piece in pieces(inline.children):
        assert not LINKED.search(piece) or piece == "$"


def test_names_of_variables_and_times_are_left_readable() -> None:
    assert escape("bn_eps 0.001, 12:00:30 (see a.b-c)") == "bn_eps 0.001, 12:00:30 (see a.b-c)"


def test_code_cannot_end_its_block() -> None:
    (token,) = PARSER.parse(code_block("echo '```'\n````\n", "sh"))
    assert (token.type, token.content) == ("fence", "echo '```'\n````\n")


def test_only_addresses_of_the_web_become_links() -> None:
    (_, inline, _) = PARSER.parse(link("https://example.org/a(b)?c=<d>&copy=1|2"))
    assert inline.children is not None
    assert inline.children[0].attrs["href"] == "https://example.org/a(b)?c=%3Cd%3E&copy=1%7C2"
    assert "link_open" not in {child.type for child in PARSER.parse(link("javascript:alert(1)"))[1].children}


@pytest.mark.parametrize("name", NAMES)
def test_s7_a_hostile_name_stays_one_cell_of_every_table(name: str) -> None:
    hostile, plain = (
        tables(render_markdown(typed(made_document(3, name=name)))),
        tables(render_markdown(typed(made_document(3, name="plain")))),
    )
    assert [[len(row) for row in one] for one in hostile] == [[len(row) for row in one] for one in plain]
    assert shown(hostile[0][1][0]) == shortened(name).strip()
    assert not [
        cell for one in hostile for row in one for cell in row if acting(cell) - {"strong_open", "strong_close"}
    ]


def test_every_verdict_stands_in_the_table_and_the_worst_network_first() -> None:
    document = made_document(3)
    document["networks"][2]["verdicts"][4] |= {"verdict": "failed", "reason": "77.1 % are published"}
    document["networks"][2]["summary"] |= {"verdict": "failed", "words": "failed: accuracy; passed 6 of 7"}
    summary, reasons = tables(render_markdown(typed(document)))[:2]
    assert [shown(cell) for cell in summary[1]] == [
        "efficientnet-b2 (aa)", "b2-aa.safetensors", "9,109,994", "0.994 G", "50,000", "80.090", "80.1 (TensorFlow)", "\N{MINUS SIGN}0.010",
        "95.090", NONE, NONE, "blocks.11: 3.1e-6 of 2.0e-5; against tensorflow",
        "❌ failed: accuracy; passed 6 of 7",
    ]  # fmt: skip
    assert [shown(cell) for cell in reasons[1]][:3] == ["efficientnet-b2 (aa)", "accuracy", "❌ failed"]
    assert shown(reasons[1][-1]) == "77.1 % are published"


def test_a_failure_stands_with_its_cause_and_its_fix() -> None:
    document = made_document(2)
    verified = document["networks"][1]["verifications"][0]
    verified |= {"verdict": "different", "explained": True}
    cause = {"cause": "another epsilon", "fix": "bn_eps: 1 -> 2 (--facts bn_eps=2)", "before": 0.91, "after": 3e-7}
    verified["causes"] = [cause | {"whole": True}]
    text = render_markdown(typed(document))
    assert "efficientnet-b1 (aa): **Cause:** another epsilon. **Fix:** bn_eps: 1 -\\> 2 (--facts bn_eps=2)" in text
    verified |= {"causes": [], "explained": False}
    assert "--explain tries the known ones" in render_markdown(typed(document))


def test_one_network_is_shown_with_what_was_measured_and_allowed() -> None:
    rows = tables(render_markdown(typed(made_document(1))))[1]
    found = {shown(row[0]): [shown(cell) for cell in row[1:4]] for row in rows[1:]}
    assert found["logits"] == ["✅ passed", "1.2e-6", "2.0e-5"]
    assert list(found) == ["coverage", "tensors", "layers", "logits", "accuracy", "parameters", "operations"]


def test_an_accuracy_stands_beside_each_source_with_its_difference_in_points() -> None:
    text = render_markdown(typed(made_document(1)))
    assert "| 50,000 | 77.086 % | 76.716 to 77.452 % |" in text
    assert "| readme | **its own** | 77.1 | \N{MINUS SIGN}0.014 | 0.050 | ✅ same |" in text
    assert "| timm | another | 76.85 | +0.236 | \N{EN DASH} | not judged |" in text


def test_a_note_that_the_reason_has_already_is_said_once() -> None:
    document = made_document(1)
    document["networks"][0]["accuracy"]["sources"][1] |= {"reason": "it is superseded", "note": "superseded"}
    document["networks"][0]["accuracy"]["sources"][2] |= {"reason": "", "note": "not checked"}
    text = render_markdown(typed(document))
    assert "| it is superseded |" in text
    assert "| not checked |" in text


def test_a_figure_that_the_verdict_explains_has_no_note_beside_it() -> None:
    document = made_document(1)
    figure = document["networks"][0]["cost"]["comparisons"][1]
    figure |= {"equal": False, "verdict": "differs by +1.0 %, not explained: odd", "note": "not explained: odd"}
    assert render_markdown(typed(document)).count("not explained: odd") == 1


def test_the_first_layer_that_differs_and_what_was_left_behind_are_said() -> None:
    document = made_document(1)
    pair = document["networks"][0]["verifications"][0]["comparisons"][0]
    pair |= {"same": False, "first": "blocks.3"}
    row = next(row for row in pair["rows"] if (row["layer"], row["mode"]) == ("blocks.3", "accumulated"))
    row |= {"relative": 0.25, "passed": False}
    text = render_markdown(typed(document))
    assert "| tensorflow 2.19.0 | torch 2.9.0 | ❌ failed | `blocks.3` | 0.25 (blocks.3) | 2.0e-5 |" in text
    assert "| 213 raw weights; their averages are taken; 2 of the optimiser |" in text


def test_warnings_are_said_once_with_their_networks() -> None:
    text = render_markdown(typed(made_document(7)))
    line = "- the file's weights are rounded to float16; the published ones are not: "
    assert text.count(line) == 1
    assert f"{line}efficientnet-b0 (aa), efficientnet-b3 (aa), efficientnet-b6 (aa)\n" in text


def test_provenance_is_folded_away_with_the_command_that_makes_the_report_again() -> None:
    document = made_document(2)
    text = render_markdown(typed(document))
    folded = text[text.index("<summary>Provenance</summary>") : text.index("</details>")]
    assert "effconvert report effconvert-runs/b0-aa.npz effconvert-runs/b1-aa.npz" in folded
    for file in document["inputs"]:
        assert file["sha256"] in folded


@pytest.mark.deep
def test_a_thousand_networks_fit_into_a_comment_on_github_and_the_rest_is_named() -> None:
    text = render_markdown(typed(made_document(1000)))
    assert len(text) < 65_536
    assert "and 975 more in `networks.csv`." in text


def test_what_was_published_is_shown_without_any_network() -> None:
    document = published_report().to_dict()
    text = render_markdown(typed(document))
    assert "| Variant | Weights | TensorFlow |" in text
    assert "| b7 | aa | 84.3" in text
    for source in document["published"]["sources"]:
        assert visible(source["id"]) in text
    assert len(tables(text)) >= 5


def test_the_same_document_gives_the_same_text() -> None:
    assert render_markdown(typed(made_document(3))) == render_markdown(typed(made_document(3)))
