"""Who published weights and numbers."""

from dataclasses import dataclass
from functools import cache

from effconvert.reference_tables.reading import read_toml


@dataclass(frozen=True)
class Publisher:
    """Who published weights or numbers.

    title: what people call it. names: what else users call it. files: it published files of weights. licence: of these,
    by its SPDX name. source: the publication of sources.toml that says what is published of its files.
    """

    title: str
    names: tuple[str, ...] = ()
    files: bool = False
    licence: str = "apache-2.0"
    source: str = ""


@cache
def read_publishers() -> dict[str, Publisher]:
    """Return {name in the tables: publisher}, in the order of publishers.toml."""
    tables = read_toml("publishers.toml")
    return {name: Publisher(**{**table, "names": tuple(table.get("names", ()))}) for name, table in tables.items()}


def publisher_title(name: str) -> str:
    """Return what people call a publisher, and an unknown one by its own name."""
    known = read_publishers().get(name)
    return known.title if known else name
