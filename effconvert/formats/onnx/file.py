"""An ONNX model as a checkpoint: only what effconvert wrote, unfolded and as it wrote it, holds weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from effconvert.errors import UnreadableCheckpoint, printable
from effconvert.formats.checkpoint import Array, Checkpoint, DataFile, TensorInfo, as_array, check_name
from effconvert.formats.onnx.model import OnnxModel, read_model
from effconvert.formats.protobuf import WireError
from effconvert.formats.protobuf_file import Span

FORMAT = "ONNX"
# The key of the metadata under which effconvert says how it wrote the graph, as JSON.
GRAPH = "graph"
FOLDED = ".folded."  # in the names of a folded graph's values
_QUANTISED = frozenset({"QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger"})
_NORM = "BatchNormalization"
_EXPORTED = "give the checkpoint that it was exported from"
_LONGEST_SHOWN = 80


class OnnxCheckpoint(Checkpoint):
    """An open ONNX model whose initializers are weights."""

    format = FORMAT

    def __init__(self, path: Path, folded: bool = False) -> None:
        """Open the model. Raises UnreadableCheckpoint if it is damaged, or holds no weights, with the reason.

        folded: take the values of a folded graph, which are not the weights, to compare them with those written.
        """
        super().__init__()
        self.path = path
        self.files = (path,)
        self.skipped: Mapping[str, str] = {}
        self._file = self.open_file(path)
        try:
            model = opened(self._file)
            refusal = None if folded else why_not_weights(model)
            if refusal:
                raise UnreadableCheckpoint(f"{path}: not a checkpoint but {refusal.kind}; {refusal.reason}")
            self.metadata = model.metadata
            self.tensors, self._places = _tensors(model, self._file)
        except BaseException:
            self.close()
            raise

    def read(self, name: str) -> Array:
        return as_array(self._file.read(*self._places[name]), self.tensors[name])

    def checksum(self, name: str) -> int:
        return self._file.checksum(*self._places[name])


def opened(file: DataFile) -> OnnxModel:
    """Return the model in `file`. Raises UnreadableCheckpoint if it is damaged."""
    try:
        return read_model(file)
    except WireError as error:
        raise UnreadableCheckpoint(f"{file.path}: an ONNX model that is damaged or cut off: {error}") from error


def is_own(model: OnnxModel) -> bool:
    """Return whether effconvert wrote the model, or another program made it from such a model."""
    return "effconvert" in model.metadata and GRAPH in model.metadata


def exporter(model: OnnxModel) -> str:
    """Return the program that wrote the model, with its version; "" if the model does not say it."""
    words = f"{model.producer} {model.producer_version}".removesuffix(" None").strip()  # as tf2onnx writes it
    return printable(words)[:_LONGEST_SHOWN]


class Refusal(NamedTuple):
    """Why a model holds no weights. kind: what it is. reason: why, and what to do."""

    kind: str
    reason: str


def why_not_weights(model: OnnxModel) -> Refusal | None:
    """Return why the weights cannot be taken from the model; None if they can."""
    kinds = {node.kind for node in model.nodes}
    if not is_own(model):
        kind = f"an ONNX model of {exporter(model)}" if exporter(model) else "an ONNX model"
        if kinds & _QUANTISED:
            return Refusal(kind, f"its values are rounded to integers, which are not the weights; {_EXPORTED}")
        return Refusal(
            kind,
            "exporters fold BatchNorm into the kernels, also under the weights' names, so that it holds no weights; "
            f"{_EXPORTED}",
        )
    kind = "an ONNX model that effconvert wrote"
    if any(FOLDED in tensor.name for tensor in model.tensors):
        return Refusal(
            kind,
            "BatchNorm is folded into the kernels, so that it holds no weights; give the checkpoint that it was made "
            "from",
        )
    if kinds & _QUANTISED or _NORM not in kinds or any(tensor.content is None for tensor in model.tensors):
        return Refusal(
            kind,
            "another program changed it, so that it holds no weights; give the model as effconvert wrote it, or the "
            "checkpoint that it was made from",
        )
    return None


def _tensors(model: OnnxModel, file: DataFile) -> tuple[dict[str, TensorInfo], dict[str, Span]]:
    float32, infos, places = np.dtype(np.float32), {}, {}
    for tensor in model.tensors:
        info = TensorInfo(check_name(tensor.name, file.path), tensor.shape, float32)
        if tensor.dtype != str(float32) or tensor.content is None or tensor.content.size != info.nbytes:
            raise UnreadableCheckpoint(
                f"{file.path}: tensor {tensor.name} is {tensor.dtype} {list(tensor.shape)} without the bytes for it; "
                "the model was damaged, or changed after effconvert wrote it"
            )
        infos[tensor.name], places[tensor.name] = info, tensor.content
    return infos, places
