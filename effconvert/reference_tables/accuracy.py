"""Published accuracies: one number per row, and ImageNet's top-1 and top-5 in pairs for the verdict on a run."""

from dataclasses import dataclass
from functools import cache

from effconvert.reference_tables.reading import Row, anything, is_count, is_name, is_number, one_of, read_rows
from effconvert.reference_tables.sources import read_sources

DATASETS = ("imagenet", "imagenet-real", "imagenetv2-matched-frequency", "imagenet-a", "imagenet-r", "imagenet-sketch")
TOP1, TOP5 = "top1", "top5"


@dataclass(frozen=True)
class Accuracy:
    """ImageNet accuracy in percent of (variant, weights) at `size` pixels.

    kind: the source: `readme` (tensorflow/tpu today), `readme-before-<date>`, `readme-text`, `paper`; `timm` (its own
    weights, and ported weights measured again under their short names), `mmpretrain`, `mindspore`, `torchvision`. top5
    is None where it was not published. layout: the library with whose preprocessing it was measured. decides: whether a
    measured accuracy can be judged by it: `yes`, `no`, or `top1` where only its top5 is unreliable; the note says why.
    """

    variant: str
    weights: str
    kind: str
    size: int
    top1: float
    top5: float | None
    layout: str
    decides: str
    note: str
    source: str


@cache
def accuracy_rows() -> tuple[Row, ...]:
    """Return the rows of accuracy.csv. Raises ValueError with all wrong cells."""
    rules = {
        "source": one_of(*read_sources()),
        "model": is_name,
        "variant": is_name,
        "weights": is_name,
        "dataset": one_of(*DATASETS),
        "precision": one_of("float32", "int8"),
        "size": is_count,
        "metric": one_of(TOP1, TOP5),
        "value": lambda text: is_number(text) and float(text) <= 100,
        "layout": anything,
        "decides": one_of("yes", "no"),
        "note": anything,
    }
    return tuple(read_rows("accuracy.csv", rules))


@cache
def accuracy_table() -> tuple[Accuracy, ...]:
    """Return ImageNet's accuracies of float networks, tensorflow/tpu's own first.

    Accuracies without a known preprocessing are left out: at a second size, quoted, or of unpublished weights.
    """
    pairs: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in accuracy_rows():
        if (row["dataset"], row["precision"]) == ("imagenet", "float32") and row["layout"]:
            pairs.setdefault((row["source"], row["model"], row["weights"], row["size"]), {})[row["metric"]] = row
    return tuple(_pair(pair[TOP1], pair.get(TOP5)) for pair in pairs.values())


def _pair(top1: Row, top5: Row | None) -> Accuracy:
    decides = top1["decides"]
    if decides == "yes" and top5 and top5["decides"] == "no":
        decides = TOP1
    return Accuracy(
        variant=top1["variant"],
        weights=top1["weights"],
        kind=top1["source"],
        size=int(top1["size"]),
        top1=float(top1["value"]),
        top5=float(top5["value"]) if top5 else None,
        layout=top1["layout"],
        decides=decides,
        note=f"top5 {top5['note']}" if top5 and decides == TOP1 else top1["note"],
        source=f"{read_sources()[top1['source']].title}: {top1['model']}",
    )
