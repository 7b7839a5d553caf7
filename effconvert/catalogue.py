"""Every published archive with its cost and its published accuracy: what `effconvert list` shows."""

from dataclasses import dataclass

from effconvert.reference_tables import Accuracy, Published, accuracy_table, weights_table
from effconvert.validate.cost import mac_count, parameter_count
from effconvert.variants import VARIANTS


@dataclass(frozen=True)
class CatalogueRow:
    """One published archive.

    size: height and width in pixels. parameters: trainable values. macs: multiply-adds of one image of that size.
    top1, top5: ImageNet accuracy in percent as tensorflow/tpu publishes it; None where it does not.
    """

    variant: str
    weights: str
    size: int
    parameters: int
    macs: int
    top1: float | None
    top5: float | None
    accuracy_source: str | None
    url: str


def catalogue_rows() -> list[CatalogueRow]:
    """Return a row for every published archive: variants in their usual order, weights by release."""
    order = list(VARIANTS)
    rows = sorted(weights_table(), key=lambda row: (order.index(row.variant), row.release, row.size))
    return [_catalogue_row(row) for row in rows]


def _catalogue_row(row: Published) -> CatalogueRow:
    variant = VARIANTS[row.variant]
    accuracy = published_accuracy(row.variant, row.weights)
    return CatalogueRow(
        variant=row.variant,
        weights=row.weights,
        size=row.size,
        parameters=parameter_count(variant),
        macs=mac_count(variant, row.size),
        top1=accuracy.top1 if accuracy else None,
        top5=accuracy.top5 if accuracy else None,
        accuracy_source=accuracy.source if accuracy else None,
        url=row.url,
    )


def published_accuracy(variant: str, weights: str) -> Accuracy | None:
    """Return what tensorflow/tpu publishes of (variant, weights), today or else last; None where it never did."""
    rows = [row for row in accuracy_table() if (row.variant, row.weights) == (variant, weights)]
    rows = [row for row in rows if row.kind.startswith("readme") and row.kind != "readme-text"]
    return rows[0] if rows else None
