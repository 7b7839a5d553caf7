"""The tables of `reference/` as frozen rows, read once."""

import csv
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from effconvert.facts import parse_assignments

FRAMEWORKS = ("tensorflow", "mindspore", "mmpretrain", "timm", "torchvision", "lukemelas", "keras", "huggingface")

# timm's tags say the training and the data; these are the names that the same trainings have elsewhere.
_SHORT_NAMES = {
    "in1k": "base",
    "aa_in1k": "aa",
    "ra_in1k": "ra",
    "ap_in1k": "advprop",
    "ns_jft_in1k": "ns",
    "ns_jft_in1k_475": "ns-475",
}


@dataclass(frozen=True)
class Published:
    """One published file of weights: an archive of TensorFlow, or a single file of another framework.

    network: what the framework calls the network that runs them. release: orders the weights of one variant, the usual
    ones last; rises with the date where that is known. released: year and month, "" where unknown. size: height and
    width in pixels that they are evaluated at. sha256, md5: of the file, None where they are not known. bytes: its
    size, None where it was not published, rounded to bytes_step. facts: those that neither the file nor its layout
    says. recipe: a table of recipes.toml. crop_pct: timm's, None elsewhere. default: timm takes this one where only the
    network is named.
    """

    framework: str
    variant: str
    weights: str
    network: str
    release: int
    released: str
    size: int
    classes: int
    url: str
    sha256: str | None
    md5: str | None
    bytes: int | None
    bytes_step: int
    facts: Mapping[str, str]
    recipe: str
    crop_pct: float | None
    default: bool
    note: str
    source: str

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]

    @property
    def short(self) -> str:
        """The name of the weights that all frameworks share, where there is one."""
        return _SHORT_NAMES.get(self.weights, self.weights)


@dataclass(frozen=True)
class Accuracy:
    """ImageNet accuracy in percent of (variant, weights) at `size` pixels.

    kind: who says so: `readme` (tensorflow/tpu as it stands), `readme-before-<date>`, `readme-text`, `paper`; `timm`
    (measured again on ported weights, which have their short names, and on its own), `mmpretrain`, `mindspore`,
    `torchvision`. top5 is None where it was not published. layout: the library whose preprocessing of these weights it
    was measured with. decides: whether a measured accuracy can be judged by it: `yes`, `no`, or `top1` where its top5
    is not to be trusted; the note says why not.
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


@dataclass(frozen=True)
class Cost:
    """A published cost of a variant at `size` pixels.

    kind: who says so: `graph` (counted in the official graph), `readme` and `readme-text` (tensorflow/tpu), `paper`,
    `mmpretrain`, `torchvision`, `timm-documents` (its model index), `timm` (its results). counted_size: the size that
    the operations are those of, another than `size` where the table is wrong. classes: of the network that was counted.
    parameters: trainable values, None where they were not published, as `operations`. convention: how those are added
    up, one of `effconvert.validate.costs.conventions`, "" without operations. The steps are the units that the numbers
    were rounded to. decides: whether a count can be judged by it: `yes`, `parameters` or `operations` where only these
    are explained; the note says what is not. fused_stride: where the counted network had the stride of its fused
    blocks, None where it has none or that is not known.
    """

    variant: str
    kind: str
    size: int
    counted_size: int
    classes: int
    parameters: int | None
    parameters_step: int
    convention: str
    operations: int | None
    operations_step: int
    decides: str
    fused_stride: str | None
    note: str
    source: str

    def decides_on(self, quantity: str) -> bool:
        """Return whether its `parameters` or `operations` can be held against a count."""
        return self.decides in ("yes", quantity)


@cache
def weights_table() -> tuple[Published, ...]:
    """Return every published file; rows of one variant are in no promised order."""
    return tuple(
        Published(
            **row
            | {name: int(row[name]) for name in ("release", "size", "classes")}
            | {
                "sha256": row["sha256"].lower() or None,
                "md5": row["md5"].lower() or None,
                "bytes": int(row["bytes"]) if row["bytes"] else None,
                "bytes_step": int(row["bytes_step"] or 0),
                "facts": parse_assignments(row["facts"].split()),
                "crop_pct": float(row["crop_pct"]) if row["crop_pct"] else None,
                "default": row["default"] == "yes",
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
    return tuple(_cost(row) for row in _rows("cost.csv"))


def _cost(row: dict[str, Any]) -> Cost:
    numbers = {name: int(row[name]) for name in ("size", "classes")}
    steps = {name: int(row[name] or 0) for name in ("parameters_step", "operations_step")}
    figures = {name: int(row[name]) if row[name] else None for name in ("parameters", "operations")}
    counted_size = int(row["counted_size"] or row["size"])
    return Cost(
        **row | numbers | steps | figures | {"counted_size": counted_size, "fused_stride": row["fused_stride"] or None}
    )


@cache
def recipe_tables() -> dict[str, dict[str, Any]]:
    """Return {name: table} of the preprocessings, as `recipes.toml` has them."""
    text = files("effconvert.reference").joinpath("recipes.toml").read_text(encoding="utf-8")
    return {name: table for name, table in tomllib.loads(text).items() if name != "schema"}


def _rows(name: str) -> list[dict[str, Any]]:
    text = files("effconvert.reference").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
