"""The accuracies of torchvision's weights are those that the library itself has."""

import torchvision_repair  # noqa: F401  first: torchvision does not import without it
from torchvision.models import efficientnet as library

from effconvert.reference_tables import accuracy_table


def test_torchvisions_accuracies_are_its_own() -> None:
    said = {
        (f"b{number}", weights.name.lower()): tuple(weights.meta["_metrics"]["ImageNet-1K"].values())
        for number in range(8)
        for weights in getattr(library, f"EfficientNet_B{number}_Weights")
    }
    rows = [row for row in accuracy_table() if row.kind == "torchvision"]
    assert {(row.variant, row.weights): (row.top1, row.top5) for row in rows} == said
