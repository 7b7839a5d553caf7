"""Published numbers for a report: every number with its source, and the disagreements between sources."""

from typing import Any

from effconvert.architecture.variants import VARIANTS
from effconvert.costs.quantities import mac_count, parameter_count
from effconvert.reference_tables.disagreements import find_disagreements
from effconvert.reference_tables.numbers import read_numbers
from effconvert.reference_tables.sources import read_sources
from effconvert.reference_tables.weights import Published, weights_table

_ACCURACY, _COST = ("top1", "top5"), ("parameters", "operations")
_OF_FILES = ("framework", "variant", "weights", "network", "url", "sha256", "bytes", "size", "classes", "released")


def published_block() -> dict[str, Any]:
    """Return the tables of reference/ for a report, in their order."""
    return {
        "sources": [source.to_dict() for source in read_sources().values()],
        "accuracy": [number.to_dict() for number in read_numbers() if number.quantity in _ACCURACY],
        "cost": [number.to_dict() for number in read_numbers() if number.quantity in _COST],
        "files": [_file(row) for row in weights_table()],
        "disagreements": [each.to_dict() for each in find_disagreements()],
        "variants": [
            {
                "name": variant.name,
                "size": variant.resolution,
                "parameters": parameter_count(variant),
                "multiply_adds": mac_count(variant),
            }
            for variant in VARIANTS.values()
        ],
    }


def published_sentence() -> str:
    """Return one sentence on all published numbers."""
    accuracies = sum(number.quantity in _ACCURACY for number in read_numbers())
    costs = sum(number.quantity in _COST for number in read_numbers())
    return (
        f"{len(VARIANTS)} variants of EfficientNet: {accuracies:,} accuracies, {costs:,} figures of cost and "
        f"{len(weights_table()):,} files of weights from {len(read_sources()):,} sources, with "
        f"{len(find_disagreements()):,} disagreements between them"
    )


def _file(row: Published) -> dict[str, Any]:
    plain = {name: getattr(row, name) for name in (*_OF_FILES, "recipe", "note", "source")}
    return plain | {"file": row.file_name}
