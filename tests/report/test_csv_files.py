"""The tables of a report are read back by Python's csv module: every number exact, and no string a formula."""

import csv
import io

import pytest

from effconvert.report.document import published_report
from effconvert.report.renderings.tables import render_tables
from effconvert.report.renderings.text import csv_text, visible
from helpers.report.hostile import NAMES
from helpers.report.made_documents import made_document, typed


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_lines_end_and_cells_are_quoted_as_rfc_4180_says() -> None:
    assert csv_text(["a", "b"], [['say "x", y', 1.5], [None, True]]) == 'a,b\r\n"say ""x"", y",1.5\r\n,yes\r\n'


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-300, -0.014, 5_288_548, 77.10000000000001])
def test_a_number_reads_back_equal_and_is_no_formula(value: float) -> None:
    ((cell,),) = list(csv.reader(io.StringIO(csv_text(["x"], [[value]]))))[1:]
    assert type(value)(cell) == value


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201", "=cmd|' /C calc'!A0"]
)
def test_s7_a_text_that_would_be_a_formula_begins_with_an_apostrophe(text: str) -> None:
    assert list(csv.reader([csv_text(["x"], [[text]]).split("\r\n")[1]])) == [[f"'{text}"]]


@pytest.mark.parametrize("text", ["\t=1+1", "\r=1+1", "\n=1+1"])
def test_a_formula_behind_a_control_character_is_text(text: str) -> None:
    cell = csv_text(["x"], [[text]]).split("\r\n")[1]
    assert cell == f"{{U+{ord(text[0]):04X}}}=1+1"


@pytest.mark.parametrize("name", NAMES)
def test_s7_a_hostile_name_is_one_cell_of_every_table(name: str) -> None:
    found = render_tables(typed(made_document(2, name=name)))
    assert read(found["networks.csv"])[0]["name"].removeprefix("'") == visible(name)
    for text in found.values():
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        assert {len(row) for row in rows} == {len(header)}
        assert text.replace("\r\n", "").isprintable()


def test_every_network_has_a_line_with_its_numbers_in_all_digits() -> None:
    document = made_document(3)
    for row, network in zip(read(render_tables(typed(document))["networks.csv"]), document["networks"], strict=True):
        assert row["network"] == network["id"]
        assert int(row["parameters"]) == network["model"]["parameters"]
        top1 = network["accuracy"]["top1"]
        assert (int(row["top1_hits"]), float(row["top1_percent"])) == (top1["hits"], top1["percent"])
        assert [float(row["top1_low_percent"]), float(row["top1_high_percent"])] == top1["interval"]


def test_accuracies_have_a_line_for_each_network_and_source() -> None:
    document = made_document(3)
    rows = read(render_tables(typed(document))["accuracy.csv"])
    expected = [(network, source) for network in document["networks"] for source in network["accuracy"]["sources"]]
    for row, (network, source) in zip(rows, expected, strict=True):
        assert (row["network"], row["source"]) == (network["id"], source["kind"])
        assert float(row["top1_published_percent"]) == source["top1"]["published"]
        assert float(row["top1_difference_points"]) == source["top1"]["difference"]
        assert row["own_preprocessing"] == ("yes" if source["own_preprocessing"] else "no")
        assert row["top5_published_percent"] == ""


def test_layers_have_every_number_of_each_verification_once() -> None:
    document = made_document(2)
    document["networks"][1]["verifications"] = document["networks"][0]["verifications"]  # two runs of one file
    layers = document["networks"][0]["verifications"][0]["comparisons"][0]["rows"]
    layers[3]["relative"] = None
    rows = read(render_tables(typed(document))["layers.csv"])
    assert [row["layer"] for row in rows] == [layer["layer"] for layer in layers]
    assert [row["relative"] for row in rows] == [
        "" if layer["relative"] is None else repr(layer["relative"]) for layer in layers
    ]


def test_what_was_moved_and_what_was_left_behind_are_lines() -> None:
    rows = read(render_tables(typed(made_document(1)))["coverage.csv"])
    assert [(row["what"], int(row["tensors"])) for row in rows] == [
        ("moved", 213),
        ("left behind", 213),
        ("left behind", 2),
    ]
    assert rows[2]["reason"] == "of the optimiser"


def test_agreement_has_a_line_for_each_pair() -> None:
    document = made_document(4)
    found, rows = document["agreement"], read(render_tables(typed(document))["agreement.csv"])
    assert len(rows) == 6
    place = {name: index for index, name in enumerate(found["ids"])}
    for row in rows:
        a, b = place[row["first"]], place[row["second"]]
        assert (int(row["same_first_class"]), float(row["mcnemar_p"])) == (found["same"][a][b], found["p"][a][b])
        assert int(row["right_only_second"]) == found["only_second"][a][b]


def test_a_table_without_a_line_is_not_there() -> None:
    found = render_tables(typed(made_document(1, verification=False, accuracy=False)))
    assert not {"layers.csv", "accuracy.csv", "groups.csv", "agreement.csv", "throughput.csv"} & set(found)
    assert "cost.csv" in found


def test_every_published_number_is_a_line() -> None:
    document = published_report().to_dict()
    found, block = render_tables(typed(document)), document["published"]
    for name, key in (("published-accuracy.csv", "accuracy"), ("published-cost.csv", "cost")):
        rows = read(found[name])
        assert [float(row["value"]) for row in rows] == [number["value"] for number in block[key]]
        assert [row["source"] for row in rows] == [number["source"] for number in block[key]]
    assert [row["url"] for row in read(found["published-files.csv"])] == [file["url"] for file in block["files"]]
    groups = [int(row["disagreement"]) for row in read(found["disagreements.csv"])]
    assert sorted(set(groups)) == list(range(1, len(block["disagreements"]) + 1))
    assert "networks.csv" not in found
