"""Finds out which layout, variant and facts a checkpoint has, from the names and shapes of its tensors."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from effconvert.canonical import default_facts, tensor_shapes
from effconvert.description import Description, read_description
from effconvert.errors import LayoutMismatch
from effconvert.facts import Facts, changed
from effconvert.formats.checkpoint import Checkpoint, Shape
from effconvert.layout import layouts
from effconvert.map_language import Layout
from effconvert.moves import Move, compile_moves, identity_moves
from effconvert.variants import VARIANTS, Variant, find_variant, head_channels
from effconvert.weight_sets import WeightSets, split_sets

OBJECT_GRAPH = "/.ATTRIBUTES/VARIABLE_VALUE"
CANONICAL = "canonical"


@dataclass(frozen=True)
class Identity:
    """What a checkpoint is.

    layout: None for this project's own. root: the scope its names stand under. moves: to canonical, with names as the
    map has them. missing, unknown: how many tensors the moves lack, and how many of the file no move takes.
    """

    layout: Layout | None
    variant: Variant
    facts: Facts
    root: str
    sets: WeightSets
    moves: tuple[Move, ...]
    missing: int
    unknown: int
    description: Description | None = None

    @property
    def layout_name(self) -> str:
        """The layout's name, `canonical` for this project's own."""
        return self.layout.name if self.layout else CANONICAL

    @property
    def exact(self) -> bool:
        """Whether every tensor has its place."""
        return self.missing == 0 and self.unknown == 0


def identify(checkpoint: Checkpoint, variant: str | None = None, facts: Mapping[str, str] | None = None) -> Identity:
    """Return what `checkpoint` is: the reading that explains most of its tensors.

    `variant` decides where the tensors leave it open; `facts` replaces what the layout or the file says.

    Raises LayoutMismatch when no layout is near, or when the file is plainly another variant.
    """
    description = read_description(checkpoint.metadata, str(checkpoint.path))
    shapes = {name: info.shape for name, info in checkpoint.tensors.items()}
    found = _own(description, shapes) if description else _recognised(shapes)
    if _explained(found) < 0 or found.missing == len(found.moves):
        raise LayoutMismatch(f"{checkpoint.path}: {_unknown_names(checkpoint)}")
    if variant is not None:
        found = _insist(checkpoint, found, find_variant(variant), shapes)
    return replace(found, facts=_replaced(checkpoint, found.facts, facts)) if facts else found


def _replaced(checkpoint: Checkpoint, found: Facts, facts: Mapping[str, str]) -> Facts:
    """Return `found` with the user's `facts`, which cannot gainsay what the tensors' shapes tell."""
    result = changed(found, facts)
    if (result.classes, result.head_conv) != (found.classes, found.head_conv):
        raise LayoutMismatch(
            f"{checkpoint.path}: its tensors tell classes={found.classes} and head_conv={found.head_conv}; "
            "--facts cannot change them"
        )
    return result


def _own(description: Description, shapes: Mapping[str, Shape]) -> Identity:
    variant = find_variant(description.variant)
    return _canonical_reading(variant, description.facts, shapes, description)


def _recognised(shapes: Mapping[str, Shape]) -> Identity:
    """Return the nearest reading, but the variant that the file's scope names where most of that is there.

    Lite0's tensors are B0's without squeeze-and-excite: a B0 that lost those must not pass for a whole Lite0.
    """
    readings = list(_until_exact(_readings(shapes)))
    named = [r for r in readings if r.layout and r.root == own_root(r.layout, r.variant)]
    return _nearest([r for r in named if 2 * r.missing < len(r.moves)] or readings)


def _insist(checkpoint: Checkpoint, found: Identity, variant: Variant, shapes: Mapping[str, Shape]) -> Identity:
    """Return the reading as `variant`; a file that is exactly another one is refused in words."""
    if found.variant == variant:
        return found
    wanted = _nearest(reading for reading in _readings(shapes) if reading.variant == variant)
    if found.exact or found.description:
        total = len(found.moves)
        lacking = f"of whose {len(wanted.moves):,} tensors {wanted.missing:,} are missing or of another shape"
        raise LayoutMismatch(
            f"{checkpoint.path}: is {found.variant.name} ({total - found.missing:,} of its {total:,} tensors match), "
            f"not {variant.name}, {lacking}; give --variant {found.variant.name} if it is meant to be that"
        )
    return wanted


def _until_exact(readings: Iterable[Identity]) -> Iterator[Identity]:
    """Yield readings up to the first that explains everything."""
    for reading in readings:
        yield reading
        if reading.exact:
            return


def _nearest(readings: Iterable[Identity]) -> Identity:
    """Return the reading that explains most."""
    return max(_until_exact(readings), key=_explained)


def _explained(identity: Identity) -> int:
    return len(identity.moves) - 2 * identity.missing - identity.unknown


def _readings(shapes: Mapping[str, Shape]) -> Iterator[Identity]:
    for layout in layouts():
        sets = split_sets(layout, shapes)
        bases = {base: shapes[name] for base, name in (*sets.raw.items(), *sets.averages.items())}
        for base in [base for base in bases if is_left_behind(layout, base)]:
            del bases[base]
        root = _root(layout, bases)
        for name in _likely_first(layout, root):
            yield _reading(layout, VARIANTS[name], sets, bases, root)
    if "stem.conv.weight" in shapes:
        for variant in VARIANTS.values():
            assumed = default_facts(variant)
            names = {name: name for name in tensor_shapes(variant, assumed)}
            yield _canonical_reading(variant, _facts_in(assumed, variant, shapes, names), shapes, None)


def _reading(
    layout: Layout, variant: Variant, sets: WeightSets, bases: Mapping[str, Shape], root: str | None
) -> Identity:
    """Return the file read as `variant`; `root` is the scope that was found in it."""
    if root is None:
        root = own_root(layout, variant)
    assumed = layout.facts_of(variant.name, default_facts(variant))
    moves = compile_moves(layout, variant, assumed, root)
    facts = _facts_in(assumed, variant, bases, {move.target: move.source for move in moves})
    if facts != assumed:
        moves = compile_moves(layout, variant, facts, root)
    missing, unknown = _count(moves, bases)
    return Identity(layout, variant, facts, root, sets, tuple(moves), missing, unknown)


def _canonical_reading(
    variant: Variant, facts: Facts, shapes: Mapping[str, Shape], description: Description | None
) -> Identity:
    moves = identity_moves(tensor_shapes(variant, facts))
    missing, unknown = _count(moves, shapes)
    sets = WeightSets({name: name for name in shapes}, {})
    return Identity(None, variant, facts, "", sets, tuple(moves), missing, unknown, description)


def _count(moves: list[Move], bases: Mapping[str, Shape]) -> tuple[int, int]:
    missing = sum(bases.get(move.source) != move.source_shape for move in moves)
    return missing, len(bases.keys() - {move.source for move in moves})


def own_root(layout: Layout, variant: Variant) -> str:
    """Return the scope under which `layout` itself writes `variant`."""
    return layout.root.replace("{variant}", layout.variants[variant.name])


def _root(layout: Layout, bases: Mapping[str, Shape]) -> str | None:
    """Return the scope under which the file has the stem's kernel, None where it has none: users name their own."""
    any_variant = VARIANTS[next(iter(layout.variants))]
    stem = next(move.source for move in compile_moves(layout, any_variant, root="") if "stem.conv" in move.target)
    return min((base.removesuffix(stem) for base in bases if base.endswith(stem)), key=len, default=None)


def _likely_first(layout: Layout, root: str | None) -> list[str]:
    """Return the layout's variants, the one that the scope names first."""
    return sorted(layout.variants, key=lambda name: own_root(layout, VARIANTS[name]) != root)


def _facts_in(facts: Facts, variant: Variant, shapes: Mapping[str, Shape], names: Mapping[str, str]) -> Facts:
    """Return `facts` with the classes, or the lack of a head, that the shapes tell; `names` are the file's."""
    bias, weight = shapes.get(names["head.fc.bias"]), shapes.get(names["head.fc.weight"])
    if bias is not None and len(bias) == 1:
        return replace(facts, classes=bias[0])
    if weight is not None:
        return replace(facts, classes=math.prod(weight) // head_channels(variant))
    return replace(facts, classes=0, head_conv=names["head.conv.weight"] in shapes)


def is_left_behind(layout: Layout, name: str) -> str:
    """Return why `layout` leaves the tensor `name` behind, "" where it does not."""
    if name in layout.fill:
        return layout.fill[name].reason
    return next((reason for pattern, reason in layout.ignore.items() if fnmatchcase(name, pattern)), "")


def _unknown_names(checkpoint: Checkpoint) -> str:
    """Say what the names look like, when no layout knows them."""
    if any(name.endswith(OBJECT_GRAPH) for name in checkpoint.tensors):
        return (
            "an object-graph checkpoint (tf.train.Checkpoint, Keras or a TensorFlow 2 SavedModel), whose names follow "
            "the Python objects; only checkpoints of tf.compat.v1.train.Saver are known here"
        )
    if not checkpoint.tensors:
        return "holds no tensors"
    names = list(checkpoint.tensors)
    shown = ", ".join(repr(name) for name in names[:3])
    known = ", ".join([*(layout.name for layout in layouts()), CANONICAL])
    return f"its {len(names):,} tensors ({shown}, …) are of no known layout ({known})"
