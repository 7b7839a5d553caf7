"""The tables of `reference/` as frozen rows, read once."""

import csv
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Published:
    """One published archive of TensorFlow weights.

    release: rises with the date of release; released: year and month. size: height and width in pixels that the weights
    were made for. sha256: of the archive, None where it is not known.
    """

    variant: str
    weights: str
    release: int
    released: str
    size: int
    url: str
    sha256: str | None
    note: str
    source: str


@dataclass(frozen=True)
class Accuracy:
    """ImageNet accuracy in percent of (variant, weights) at `size` pixels.

    kind: who says so: `readme` (tensorflow/tpu as it stands), `readme-before-<date>`, `readme-text`, `paper`, or `timm`
    (measured again on ported weights). top5 is None where it was not published.
    """

    variant: str
    weights: str
    kind: str
    size: int
    top1: float
    top5: float | None
    note: str
    source: str


@dataclass(frozen=True)
class Cost:
    """Trainable values and multiply-adds of a variant at `size` pixels.

    kind: `graph` (counted in the official graph), `readme` or `paper`. The steps are the units that the numbers were
    rounded to. fused_stride: where the counted network had the stride of its fused blocks, None where it has none.
    """

    variant: str
    kind: str
    size: int
    parameters: int
    parameters_step: int
    macs: int
    macs_step: int
    fused_stride: str | None
    note: str
    source: str


@cache
def weights_table() -> tuple[Published, ...]:
    """Return every published archive; rows of one variant are in no promised order."""
    return tuple(
        Published(
            **row
            | {
                "release": int(row["release"]),
                "size": int(row["size"]),
                "sha256": row["sha256"].lower() or None,
            }
        )
        for row in _rows("weights.csv")
    )


@cache
def accuracy_table() -> tuple[Accuracy, ...]:
    """Return every published accuracy, tensorflow/tpu's own first."""
    return tuple(
        Accuracy(
            **row
            | {
                "size": int(row["size"]),
                "top1": float(row["top1"]),
                "top5": float(row["top5"]) if row["top5"] else None,
            }
        )
        for row in _rows("accuracy.csv")
    )


@cache
def cost_table() -> tuple[Cost, ...]:
    """Return every published or counted cost, those of the official graphs first."""
    numbers = ("size", "parameters", "parameters_step", "macs", "macs_step")
    return tuple(
        Cost(**row | {name: int(row[name]) for name in numbers} | {"fused_stride": row["fused_stride"] or None})
        for row in _rows("cost.csv")
    )


@cache
def recipe_tables() -> dict[str, dict[str, Any]]:
    """Return {name: table} of the official preprocessings, as `recipes.toml` has them."""
    text = files("effconvert.reference").joinpath("recipes.toml").read_text(encoding="utf-8")
    return {name: table for name, table in tomllib.loads(text).items() if name != "schema"}


def _rows(name: str) -> list[dict[str, Any]]:
    text = files("effconvert.reference").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
