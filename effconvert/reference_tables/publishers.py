"""Publishers of weights and numbers."""

from dataclasses import dataclass
from functools import cache

from effconvert.reference_tables.reading import read_toml


@dataclass(frozen=True)
class Publisher:
    """A publisher of weights or numbers.

    title: its name for people. names: other names that users type. files: it published files of weights. licence: of
    these files, as an SPDX name. source: the publication in sources.toml with the facts of its files.
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


def publisher_called(name: str) -> str:
    """Return the publisher that `name`, one of its other names, means; an unknown name stays as it is.

    Example: `publisher_called("TF")` is `tensorflow`.
    """
    plain = name.lower().replace("_", "-")
    found = (known for known, publisher in read_publishers().items() if plain in (known, *publisher.names))
    return next(found, name)


def publisher_title(name: str) -> str:
    """Return a publisher's name for people; an unknown publisher keeps its own name."""
    known = read_publishers().get(name)
    return known.title if known else name
