"""Options of a network that is written as a graph; this module does not need the package `onnx`."""

import dataclasses
from dataclasses import dataclass
from typing import Any

# What a conversion to a graph is for: `--to onnx`. Its tensors have the canonical layout.
ONNX = "onnx"
SUFFIX = ".onnx"


@dataclass(frozen=True)
class GraphOptions:
    """How the network is written as a graph.

    size: height and width of the images in pixels; None for any. batch: the number of images; None for any. fold: each
    BatchNorm is part of the convolution before it. with_normalisation: the images are pixels, 0 to 255, which the graph
    normalises. with_softmax: it gives probabilities.
    """

    size: int | None
    batch: int | None = None
    fold: bool = False
    with_normalisation: bool = False
    with_softmax: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> "GraphOptions":
        """Return the options from the result of `to_dict`. Raises ValueError for anything else."""
        kinds = {field.name: bool if field.type in (bool, "bool") else int for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or values.keys() != kinds.keys():
            raise ValueError("it does not have the options of a graph")
        for name, kind in kinds.items():
            if type(values[name]) is not kind and not (kind is int and values[name] is None):
                raise ValueError(f"its option {name} is of another type")
        return cls(**values)

    @property
    def in_words(self) -> str:
        """The options in one line: `takes images of 224 x 224 pixels, normalised before`."""
        size = "any size" if self.size is None else f"{self.size} x {self.size} pixels"
        count = "" if self.batch is None else f", {self.batch:,} at a time"
        before = "normalised in the graph" if self.with_normalisation else "normalised before"
        gives = "; gives probabilities" if self.with_softmax else ""
        folded = "; BatchNorm folded into the kernels" if self.fold else ""
        return f"takes images of {size}{count}, {before}{gives}{folded}"
