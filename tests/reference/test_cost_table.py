"""Every published cost equals ours by its own convention, or the table says why it does not count."""

import dataclasses

import pytest

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.costs.conventions import CONVENTIONS, Quantity
from effconvert.errors import PublishedMismatch
from effconvert.reference_tables.cost import Cost, cost_table
from effconvert.reference_tables.selection import Wanted, select
from effconvert.validate import cost_report
from effconvert.validate.cost_report import Comparison, check_published, operation_count

EXACT = ("mmpretrain", "timm-documents")
# The conventions that figures are published by; of two, all figures are rounded to a million, and what is never as many
# does not show in them.
TOO_FEW: dict[str, tuple[Quantity, ...]] = {
    "multiply-adds": ("routing",),
    "tensorflow-profile": (
        "routing",
        "routing_pooling",
        "pooling",
        "gate_biases",
        "routing_biases",
        "classifier_biases",
    ),
    "mmpretrain-table": (),
    "timm-documents": (),
}
ROWS = {f"{row.variant}-{row.kind}-{row.size}": row for row in cost_table()}


def comparisons(variant: str) -> tuple[Comparison, ...]:
    return cost_report.report_cost(VARIANTS[variant]).comparisons


def rows(kind: str) -> dict[tuple[str, int], Cost]:
    return {(row.variant, row.size): row for row in cost_table() if row.kind == kind}


def test_a_row_is_there_once() -> None:
    assert len(ROWS) == len(cost_table())


def test_every_convention_of_the_table_is_tested() -> None:
    assert {row.convention for row in cost_table() if row.convention} == set(TOO_FEW)


def test_every_table_is_there_whole() -> None:
    counts = {kind: len(rows(kind)) for kind in dict.fromkeys(row.kind for row in cost_table())}
    assert counts == {
        "graph": 21, "readme": 10, "readme-text": 1, "paper": 8, "mmpretrain": 11, "torchvision": 8,
        "timm-documents": 21, "timm": 22, "lukemelas": 8, "keras": 8, "keras-earlier": 8,
        "mindspore": 2,
    }  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_row_has_figures_with_their_steps_and_a_known_convention(row: Cost) -> None:
    assert row.parameters or row.operations
    assert bool(row.parameters) == bool(row.parameters_step)
    assert bool(row.operations) == bool(row.operations_step) == (row.convention in CONVENTIONS)
    assert row.decides in ("yes", "no", "parameters", "operations")
    assert row.decides == "yes" or row.note.startswith("not explained")
    assert (row.counted_size == row.size) or row.note


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_published_cost_of_the_tables_is_compared(variant: str) -> None:
    published = [
        (each.source, each.quantity, each.value, each.convention)
        for each in select(Wanted(variant, kind="cost")).numbers
    ]
    compared = [(each.row.kind, each.quantity, each.published, each.convention) for each in comparisons(variant)]
    assert published
    assert sorted(compared) == sorted(published)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_figure_that_decides_is_ours(variant: str) -> None:
    assert [each.verdict for each in comparisons(variant) if each.failed] == []


def test_a_note_stands_with_the_quantity_it_speaks_of() -> None:
    of_readme = [each for each in cost_report.report_cost(VARIANTS["lite0"]).comparisons if each.row.kind == "readme"]
    notes = {each.quantity: each.row.note for each in of_readme}
    assert notes["parameters"] == ""
    assert notes["operations"].startswith("not explained")


def test_only_these_figures_are_not_explained() -> None:
    differing = [each for variant in VARIANTS for each in comparisons(variant) if not each.equal]
    assert [(each.row.variant, each.row.kind, each.quantity) for each in differing] == [
        ("b2", "paper", "parameters"),
        ("b2", "lukemelas", "parameters"),
        ("b4", "paper", "operations"),
        ("b5", "paper", "operations"),
        ("b7", "readme-text", "operations"),
        ("b7", "paper", "operations"),
        *((f"lite{number}", "readme", "operations") for number in range(5)),
    ]
    assert all("not explained" in each.verdict for each in differing)


@pytest.mark.parametrize("kind", EXACT)
def test_the_exact_tables_are_equal_to_the_last_digit(kind: str) -> None:
    found = [each for variant in VARIANTS for each in comparisons(variant) if each.row.kind == kind]
    assert len({each.row for each in found}) == len(rows(kind))
    assert all(each.step == 1 and each.equal for each in found)
    assert all(each.verdict.startswith("equal to the last digit") for each in found)


def test_mmpretrains_two_rows_of_l2_are_swapped() -> None:
    table, l2 = rows("mmpretrain"), VARIANTS["l2"]
    small, large = (operation_count("mmpretrain-table", l2, default_facts(l2), size) for size in (475, 800))
    assert (table["l2", 800].operations, table["l2", 475].operations) == (small, large)
    verdicts = [each.verdict for each in comparisons("l2") if each.misplaced]
    assert len(verdicts) == 2
    assert all("swapped" in verdict for verdict in verdicts)


@pytest.mark.parametrize(
    ("convention", "quantity"),
    [(name, quantity) for name in TOO_FEW for quantity in CONVENTIONS[name].weights if quantity not in TOO_FEW[name]],
)
def test_a_wrong_weight_of_a_convention_is_noticed(
    convention: str, quantity: Quantity, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = CONVENTIONS[convention]
    weights = {**right.weights, quantity: right.weights[quantity] + 1}
    monkeypatch.setitem(CONVENTIONS, convention, dataclasses.replace(right, weights=weights))
    users = {row.variant for row in cost_table() if row.convention == convention}
    assert any(each.failed for variant in users for each in comparisons(variant))


@pytest.mark.parametrize(("off", "equal"), [(0, True), (1, False), (-1, False)])
def test_an_exact_figure_is_equal_to_the_last_digit_or_not_at_all(off: int, equal: bool) -> None:
    row = rows("mmpretrain")["b0", 224]
    assert row.operations
    assert Comparison(row, "operations", row.operations + off, row.operations, 1).equal == equal


@pytest.mark.parametrize(("ours", "equal"), [(400_500, True), (399_500, True), (400_501, False), (399_499, False)])
def test_a_printed_figure_is_equal_within_half_of_its_last_digit(ours: int, equal: bool) -> None:
    assert Comparison(rows("paper")["b0", 224], "operations", ours, 400_000, 1000).equal == equal


def test_all_figures_that_are_not_ours_are_in_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    report = cost_report.report_cost(VARIANTS["b0"])
    wrong = tuple(dataclasses.replace(each, ours=each.ours * 2) for each in report.comparisons)
    with pytest.raises(PublishedMismatch, match="b0 at 224 px: parameters are 10,577,096") as caught:
        check_published([dataclasses.replace(report, comparisons=wrong)])
    assert len(str(caught.value).splitlines()) == 1 + len(wrong)


def test_a_figure_that_does_not_decide_is_no_error() -> None:
    report = cost_report.report_cost(VARIANTS["lite0"])
    assert not all(each.equal for each in report.comparisons)
    check_published([report])
