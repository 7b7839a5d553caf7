"""Views of published numbers for the renderings: the long lists of a document as tables for comparison."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from effconvert.reference_tables.publishers import publisher_title, read_publishers
from effconvert.report.contents.published import Disagreement, Number, Published
from effconvert.report.renderings.numbers_text import published as published_text

_DATA_SETS = {
    "imagenet": "ImageNet",
    "imagenet-real": "ReaL",
    "imagenetv2-matched-frequency": "V2",
    "imagenet-a": "A",
    "imagenet-r": "R",
    "imagenet-sketch": "Sketch",
}
_QUANTITIES = {"parameters": "Parameters by convention", "operations": "Operations by convention, in G"}
_OF_ONE_MEASUREMENT = ("source", "model", "variant", "weights", "dataset", "precision", "size", "layout", "recipe")


@dataclass(frozen=True)
class Cell:
    """A number in a table. flagged: it is unreliable, or a reliable number differs from it. top5: beside a top-1."""

    number: Number
    flagged: bool
    top5: Number | None = None


@dataclass(frozen=True)
class Row:
    """A line of a table: its head, and a cell for each column, None if nothing is published."""

    head: tuple[Any, ...]
    cells: tuple[Cell | None, ...]

    @property
    def size(self) -> int:
        """The image size of the first number."""
        return next((cell.number.size for cell in self.cells if cell), 0)


@dataclass(frozen=True)
class Table:
    """Numbers in rows and columns."""

    columns: list[str]
    rows: list[Row]

    @property
    def is_flagged(self) -> bool:
        """Whether a cell is flagged."""
        return any(cell and cell.flagged for row in self.rows for cell in row.cells)

    def only_publisher(self, row: Row) -> str:
        """Return the column of a row with one number, "" if it has several."""
        held = [column for column, cell in zip(self.columns, row.cells, strict=True) if cell]
        return held[0] if len(held) == 1 else ""


@dataclass(frozen=True)
class AccuracyRow:
    """Top-1 and top-5 for the same source, weights and images, as printed. number: one of the two."""

    number: Number
    top1: str
    top5: str


def by_publisher(published: Published) -> Table:
    """Return ImageNet's accuracies: a row for each variant and training, a column for each publisher.

    Columns are in the order of publishers.toml. The rows of a variant are TensorFlow's trainings, then the next
    publisher's own. What one publisher quotes from another is left out: it is not its own number.
    """
    publishers = {source.id: source.publisher or source.id for source in published.sources}

    def publisher(number: Number) -> str:
        return publisher_title(publishers.get(number.source, number.source))

    numbers = [number for number in _top1(published) if number.dataset == "imagenet" and not _quoted(number)]
    known = [publisher_title(name) for name in read_publishers()]
    numbers.sort(key=lambda number: _place(publisher(number), known))
    table = _pivot(numbers, lambda number: (number.variant, number.weights), publisher, _top5(published))
    variants = [variant.name for variant in published.variants]
    rows = sorted(table.rows, key=lambda row: (_place(row.head[0], variants), _first(row)))
    return Table(table.columns, rows)


def _quoted(number: Number) -> bool:
    return number.note.startswith("quoted")


def _place(name: str, known: Sequence[str]) -> int:
    return known.index(name) if name in known else len(known)


def _first(row: Row) -> int:
    """Return the first column with a number."""
    return next(place for place, cell in enumerate(row.cells) if cell)


def _top5(published: Published) -> dict[tuple[Any, ...], Number]:
    """Return every top-5 by the top-1 that it belongs to."""
    return {_same_images(number): number for number in published.accuracy if number.quantity == "top5"}


def _same_images(number: Number) -> tuple[Any, ...]:
    return tuple(getattr(number, name) for name in _OF_ONE_MEASUREMENT)


def by_data_set(published: Published) -> Table:
    """Return top-1 on several data sets: a row for each training and source with more data sets than ImageNet."""
    numbers = _top1(published)
    more = {_measured_thing(number) for number in numbers if number.dataset != "imagenet"}
    numbers = [number for number in numbers if _measured_thing(number) in more]
    known = {name: place for place, name in enumerate(_DATA_SETS)}
    numbers.sort(key=lambda number: known.get(number.dataset, len(known)))
    return _pivot(numbers, _measured_thing, _data_set)


def costs_by_convention(published: Published) -> list[tuple[str, Table, bool]]:
    """Return (caption, table, whether in G): a row for each variant and size, a column for each convention.

    Parameters are the same at every size, and are listed at the variant's own.
    """
    known = {variant.name: place for place, variant in enumerate(published.variants)}
    sizes = {variant.name: variant.size for variant in published.variants}

    def row(number: Number) -> tuple[Any, ...]:
        own = sizes.get(number.variant, 0) if number.quantity == "parameters" else 0
        return number.variant, own or number.counted_size

    tables = []
    for quantity, caption in _QUANTITIES.items():
        numbers = [number for number in published.cost if number.quantity == quantity]
        table = _pivot(numbers, row, lambda number: str(number.convention))
        table.rows.sort(key=lambda row: (known.get(row.head[0], len(known)), row.head[1]))
        tables += [(caption, table, quantity == "operations")] if table.rows else []
    return tables


def best_accuracy(table: Table, variant: str) -> Cell | None:
    """Return the highest unmarked top-1 of a variant in the table `by_publisher`; of equal ones one with a top-5."""
    cells = [cell for row in table.rows for cell in row.cells if row.head[0] == variant and cell and not cell.flagged]
    return max(cells, key=lambda cell: (float(cell.number.value), cell.top5 is not None), default=None)


def accuracy_rows(published: Published) -> list[AccuracyRow]:
    """Return every published accuracy, with top-1 and top-5 in one row."""
    groups: dict[tuple[Any, ...], dict[str, Number]] = {}
    for number in published.accuracy:
        groups.setdefault(_same_images(number), {})[number.quantity] = number
    return [
        AccuracyRow(next(iter(found.values())), *(_text(found.get(name)) for name in ("top1", "top5")))
        for found in groups.values()
    ]


def disagreement_words(found: Disagreement) -> str:
    """Return a sentence on a disagreement: each source's number, and the reasons."""
    said = ", ".join(f"{number.source} {amount(number)}" for number in found.numbers)
    reasons = "; ".join(found.reasons)
    return f"{quantity_words(found.quantity)}: {said}" + (f" ({reasons})" if reasons else "")


def quantity_words(quantity: str) -> str:
    """Return the name of a quantity."""
    return {"top1": "top-1", "top5": "top-5"}.get(quantity, quantity)


def amount(number: Number) -> str:
    """Return a number with the digits of its source, operations in G."""
    return amount_of(number.quantity, number.value, number.step)


def amount_of(quantity: str, value: float | str, step: float = 0) -> str:
    """Return a value of a quantity, operations in G with at most three decimals."""
    if quantity != "operations" or isinstance(value, str):
        return published_text(value, step)
    return f"{published_text(value / 1e9, max(step, 1e6) / 1e9)} G"


def circumstances(found: Disagreement) -> str:
    """Return the data set, precision and size of a disagreement."""
    precision = "" if found.precision == "float32" else found.precision
    size = f"{found.size} px" if found.size and found.quantity != "parameters" else ""
    return ", ".join(filter(None, (_data_set(found), precision, size)))


def file_name(url: str) -> str:
    """Return the last part of an address."""
    return url.rstrip("/").rpartition("/")[2]


def _top1(published: Published) -> list[Number]:
    accuracies = published.accuracy
    return [number for number in accuracies if (number.quantity, number.precision) == ("top1", "float32")]


def _data_set(number: Number | Disagreement) -> str:
    name = str(number.dataset)
    return _DATA_SETS.get(name, name)


def _measured_thing(number: Number) -> tuple[Any, ...]:
    return number.variant, number.weights, number.source, number.size


def _pivot(
    numbers: Sequence[Number],
    row: Callable[[Number], tuple[Any, ...]],
    column: Callable[[Number], str],
    top5: Mapping[tuple[Any, ...], Number] = MappingProxyType({}),
) -> Table:
    places: dict[tuple[Any, ...], dict[str, list[Number]]] = {}
    for number in numbers:
        places.setdefault(row(number), {}).setdefault(column(number), []).append(number)
    columns = list(dict.fromkeys(column(number) for number in numbers))
    rows = [
        Row(head, tuple(_cell(found[name], top5) if name in found else None for name in columns))
        for head, found in places.items()
    ]
    return Table(columns, rows)


def _cell(numbers: Sequence[Number], top5: Mapping[tuple[Any, ...], Number]) -> Cell:
    """Return the first reliable number. Accuracies are compared with those of images of the same size."""
    best = min(numbers, key=lambda number: not number.decides)
    alike = [other for other in numbers if other.decides and (not other.dataset or other.size == best.size)]
    differ = any(abs(float(other.value) - float(best.value)) > max(other.step, best.step) for other in alike)
    return Cell(best, differ or not best.decides, top5.get(_same_images(best)))


def _text(number: Number | None) -> str:
    return amount(number) if number else ""
