"""What a conversion will do, decided before a byte is written: which tensor goes where, as what, and what is said."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from effconvert.canonical import default_facts, tensor_shapes
from effconvert.cautions import cautions
from effconvert.coverage import Coverage, check_coverage
from effconvert.description import Description
from effconvert.errors import LayoutMismatch, listing
from effconvert.facts import Facts
from effconvert.formats.checkpoint import BFLOAT16, Checkpoint, TensorInfo
from effconvert.identification import CANONICAL, Identity, identify
from effconvert.layout import find_layout
from effconvert.map_language import Fill
from effconvert.moves import Move, compile_moves, compose, dropping_background_class, identity_moves, invert
from effconvert.options import Options
from effconvert.validate.recipes import Recipe, official_recipe
from effconvert.variants import Variant
from effconvert.weight_sets import RAW, average_name

DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": BFLOAT16,
}
NAMES = ("raw", "average", "both")


@dataclass(frozen=True)
class Plan:
    """Everything that a conversion does.

    moves: source to output, in the order of the output. infos: the output's tensors, in that order too. fill: those
    that no move gives. canonical: {source name: canonical name}. cautions: what a user should know, in sentences.
    """

    identity: Identity
    coverage: Coverage
    moves: tuple[Move, ...]
    infos: tuple[TensorInfo, ...]
    fill: Mapping[str, Fill]
    canonical: Mapping[str, str]
    target: str
    facts: Facts
    description: Description
    cautions: tuple[str, ...]


def make_plan(checkpoint: Checkpoint, target: str, options: Options) -> Plan:
    """Return the plan that takes `checkpoint` to the layout called `target`.

    Raises LayoutMismatch when the file is not what it should be, or when the target cannot have its facts.
    """
    identity = identify(checkpoint, options.variant, options.facts)
    _check_direction(checkpoint, identity, target, options)
    coverage = check_coverage(checkpoint, identity, options.raw)
    moves, facts = list(coverage.moves), identity.facts
    if options.drop_background_class:
        moves, facts = _without_background(checkpoint, moves, facts)
    description = _describe(identity, coverage, facts, options)
    names = options.names or ("raw" if description.taken == RAW else "both")
    moves, fill = _onward(moves, target, identity.variant, facts, names)
    infos = [_info(checkpoint, move, target, options.dtype) for move in moves]
    infos += [TensorInfo(name, (), np.dtype(value.dtype)) for name, value in fill.items()]
    if target != CANONICAL:  # a bundle's names ascend
        infos.sort(key=lambda info: info.name.encode())
    return Plan(
        identity=identity,
        coverage=coverage,
        moves=tuple(moves),
        infos=tuple(infos),
        fill=fill,
        canonical={move.source: move.target for move in coverage.moves},
        target=target,
        facts=facts,
        description=description,
        cautions=tuple(cautions(checkpoint, identity, coverage, facts, target, options)),
    )


def _check_direction(checkpoint: Checkpoint, identity: Identity, target: str, options: Options) -> None:
    """Refuse what would only lose something: TensorFlow to TensorFlow, and --raw where there is one set."""
    if identity.layout_name == target != CANONICAL:
        raise LayoutMismatch(f"{checkpoint.path}: is in the layout {target} already; there is nothing to convert")
    if options.raw and identity.layout is None:
        raise LayoutMismatch(f"{checkpoint.path}: is converted and holds one set of weights; --raw is for its source")


def _without_background(checkpoint: Checkpoint, moves: list[Move], facts: Facts) -> tuple[list[Move], Facts]:
    if facts.classes != 1001:
        raise LayoutMismatch(
            f"{checkpoint.path}: --drop-background-class is for classifiers of 1001 classes, this has {facts.classes}"
        )
    return dropping_background_class(moves), replace(facts, classes=1000)


def _onward(
    moves: list[Move], target: str, variant: Variant, facts: Facts, names: str
) -> tuple[list[Move], Mapping[str, Fill]]:
    """Return the moves from the source on to `target`, and the tensors that are written beside them."""
    if target == CANONICAL:
        return compose(moves, identity_moves(tensor_shapes(variant, facts))), {}
    layout = find_layout(target)
    official = replace(default_facts(variant), classes=facts.classes, head_conv=facts.head_conv)
    allowed = layout.facts_of(variant.name, official)
    # No TensorFlow file records where the stride of a fused block sits: both networks read the same one.
    wrong = [
        f"{name} is {value}, the layout's network has {getattr(allowed, name)}"
        for name, value in facts.to_dict().items()
        if getattr(allowed, name) != value and name != "fused_stride"
    ]
    if wrong:
        raise LayoutMismatch(listing(f"{layout.name} cannot hold the facts of this {variant.name}:", wrong))
    inverse = invert(compile_moves(layout, variant, facts))
    averages = [replace(move, target=average_name(layout, move.target)) for move in inverse]
    written = {"raw": inverse, "average": averages, "both": inverse + averages}[names]
    return compose(moves, written), layout.fill


def _info(checkpoint: Checkpoint, move: Move, target: str, dtype: str | None) -> TensorInfo:
    if target != CANONICAL:
        return TensorInfo(move.target, move.target_shape, np.dtype(np.float32))
    kept = checkpoint.tensors[move.source].dtype
    return TensorInfo(move.target, move.target_shape, DTYPES[dtype] if dtype else kept)


def _recipe(identity: Identity, weights: str | None) -> Recipe:
    if identity.description and weights is None:
        return identity.description.recipe
    return official_recipe(identity.variant.name, weights)


def _describe(identity: Identity, coverage: Coverage, facts: Facts, options: Options) -> Description:
    """Return what the output says of itself, all but the hashes of this source, which are known last.

    A file that was converted before keeps what it says of its origin.
    """
    told = {
        "raw": options.raw,
        "dtype": options.dtype,
        "drop_background_class": options.drop_background_class,
        "facts": dict(options.facts or {}),
    }
    before = identity.description
    return Description(
        variant=identity.variant.name,
        weights=options.weights or (before.weights if before else None),
        facts=facts,
        recipe=_recipe(identity, options.weights),
        layout=before.layout if before else identity.layout_name,
        taken=before.taken if before else coverage.taken,
        options={name: value for name, value in told.items() if value} | _earlier(before, "options"),
        source=_earlier(before, "source"),
        map_sha256=before.map_sha256 if before else identity.layout.sha256 if identity.layout else "",
    )


def _earlier(before: Description | None, field: str) -> dict[str, Any]:
    """Return what a source that was converted before says in `field`, under a key of its own."""
    said = getattr(before, field, None)
    return {"earlier": dict(said)} if said else {}
