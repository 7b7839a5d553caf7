"""The evaluation preprocessings as data."""

from functools import cache
from typing import Any

from effconvert.reference_tables.reading import read_toml


@cache
def recipe_tables() -> dict[str, dict[str, Any]]:
    """Return {name: table} of the preprocessings, as `recipes.toml` has them."""
    return {name: table for name, table in read_toml("recipes.toml").items() if name != "schema"}
