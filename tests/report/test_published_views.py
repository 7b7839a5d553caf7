"""A published number is marked where it is not reliable, and only there."""

from dataclasses import replace

import pytest

from effconvert.report.contents.published import Number, Published
from effconvert.report.document import published_report
from effconvert.report.renderings.published_views import (
    Table,
    best_accuracy,
    by_data_set,
    by_publisher,
    costs_by_convention,
)


@pytest.fixture(scope="module")
def published() -> Published:
    return published_report().published


def flags(table: Table) -> list[bool]:
    return [cell.flagged for row in table.rows for cell in row.cells if cell]


def a_number(published: Published, quantity: str) -> Number:
    numbers = (*published.accuracy, *published.cost)
    return next(one for one in numbers if one.quantity == quantity and one.decides and not one.note)


def test_an_accuracy_on_images_of_another_size_is_no_disagreement(published: Published) -> None:
    one = a_number(published, "top1")
    for size, flagged in ((one.size, True), (one.size + 32, False)):
        other = replace(one, value=float(one.value) + 1, size=size)
        assert flags(by_publisher(replace(published, accuracy=(one, other)))) == [flagged]


def test_parameters_disagree_whatever_the_size_of_the_images(published: Published) -> None:
    one = a_number(published, "parameters")
    other = replace(one, value=int(one.value) + 10 * int(max(one.step, 1)), size=one.size + 32)
    ((_, table, _),) = costs_by_convention(replace(published, cost=(one, other)))
    assert flags(table) == [True]


def test_every_marked_accuracy_is_one_that_does_not_decide(published: Published) -> None:
    for table in (by_publisher(published), by_data_set(published)):
        assert table.is_flagged
        assert not [cell for row in table.rows for cell in row.cells if cell and cell.flagged and cell.number.decides]


def test_the_best_accuracy_is_the_highest_reliable_one_of_any_size(published: Published) -> None:
    table = by_publisher(published)
    for variant in published.variants:
        reliable = [
            float(one.value)
            for one in published.accuracy
            if (one.variant, one.quantity, one.dataset) == (variant.name, "top1", "imagenet")
            and one.precision == "float32"
            and one.decides
            and not one.note.startswith("quoted")
        ]
        best = best_accuracy(table, variant.name)
        assert best is not None
        assert float(best.number.value) == max(reliable)
