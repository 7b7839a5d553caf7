"""Sources of the published numbers: publisher, place and date."""

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from effconvert.reference_tables.reading import read_toml


@dataclass(frozen=True)
class Source:
    """A publication of numbers.

    publisher: a table of publishers.toml. url: a page of the publisher. revision: the version that was read. date: as
    far as it is known, "" if not. note: remarks on the publication.
    """

    id: str
    title: str
    publisher: str
    url: str
    revision: str
    date: str
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Return the source as plain values, for JSON."""
        return asdict(self)


@cache
def read_sources() -> dict[str, Source]:
    """Return {id: source} in the order of sources.toml."""
    return {name: Source(id=name, **table) for name, table in read_toml("sources.toml").items()}
