"""Inspection of a checkpoint, without reading its data."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effconvert.deployed.files import DeployedFile, framework_of_file, inspect_deployed
from effconvert.errors import BadMap, LayoutMismatch
from effconvert.formats import Checkpoint, TensorInfo, open_checkpoint
from effconvert.formats.checkpoint import DataFile, tensor_rows
from effconvert.formats.onnx.file import opened, why_not_weights
from effconvert.identify.description import Description, read_description
from effconvert.identify.identification import Identity, identify
from effconvert.identify.missing_tensors import kind_of, missing_words
from effconvert.identify.preprocessing import assumed_recipe
from effconvert.maps.map_names import ONNX
from effconvert.maps.moves import Move
from effconvert.shown import Row, Shown


@dataclass(frozen=True, repr=False)
class Inspection(Shown):
    """The contents of a checkpoint.

    layout, variant: None if no layout is near; then `note` says what the names look like. assumption: the reason for
    facts that no file records. assumed: the names of assumed facts. cautions: warnings on files beside the weights.
    missing: number of tensors that the file lacks or has in another shape. missing_kind: the one kind of all missing
    tensors; "" if there are several. missing_words: a sentence on them. unread: number of tensors that cannot be read.
    unknown: number of tensors that the layout does not have. strange: {each of them: its place}. classifier: the layer
    that is taken for it, if its name is not the layout's own. sets: {set of weights: its tensors and bytes}.
    parameters: number of trainable values. others: {why a tensor is not a weight: number}. graph: what an ONNX
    or TensorFlow Lite file says of its network; None for every other file.
    """

    path: str
    format: str
    files: dict[str, int]
    layout: str | None
    variant: str | None
    root: str
    note: str
    assumption: str
    assumed: tuple[str, ...]
    cautions: tuple[str, ...]
    missing: int
    missing_kind: str
    missing_words: str
    unknown: int
    unread: int
    strange: dict[str, str]
    classifier: str
    sets: dict[str, dict[str, int]]
    others: dict[str, int]
    parameters: int | None
    facts: dict[str, Any] | None
    description: Description | None
    metadata: dict[str, str]
    nbytes: int
    tensors: tuple[TensorInfo, ...]
    graph: DeployedFile | None = None

    @property
    def line(self) -> str:
        """What the checkpoint holds, in one line."""
        if self.graph and not self.tensors:
            return f"{self.graph.line}; no weights"
        counted = f"{len(self.tensors):,} tensors, {self.nbytes:,} bytes"
        if self.layout is None:
            return f"{self.path}: {self.format}, layout unknown, {counted}"
        lacking = f", {self.missing:,} missing" if self.missing else ""
        network = f"{self.layout}, {self.variant}, {self.parameters:,} parameters"
        return f"{self.path}: {self.format}, {network}, {counted}{lacking}"

    def to_rows(self) -> list[Row]:
        """Return a row for each tensor, in the order of the file."""
        return tensor_rows(self.tensors)

    def to_dict(self) -> dict[str, Any]:
        """Return the inspection as plain values, for JSON."""
        tensors = [{"name": t.name, "shape": list(t.shape), "dtype": str(t.dtype)} for t in self.tensors]
        described = self.description.to_metadata() if self.description else None
        graph = self.graph.to_dict() if self.graph else None
        lists = {"assumed": list(self.assumed), "cautions": list(self.cautions)}
        return {**vars(self), "tensors": tensors, "description": described, "graph": graph, **lists}


def inspect(path: str | Path, key: bytes | None = None) -> Inspection:
    """Inspect the checkpoint at `path`, without reading its data.

    path: a file, a folder, a TensorFlow prefix, a SavedModel, or a .tar.gz of one. key: decrypts it.

    Raises MissingPath, UnreadableCheckpoint or BadMap, and LayoutMismatch for an ONNX or TensorFlow Lite file that is
    not an image classifier. An unknown layout is not an exception, and neither is such a file without weights: then
    `layout` is None.

    Example: `effconvert.inspect("b0.safetensors").variant`
    """
    graph = inspect_deployed(path) if framework_of_file(Path(path)) else None
    if graph and (reason := _why_not_weights(graph)):
        return _without_weights(graph, reason)
    with open_checkpoint(path, key) as checkpoint:
        try:
            identity, note = identify(checkpoint), ""
        except BadMap:
            raise
        except LayoutMismatch as error:
            identity, note = None, str(error).removeprefix(f"{checkpoint.path}: ")
        return Inspection(
            path=str(path),
            format=checkpoint.format,
            files={file.name: file.stat().st_size for file in checkpoint.files},
            layout=identity.layout_name if identity else None,
            variant=identity.variant.name if identity else None,
            root=identity.sets.roots[identity.sets.preferred(identity.moves, want_raw=False)] if identity else "",
            note=note,
            assumption=identity.assumption if identity else "",
            assumed=tuple(sorted(identity.assumed)) if identity else (),
            cautions=_cautions(identity) if identity else (),
            missing=identity.reading.missing - _unread(checkpoint, identity) if identity else 0,
            missing_kind=kind_of(_lacking(identity)) if identity else "",
            missing_words=missing_words(_lacking(identity), _wanted(identity)) if identity else "",
            unknown=len(identity.reading.unknown) + len(identity.reading.outside) if identity else 0,
            unread=_unread(checkpoint, identity) if identity else 0,
            strange={**identity.reading.unknown, **identity.reading.outside} if identity else {},
            classifier=next(iter(identity.reading.classifier.values()), "") if identity else "",
            sets=_sets(checkpoint, identity) if identity else {},
            others=_others(checkpoint, identity),
            parameters=_parameters(identity.moves) if identity else None,
            facts=identity.facts.to_dict() if identity else None,
            description=identity.description if identity else None,
            metadata=dict(checkpoint.metadata),
            nbytes=sum(info.nbytes for info in checkpoint.tensors.values()),
            tensors=tuple(checkpoint.tensors.values()),
            graph=graph,
        )


def _why_not_weights(graph: DeployedFile) -> str:
    """Return why weights cannot be taken from a deployed file, and what to do; "" if they can."""
    if graph.framework != ONNX:
        return "its kernels have BatchNorm folded into them; give the checkpoint that it was made from"
    with DataFile(graph.path) as file:
        refusal = why_not_weights(opened(file))
    return refusal.reason if refusal else ""


def _without_weights(graph: DeployedFile, reason: str) -> Inspection:
    """Return the inspection of a deployed file whose values are not weights; effconvert's own say what they are of."""
    path = graph.path
    description = read_description(graph.graph.metadata, str(path)) if graph.framework == ONNX else None
    return Inspection(
        path=str(path),
        format=graph.graph.format,
        files={name: (path.parent / name).stat().st_size for name in graph.sha256},
        layout=None,
        variant=description.variant if description else None,
        root="",
        note=reason,
        assumption="",
        assumed=tuple(sorted(description.assumed)) if description else (),
        cautions=(),
        missing=0,
        missing_kind="",
        missing_words="",
        unknown=0,
        unread=0,
        strange={},
        classifier="",
        sets={},
        others={},
        parameters=None,
        facts=description.facts.to_dict() if description else None,
        description=description,
        metadata=dict(graph.graph.metadata),
        nbytes=0,
        tensors=(),
        graph=graph,
    )


def _sets(checkpoint: Checkpoint, identity: Identity) -> dict[str, dict[str, int]]:
    result = {}
    for chosen, names in sorted(identity.sets.names.items()):
        sizes = [checkpoint.tensors[names[move.source]].nbytes for move in identity.moves if move.source in names]
        if sizes:
            result[chosen] = {"tensors": len(sizes), "nbytes": sum(sizes)}
    return result


def _unread(checkpoint: Checkpoint, identity: Identity) -> int:
    taken = identity.sets.preferred(identity.moves, want_raw=False)
    return sum(move.source in checkpoint.skipped for move in identity.sets.taking(taken, identity.moves))


def _cautions(identity: Identity) -> tuple[str, ...]:
    """Return the warnings of files beside the weights, and the preprocessing that an earlier conversion assumed."""
    words = assumed_recipe(identity) if identity.description else ""
    return (*identity.companion.cautions, *([words] if words else []))


def _wanted(identity: Identity) -> list[str]:
    return [move.target for move in identity.moves]


def _lacking(identity: Identity) -> list[str]:
    held = {base for names in identity.sets.names.values() for base in names}
    return [move.target for move in identity.moves if move.source not in held]


def _others(checkpoint: Checkpoint, identity: Identity | None) -> dict[str, int]:
    reasons = Counter((*checkpoint.skipped.values(), *checkpoint.remarks))
    if identity:
        reasons += Counter(identity.reading.others.values())
    return dict(sorted(reasons.items()))


def _parameters(moves: tuple[Move, ...]) -> int:
    from effconvert.architecture.canonical import is_trainable

    return sum(math.prod(move.target_shape) for move in moves if is_trainable(move.target))
