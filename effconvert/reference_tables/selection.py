"""Selection of published numbers by variant, training, source, kind and data set."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from effconvert.reference_tables.disagreements import Disagreement, find_disagreements
from effconvert.reference_tables.numbers import Number, read_numbers
from effconvert.reference_tables.sources import Source, read_sources

ACCURACY, COST, FILES = "accuracy", "cost", "files"
KINDS = (ACCURACY, COST, FILES)


@dataclass(frozen=True)
class Wanted:
    """The criteria of a selection; "" is everything.

    source: an id of sources.toml, or a publisher with several of them. kind: `accuracy`, `cost` or `files`. A number
    for all trainings is selected with any; only accuracies have a data set.
    """

    variant: str = ""
    weights: str = ""
    source: str = ""
    kind: str = ""
    dataset: str = ""


@dataclass(frozen=True)
class Selection:
    """The selected numbers, the disagreements between them, and their sources."""

    numbers: tuple[Number, ...]
    disagreements: tuple[Disagreement, ...]
    sources: tuple[Source, ...]

    def of(self, kind: str) -> list[Number]:
        """Return the numbers of one kind."""
        return [number for number in self.numbers if kind_of(number) == kind]


def select(wanted: Wanted) -> Selection:
    """Return the published numbers that match `wanted`.

    Raises LookupError for an unknown criterion, with the known ones.
    """
    known = read_numbers()
    _check("weights", wanted.weights, (number.weights for number in known))
    _check("dataset", wanted.dataset, (number.dataset for number in known))
    _check("source", wanted.source, [*read_sources(), *(each.publisher for each in read_sources().values())])
    found = tuple(number for number in known if _is_wanted(number, wanted))
    apart = tuple(each for each in find_disagreements() if set(each.numbers) & set(found))
    named = {number.source for number in found} | {number.source for each in apart for number in each.numbers}
    return Selection(found, apart, tuple(source for name, source in read_sources().items() if name in named))


def kind_of(number: Number) -> str:
    """Return `accuracy`, `cost` or `files`."""
    if number.dataset:
        return ACCURACY
    return COST if number.convention else FILES


def _is_wanted(number: Number, wanted: Wanted) -> bool:
    return (
        wanted.variant in ("", number.variant)
        and (not number.weights or wanted.weights in ("", number.weights))
        and wanted.source in ("", number.source, read_sources()[number.source].publisher)
        and wanted.kind in ("", kind_of(number))
        and wanted.dataset in ("", number.dataset)
    )


def _check(what: str, asked: str, known: Iterable[str]) -> None:
    names: Sequence[str] = sorted({name for name in known if name})
    if asked and asked not in names:
        raise LookupError(f"{what} {asked!r} is unknown; known are {', '.join(names)}")
