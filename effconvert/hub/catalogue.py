"""The catalogue for `effconvert list`: every published file with its cost and its published accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.costs.quantities import mac_count, parameter_count
from effconvert.reference_tables.accuracy import Accuracy, accuracy_table
from effconvert.reference_tables.weights import FRAMEWORKS, Published, weights_table


@dataclass(frozen=True)
class CatalogueRow:
    """One published file.

    published: the name for `effconvert convert --published`. network: the framework's name of the network. size: height
    and width in pixels. parameters: number of trainable values. macs: multiply-adds of one image of that size. top1,
    top5: ImageNet accuracy in percent as the framework publishes it; None if it does not.
    """

    published: str
    framework: str
    variant: str
    weights: str
    network: str
    size: int
    parameters: int
    macs: int
    top1: float | None
    top5: float | None
    accuracy_source: str | None
    url: str


def catalogue_rows(frameworks: Sequence[str] = FRAMEWORKS) -> list[CatalogueRow]:
    """Return a row for every published file, sorted by framework, variant and release."""
    order = list(VARIANTS)
    rows = [row for row in weights_table() if row.framework in frameworks]
    rows.sort(key=lambda row: (FRAMEWORKS.index(row.framework), order.index(row.variant), row.release, row.size))
    return [_catalogue_row(row) for row in rows]


def _catalogue_row(row: Published) -> CatalogueRow:
    variant = VARIANTS[row.variant]
    facts = replace(default_facts(variant), classes=row.classes)
    accuracy = published_accuracy(row)
    return CatalogueRow(
        published=row.name,
        framework=row.framework,
        variant=row.variant,
        weights=row.weights,
        network=row.network,
        size=row.size,
        parameters=parameter_count(variant, facts),
        macs=mac_count(variant, row.size, facts),
        top1=accuracy.top1 if accuracy else None,
        top5=accuracy.top5 if accuracy else None,
        accuracy_source=accuracy.source if accuracy else None,
        url=row.url,
    )


def published_accuracy(row: Published) -> Accuracy | None:
    """Return the accuracy that the framework publishes now, or published last; None if it never did."""
    rows = [known for known in accuracy_table() if known.variant == row.variant]
    if row.framework == "tensorflow":
        rows = [known for known in rows if known.kind.startswith("readme") and known.kind != "readme-text"]
    else:
        rows = [known for known in rows if known.kind == row.framework]
    return next((known for known in rows if known.weights in (row.weights, row.short)), None)
