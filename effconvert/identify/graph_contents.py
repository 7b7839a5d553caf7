"""What an ONNX model wants, what it gives, and who wrote it: of every model, whether it holds weights or not."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effconvert.budget import Budget, guarded
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.onnx.file import GRAPH, exporter, opened, why_not_weights
from effconvert.formats.onnx.model import OnnxModel
from effconvert.formats.onnx.usage import learn
from effconvert.formats.signatures import Format, format_of
from effconvert.formats.strict_json import parse_json
from effconvert.graphs.graph_options import GraphOptions


@dataclass(frozen=True)
class GraphContents:
    """The contents of an ONNX model.

    exporter: the program that wrote it. opset, ir_version: of ONNX. inputs, outputs: names, dtypes and axes; an axis of
    any size has a name. axes: NCHW, NHWC or unknown. normalises: whether there is arithmetic in front of the first
    convolution; softmax: whether it ends in one; quantised: whether it computes with integers. operators, convolutions,
    batch_norms: their numbers. values, nbytes: number and size of its tensors; outside: the files beside it that hold
    some. options: how effconvert wrote it; None for another exporter. no_weights: why its values are not weights, and
    what to do; "" if they are.
    """

    exporter: str
    opset: int
    ir_version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    axes: str
    normalises: bool
    softmax: bool
    quantised: bool
    operators: int
    convolutions: int
    batch_norms: int
    values: int
    nbytes: int
    outside: tuple[str, ...]
    options: GraphOptions | None
    no_weights: str
    metadata: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the contents as plain values, for JSON."""
        return {**dataclasses.asdict(self), "metadata": dict(self.metadata)}


def graph_contents(path: Path) -> GraphContents | None:
    """Return the contents of the ONNX model at `path`; None if it is another file.

    Raises UnreadableCheckpoint if the model is damaged.
    """
    if not path.is_file() or format_of(path) is not Format.ONNX:
        return None
    with guarded(path), DataFile(path) as file:
        return _contents(opened(file), path)


def _contents(model: OnnxModel, path: Path) -> GraphContents:
    usage = learn(model)
    refusal = why_not_weights(model, usage)
    return GraphContents(
        exporter=exporter(model),
        opset=model.opsets.get("", model.opsets.get("ai.onnx", 0)),
        ir_version=model.ir_version,
        inputs=tuple(value.in_words for value in model.inputs),
        outputs=tuple(value.in_words for value in model.outputs),
        axes=usage.axes,
        normalises=usage.normalises,
        softmax=usage.softmax,
        quantised=usage.quantised,
        operators=len(model.nodes),
        convolutions=usage.convolutions,
        batch_norms=usage.batch_norms,
        values=len(model.tensors),
        nbytes=sum(tensor.content.size for tensor in model.tensors if tensor.content),
        outside=usage.outside,
        options=_options(model.metadata.get(GRAPH, ""), path),
        no_weights=refusal.reason if refusal else "",
        metadata=model.metadata,
    )


def _options(text: str, path: Path) -> GraphOptions | None:
    try:
        return GraphOptions.from_dict(parse_json(text, Budget(path, len(text))))
    except (ValueError, RecursionError):
        return None
