"""Published numbers for a report: every number with its source, and the disagreements between sources."""

from effconvert.architecture.variants import VARIANTS
from effconvert.costs.quantities import mac_count, parameter_count
from effconvert.reference_tables import disagreements, numbers, weights
from effconvert.reference_tables.disagreements import find_disagreements
from effconvert.reference_tables.numbers import read_numbers
from effconvert.reference_tables.sources import read_sources
from effconvert.reference_tables.weights import weights_table
from effconvert.report.contents.plain_values import from_plain
from effconvert.report.contents.published import Disagreement, File, Number, Published, Source, Variant

_ACCURACY, _COST = ("top1", "top5"), ("parameters", "operations")


def published_block() -> Published:
    """Return the tables of reference/ for a report, in their order."""
    every = read_numbers()
    return Published(
        sources=tuple(from_plain(Source, source.to_dict()) for source in read_sources().values()),
        accuracy=tuple(_number(number) for number in every if number.quantity in _ACCURACY),
        cost=tuple(_number(number) for number in every if number.quantity in _COST),
        files=tuple(_file(row) for row in weights_table()),
        disagreements=tuple(_disagreement(each) for each in find_disagreements()),
        variants=tuple(
            Variant(variant.name, variant.resolution, parameter_count(variant), mac_count(variant))
            for variant in VARIANTS.values()
        ),
    )


def published_sentence() -> str:
    """Return one sentence on all published numbers."""
    accuracies = sum(number.quantity in _ACCURACY for number in read_numbers())
    costs = sum(number.quantity in _COST for number in read_numbers())
    return (
        f"{len(VARIANTS)} variants of EfficientNet: {accuracies:,} accuracies, {costs:,} figures of cost and "
        f"{len(weights_table()):,} files of weights from {len(read_sources()):,} sources, with "
        f"{len(find_disagreements()):,} disagreements between them"
    )


def _number(number: numbers.Number) -> Number:
    return Number(**vars(number))


def _disagreement(found: disagreements.Disagreement) -> Disagreement:
    return Disagreement(**{**vars(found), "numbers": tuple(map(_number, found.numbers))})


def _file(row: weights.Published) -> File:
    return from_plain(File, {**vars(row), "file": row.file_name})
