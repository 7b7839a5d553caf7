"""Reads the names and shapes of a file as a layout and a variant, and counts what that explains."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from effconvert.canonical import default_facts, tensor_shapes
from effconvert.facts import Facts
from effconvert.formats.checkpoint import Checkpoint, Shape
from effconvert.layout import layouts
from effconvert.map_language import Fill, Layout
from effconvert.moves import Compiled, Move, compile_layout, identity_moves, names_at_the_ends
from effconvert.scopes import Scope, ignored, scopes_in
from effconvert.variants import VARIANTS, Variant, head_channels, stem_channels
from effconvert.weight_sets import WeightSets


@dataclass(frozen=True)
class Reading:
    """A file read as one layout and variant.

    layout: None for this project's own. moves: to canonical, with names as the map has them. others: {tensor of the
    file that is no weight: reason}. missing: how many tensors the file lacks or has in another shape. unknown: tensors
    that nothing explains. outside: how many stand outside the scope of the weights.
    """

    layout: Layout | None
    variant: Variant
    facts: Facts
    scope: Scope
    moves: tuple[Move, ...]
    others: Mapping[str, str] = field(repr=False)
    missing: int
    unknown: tuple[str, ...]
    outside: int

    @property
    def sets(self) -> WeightSets:
        """The sets of weights in the file."""
        return self.scope.sets

    @property
    def exact(self) -> bool:
        """Whether every tensor has its place."""
        return self.missing == 0 and not self.unknown

    @property
    def explained(self) -> int:
        """How much the reading explains, in tensors."""
        return len(self.moves) - 2 * self.missing - len(self.unknown)


def readings(checkpoint: Checkpoint, root: str | None = None) -> Iterator[Reading]:
    """Yield every reading of the file that has a stem somewhere, or under `root`; the likely ones of a layout first.

    Raises LayoutMismatch when several networks of one kind are there.
    """
    for layout in (*layouts(), None):
        ends = names_at_the_ends(layout) if layout else {name: name for name in tensor_shapes(VARIANTS["b0"])}
        for scope in scopes_in(checkpoint, layout, ends, root):
            for variant in _candidates(layout, scope, checkpoint, ends["stem.conv.weight"]):
                yield read_as(checkpoint, layout, variant, scope)


def read_as(
    checkpoint: Checkpoint, layout: Layout | None, variant: Variant, scope: Scope, facts: Facts | None = None
) -> Reading:
    """Return the file read as `variant`; without `facts` the shapes tell the classes, and the layout the rest."""
    shapes = {
        base: checkpoint.tensors[name].shape for names in scope.sets.names.values() for base, name in names.items()
    }
    if facts is None:
        assumed = default_facts(variant)
        if layout:
            assumed = layout.facts_of(variant.name, assumed)
        compiled = _compiled(layout, variant, assumed, scope)
        facts = _facts_in(assumed, variant, shapes, {move.target: move.source for move in compiled.moves})
        if facts != assumed:
            compiled = _compiled(layout, variant, facts, scope)
    else:
        compiled = _compiled(layout, variant, facts, scope)
    moved = {move.source for move in compiled.moves}
    others, unknown = dict(scope.beside), []
    for base in sorted(shapes.keys() - moved):
        reason = _reason(layout, compiled.fills, base)
        found = [names[base] for names in scope.sets.names.values() if base in names]
        if reason:
            others |= dict.fromkeys(found, reason)
        else:
            unknown += found
    missing = sum(shapes.get(move.source) != move.source_shape for move in compiled.moves)
    return Reading(layout, variant, facts, scope, compiled.moves, others, missing, tuple(unknown), scope.outside)


def without_classifier(checkpoint: Checkpoint, found: Reading) -> Reading:
    """Return the reading as a network without its classifier, which leaves behind whatever else the file holds."""
    facts = replace(found.facts, classes=0)
    bare = read_as(checkpoint, found.layout, found.variant, found.scope, facts)
    rest = dict.fromkeys(bare.unknown, "not of the backbone, which --backbone asked for")
    return replace(bare, others={**bare.others, **rest}, unknown=())


def until_exact(found: Iterable[Reading]) -> Iterator[Reading]:
    """Yield readings up to the first that explains everything."""
    for reading in found:
        yield reading
        if reading.exact and not reading.outside:
            return


def own_root(layout: Layout, variant: Variant) -> str:
    """Return the scope under which `layout` itself writes `variant`."""
    return layout.root.replace("{variant}", layout.variants[variant.name])


def _reason(layout: Layout | None, fills: Mapping[str, Fill], base: str) -> str:
    return fills[base].reason if base in fills else ignored(layout, base)


def _compiled(layout: Layout | None, variant: Variant, facts: Facts, scope: Scope) -> Compiled:
    if layout is None:
        moves = identity_moves(tensor_shapes(variant, facts))
        return Compiled(tuple(moves), {}, tuple(move.source for move in moves))
    return compile_layout(layout, variant, facts, root="", bare=scope.bare)


def _candidates(layout: Layout | None, scope: Scope, checkpoint: Checkpoint, kernel: str) -> list[Variant]:
    """Return the layout's variants: first what the scope names, then those whose stem is as wide as the file's."""
    names = list(layout.variants if layout else VARIANTS)
    kernel = kernel.removeprefix(layout.backbone if layout and scope.bare else "")
    files = [held[kernel] for held in scope.sets.names.values() if kernel in held]
    if files:
        shape = checkpoint.tensors[files[0]].shape
        names.sort(key=lambda name: stem_channels(VARIANTS[name]) not in shape)
    if layout and "{variant}" in layout.root:
        names.sort(key=lambda name: own_root(layout, VARIANTS[name]) != scope.root)
    return [VARIANTS[name] for name in names]


def _facts_in(facts: Facts, variant: Variant, shapes: Mapping[str, Shape], names: Mapping[str, str]) -> Facts:
    """Return `facts` with the classes, or the lack of a head, that the shapes tell; `names` are the file's."""
    bias, weight = shapes.get(names["head.fc.bias"]), shapes.get(names["head.fc.weight"])
    if bias is not None and len(bias) == 1:
        return replace(facts, classes=bias[0])
    if weight is not None:
        return replace(facts, classes=math.prod(weight) // head_channels(variant))
    return replace(facts, classes=0, head_conv=names["head.conv.weight"] in shapes)
