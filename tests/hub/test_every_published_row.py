"""Every row of weights.csv can be asked for by its name, is recognised, and becomes a canonical file."""

from collections.abc import Callable
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from effconvert.architecture.facts import changed
from effconvert.architecture.variants import VARIANTS
from effconvert.conversion.plan import Plan, make_plan
from effconvert.hub.cache import Fetched
from effconvert.hub.published_conversion import convert_published
from effconvert.hub.published_names import read_name
from effconvert.options import Options
from effconvert.reference_tables.published_weights import choose
from effconvert.reference_tables.weights import Published, weights_table
from helpers.deep import deep_but
from helpers.hub.published_files import NamesOnly, body_of, kind_of, put, true_row
from helpers.library_files import canonical_values
from helpers.mirror import serving
from helpers.running import Ran

ROWS = weights_table()
LARGEST_FIRST = sorted(ROWS, key=lambda row: list(VARIANTS).index(row.variant), reverse=True)
SMALLEST_OF_EACH_KIND = {kind_of(row): row for row in LARGEST_FIRST}.values()


def name_of(row: Published) -> str:
    return row.name


def test_each_name_asks_for_its_row() -> None:
    asked = {row.name: read_name(row.name) for row in ROWS}
    assert [choose(each.variant, each.weights, each.framework) for each in asked.values()] == list(ROWS)


@pytest.mark.parametrize("row", deep_but(ROWS, lambda row: row in SMALLEST_OF_EACH_KIND), ids=name_of)
def test_its_names_and_shapes_become_a_network_with_the_facts_and_the_recipe_of_the_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, row: Published
) -> None:
    """Values are left out, since L2 alone has 480 million."""

    def plan(source: Path, output: Path, *, to: str, variant: str, weights: str, facts: Any, **_: object) -> Plan:
        return make_plan(NamesOnly(source, row), to, Options(variant=variant, weights=weights, facts=facts))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "effconvert.hub.published_conversion.fetch", lambda row, **_: Fetched(tmp_path / row.file_name, row.url, {})
    )
    monkeypatch.setattr("effconvert.hub.published_conversion.convert", plan)
    found: Any = convert_published(row.name)
    assert (found.identity.variant.name, found.facts.classes) == (row.variant, row.classes)
    assert (found.description.weights, found.description.recipe.size) == (row.weights, row.size)
    assert found.facts == changed(found.facts, row.facts)
    assert len(found.moves) == len(found.identity.moves)


@pytest.mark.parametrize("row", SMALLEST_OF_EACH_KIND, ids=name_of)
def test_one_file_of_each_kind_is_fetched_and_converted_value_for_value(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path, row: Published
) -> None:
    body = body_of(row)
    true = true_row(row, body)
    monkeypatch.setattr(
        "effconvert.reference_tables.published_weights.weights_table",
        lambda: tuple(true if each == row else each for each in ROWS),
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with serving(tmp_path / "site", monkeypatch):
        put(true, body, tmp_path / "site")
        invalidate_caches()
        ran = run("convert", "--published", row.name, "--out", tmp_path / "out.safetensors", "--json")
    assert ran.exit_code == 0, ran.err
    converted, expected = load_file(tmp_path / "out.safetensors"), canonical_values(row.variant, row.classes)
    assert converted.keys() == expected.keys()
    assert all(converted[name].tobytes() == values.tobytes() for name, values in expected.items())
