"""Finds out which layout, variant and facts a checkpoint has, from the names and shapes of its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from effconvert.assumptions import Assumption, assume
from effconvert.companions import Companion, companion
from effconvert.description import Description, read_description
from effconvert.errors import LayoutMismatch
from effconvert.facts import Facts, changed
from effconvert.formats.checkpoint import Checkpoint
from effconvert.hints import recorded_training
from effconvert.layout import find_layout, layouts
from effconvert.map_language import Layout
from effconvert.moves import Move
from effconvert.readings import Reading, own_root, read_as, readings, until_exact, without_classifier
from effconvert.scopes import own_scope
from effconvert.targets import CANONICAL
from effconvert.variants import Variant, find_variant
from effconvert.weight_sets import WeightSets

OBJECT_GRAPH = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass(frozen=True)
class Identity:
    """What a checkpoint is.

    reading: what the names and shapes tell. facts: of its network. assumption: in words, why those that no file
    records are taken to be so. assumed: the names of those that are only guessed. network: how the library calls the
    network. training: which one the weights are of, as the file says or, without saying it, its published name.
    description: what the file says of itself, companion: what stands beside its weights.
    """

    reading: Reading
    facts: Facts
    assumption: str = ""
    assumed: frozenset[str] = frozenset()
    network: str = ""
    training: str | None = None
    description: Description | None = None
    companion: Companion = field(default_factory=Companion)

    @property
    def layout(self) -> Layout | None:
        """The layout, None for this project's own."""
        return self.reading.layout

    @property
    def variant(self) -> Variant:
        """The variant."""
        return self.reading.variant

    @property
    def moves(self) -> tuple[Move, ...]:
        """The moves to canonical, with names as the map has them."""
        return self.reading.moves

    @property
    def sets(self) -> WeightSets:
        """The sets of weights in the file."""
        return self.reading.sets

    @property
    def layout_name(self) -> str:
        """The layout's name, `canonical` for this project's own."""
        return self.layout.name if self.layout else CANONICAL


def identify(
    checkpoint: Checkpoint,
    variant: str | None = None,
    facts: Mapping[str, Any] | None = None,
    root: str | None = None,
    backbone: bool = False,
) -> Identity:
    """Return what `checkpoint` is: the reading that explains most of its tensors.

    `variant` decides where the tensors leave it open; `facts` replaces what the layout or the file says; `root` is the
    scope of the weights in a file that holds several networks. `backbone` leaves out the classifier and what else there
    is.

    Raises LayoutMismatch when no layout is near, or when the file is plainly another variant.
    """
    description = read_description(checkpoint.metadata, str(checkpoint.path))
    if description and root is not None:
        raise LayoutMismatch(f"{checkpoint.path}: holds one network, which was converted; --root is for several")
    found = _described(checkpoint, description) if description else _recognised(checkpoint, root)
    if found is None and root is not None:
        raise LayoutMismatch(f"{checkpoint.path}: no network stands under {root!r}{_where_else(checkpoint)}")
    if found is None or found.explained < 0 or found.missing == len(found.moves):
        raise LayoutMismatch(f"{checkpoint.path}: {_unknown_names(checkpoint)}")
    if variant is not None:
        found = _insist(checkpoint, found, find_variant(variant), description is not None, root)
    if backbone:
        found = without_classifier(checkpoint, found)
    return _with_facts(checkpoint, found, description, facts or {})


def _with_facts(
    checkpoint: Checkpoint, found: Reading, description: Description | None, given: Mapping[str, Any]
) -> Identity:
    """Return the identity with the facts that are recorded, said or assumed; the shapes are never gainsaid."""
    assumption, beside = Assumption(found.facts), Companion()
    if found.layout:
        beside = companion(checkpoint, found.layout.name, found.variant, found.facts, description)
    if description and description.assumed - given.keys():
        still = description.assumed - given.keys()
        words = f"{', '.join(sorted(still))} were assumed when the file was converted (--facts says otherwise)"
        assumption = Assumption(found.facts, words, still)
    elif description is None and found.layout:
        assumption = assume(checkpoint, found.layout, found.variant, found.facts, given)
    facts = changed(assumption.facts, beside.facts)
    result = changed(facts, given)
    if (result.classes, result.head_conv) != (found.facts.classes, found.facts.head_conv):
        raise LayoutMismatch(
            f"{checkpoint.path}: its tensors tell classes={facts.classes} and head_conv={facts.head_conv}; "
            "--facts cannot change them"
        )
    assumed = assumption.assumed - beside.facts.keys()
    training = description.weights if description else None
    if description is None and found.layout:
        training = recorded_training(checkpoint, found.layout.name, found.variant.name)
    return Identity(found, result, assumption.words, assumed, assumption.network, training, description, beside)


def _described(checkpoint: Checkpoint, description: Description) -> Reading:
    """Return the file read as what it says it is."""
    variant = find_variant(description.variant)
    layout = None if description.target == CANONICAL else find_layout(description.target)
    root = own_root(layout, variant) if layout else ""
    bare = bool(layout and layout.bare and not description.facts.classes)
    scope = own_scope(checkpoint, layout, root, bare)
    return read_as(checkpoint, layout, variant, scope, description.facts)


def _recognised(checkpoint: Checkpoint, root: str | None) -> Reading | None:
    """Return the nearest reading, but the variant that the file's scope names where most of that is there.

    Lite0's tensors are B0's without squeeze-and-excite: a B0 that lost those must not pass for a whole Lite0.
    """
    found = list(until_exact(readings(checkpoint, root)))
    named = [
        reading
        for reading in found
        if reading.layout
        and "{variant}" in reading.layout.root
        and reading.scope.root == own_root(reading.layout, reading.variant)
        and 2 * reading.missing < len(reading.moves)
    ]
    return max(named or found, key=lambda reading: (reading.exact, reading.explained), default=None)


def _insist(checkpoint: Checkpoint, found: Reading, variant: Variant, described: bool, root: str | None) -> Reading:
    """Return the reading as `variant`; a file that is exactly another one is refused in words."""
    if found.variant == variant:
        return found
    as_wanted = [reading for reading in readings(checkpoint, root) if reading.variant == variant]
    wanted = max(as_wanted, key=lambda reading: reading.explained, default=None)
    if found.exact or described or wanted is None:
        total = len(found.moves)
        lacking = (
            f", of whose {len(wanted.moves):,} tensors {wanted.missing:,} are missing or of another shape"
            if wanted
            else ", with whose stem nothing agrees"
        )
        raise LayoutMismatch(
            f"{checkpoint.path}: is {found.variant.name} ({total - found.missing:,} of its {total:,} tensors match), "
            f"not {variant.name}{lacking}; give --variant {found.variant.name} if it is meant to be that"
        )
    return wanted


def _where_else(checkpoint: Checkpoint) -> str:
    """Say under which root a network does stand."""
    try:
        found = _recognised(checkpoint, None)
    except LayoutMismatch as error:
        return f"; {str(error).removeprefix(f'{checkpoint.path}: ')}"
    return f"; one stands under {found.scope.root!r}" if found else ""


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
