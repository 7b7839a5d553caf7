"""The plan of a conversion, complete before a byte is written: targets, dtypes, metadata and warnings."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from effconvert.architecture.facts import Facts
from effconvert.conversion.conversion_warnings import assumed_head, cautions
from effconvert.conversion.targets import Target, choose_target, moves_from_canonical
from effconvert.errors import LayoutMismatch
from effconvert.formats.checkpoint import BFLOAT16, Checkpoint, TensorInfo
from effconvert.graphs.graph_options import ONNX, GraphOptions
from effconvert.identify.coverage import Coverage, read_network
from effconvert.identify.description import Description
from effconvert.identify.identification import Identity
from effconvert.identify.preprocessing import assumed_recipe, channel_cautions, recipe_of, training_of
from effconvert.identify.weight_sets import RAW, WEIGHTS
from effconvert.maps.language import Fill
from effconvert.maps.moves import Move, compose, dropping_background_class
from effconvert.option_words import flag
from effconvert.options import Options

DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": BFLOAT16,
}
NAMES = ("raw", "average", "both")


@dataclass(frozen=True)
class Plan:
    """All steps of a conversion.

    to_canonical: the moves from the source to canonical. moves: those from canonical to the output, in its order.
    infos: the output's tensors, in the same order. fill: tensors that no move gives. target: the layout and the network
    of the output. cautions: the warnings, in sentences. graph: how the network is written as a graph; None for
    a file of weights.
    """

    identity: Identity
    coverage: Coverage
    to_canonical: tuple[Move, ...]
    moves: tuple[Move, ...]
    infos: tuple[TensorInfo, ...]
    fill: Mapping[str, Fill]
    target: Target
    description: Description
    cautions: tuple[str, ...]
    graph: GraphOptions | None = None

    @property
    def canonical(self) -> dict[str, str]:
        """{source name: canonical name}."""
        return {move.source: move.target for move in self.coverage.moves}

    @property
    def facts(self) -> Facts:
        """The facts of the output's network."""
        return self.target.facts


def make_plan(checkpoint: Checkpoint, to: str, options: Options) -> Plan:
    """Return the plan of a conversion of `checkpoint` to the layout `to`.

    Raises LayoutMismatch if the file does not fit its layout, or if the target cannot have its facts.
    """
    identity, coverage = read_network(checkpoint, options)
    _check_direction(checkpoint, identity, to, options)
    moves, facts = list(coverage.moves), identity.facts
    if options.drop_background_class:
        moves, facts = _without_background(checkpoint, moves, facts)
    target = choose_target(to, identity.variant, facts, options, str(checkpoint.path), identity.doubt)
    description = _describe(identity, coverage, target, options, facts)
    names = options.names or ("raw" if description.taken == RAW else "both")
    further, fill, order = moves_from_canonical(target, names)
    through = {move.target: move for move in compose(moves, further)}
    # Half precision cannot hold a variance and the shift of an epsilon.
    shifted = {move.source for move in coverage.moves if target.eps_shift and move.target.endswith(".running_var")}
    infos = [
        _info(checkpoint, through[name], shifted, target, "float32" if to == ONNX else options.dtype)
        if name in through
        else TensorInfo(name, fill[name].shape, np.dtype(fill[name].dtype))
        for name in order
    ]
    return Plan(
        identity=identity,
        coverage=coverage,
        to_canonical=tuple(moves),
        moves=tuple(through.values()),
        infos=tuple(infos),
        fill=fill,
        target=target,
        description=description,
        cautions=(
            *cautions(checkpoint, identity, coverage, facts, target, options),
            *channel_cautions(description.recipe, target.layout),
        ),
    )


def _check_direction(checkpoint: Checkpoint, identity: Identity, to: str, options: Options) -> None:
    """Refuse a conversion that would only lose a set of weights, and `raw` if there is only one set."""
    if identity.layout and identity.layout.average and identity.layout_name == to:
        raise LayoutMismatch(f"{checkpoint.path}: already has the layout {to}; there is nothing to convert")
    if options.raw and WEIGHTS in identity.sets.names:
        raise LayoutMismatch(
            f"{checkpoint.path}: holds one set of weights; {flag('raw')} is for files that hold averages too"
        )


def _without_background(checkpoint: Checkpoint, moves: list[Move], facts: Facts) -> tuple[list[Move], Facts]:
    if facts.classes != 1001:
        dropping = flag("drop_background_class")
        raise LayoutMismatch(
            f"{checkpoint.path}: {dropping} is for classifiers of 1001 classes; this has {facts.classes}"
        )
    return dropping_background_class(moves), replace(facts, classes=1000)


def _info(checkpoint: Checkpoint, move: Move, shifted: Container[str], target: Target, dtype: str | None) -> TensorInfo:
    kept = DTYPES[dtype] if dtype else checkpoint.tensors[move.source].dtype
    taken = target.layout.library.dtypes if target.layout else ()
    if (taken and str(kept) not in taken) or (move.source in shifted and kept.itemsize < 4):
        kept = np.dtype(np.float32)
    return TensorInfo(move.target, move.target_shape, kept)


def _describe(identity: Identity, coverage: Coverage, target: Target, options: Options, facts: Facts) -> Description:
    """Return the description of the output, without the hashes of this source, which are known last.

    A file that was converted before keeps its earlier origin.
    """
    told = {
        "raw": options.raw,
        "root": options.root,
        "backbone": options.backbone,
        "classifier": identity.reading.classifier.get(coverage.taken) or options.classifier,
        "leave": list(options.leave),
        "dtype": options.dtype,
        "drop_background_class": options.drop_background_class,
        "facts": dict(options.facts or {}),
        "fold_eps": {"from": facts.bn_eps, "to": target.facts.bn_eps} if target.eps_shift else None,
        "assumed": sorted(identity.assumed),
        "assumed_head": assumed_head(identity, coverage.taken),
        "assumed_recipe": "" if options.recipe or identity.description else assumed_recipe(identity, options.weights),
        "recipe": options.recipe,
    }
    before = identity.description
    return Description(
        variant=identity.variant.name,
        weights=training_of(identity, options.weights),
        facts=target.weights_facts,
        recipe=recipe_of(identity, options.weights, options.recipe),
        layout=before.layout if before else identity.layout_name,
        taken=before.taken if before else coverage.taken,
        options={name: value for name, value in told.items() if value} | _earlier(before, "options"),
        source=_earlier(before, "source"),
        map_sha256=before.map_sha256 if before else identity.layout.sha256 if identity.layout else "",
        target=target.name,
        labels=_labels(identity, target.facts.classes),
        coverage=coverage.counts() | _earlier(before, "coverage"),
    )


def _labels(identity: Identity, classes: int) -> tuple[str, ...]:
    """Return the names of the classes, if the source has them and all classes are kept."""
    labels = identity.companion.labels or (identity.description.labels if identity.description else ())
    return labels if len(labels) == classes else ()


def _earlier(before: Description | None, field: str) -> dict[str, Any]:
    """Return the `field` of a source that was converted before, under a separate key, the latest first."""
    said = dict(getattr(before, field, None) or {})
    earlier = said.pop("earlier", [])
    chain = [entry for entry in (said, *earlier) if entry]
    return {"earlier": chain} if chain else {}
