"""The identification of a checkpoint: layout, variant and facts, from the names and shapes of its tensors."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from effconvert.architecture.canonical import CANONICAL
from effconvert.architecture.facts import Facts, changed, of_file
from effconvert.architecture.variants import Variant, find_variant
from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.checkpoint import Checkpoint
from effconvert.identify.candidates import (
    Reading,
    candidate_readings,
    classifier_in,
    own_root,
    read_as,
    until_exact,
    without_classifier,
)
from effconvert.identify.description import Description, read_description, said_before
from effconvert.identify.library_builds import (
    IN_THE_SHAPES,
    Assumption,
    Doubt,
    assume,
    assumed_when_converted,
    assumed_without_description,
)
from effconvert.identify.missing_tensors import refuse_foreign
from effconvert.identify.network_names import recorded_training
from effconvert.identify.other_networks import near_network, other_network
from effconvert.identify.scopes import own_scope
from effconvert.identify.side_files import Companion, companion
from effconvert.identify.tensor_names import TensorNames, list_tensor_names
from effconvert.identify.unknown_tensors import is_own, layer_of
from effconvert.identify.weight_sets import WeightSets
from effconvert.maps.language import Layout
from effconvert.maps.layouts import find_layout, known_layouts
from effconvert.maps.moves import Move, ends_of
from effconvert.option_words import either, flag, option
from effconvert.options import Options

OBJECT_GRAPH = "/.ATTRIBUTES/VARIABLE_VALUE"
_PLAIN = Options()
_MOST_SHOWN = 3


@dataclass(frozen=True)
class Identity:
    """The identity of a checkpoint.

    reading: the result from names and shapes. facts: those of its network. assumption: the reason in words for facts
    that no file records. assumed: the names of the facts that are only assumed. others: (name in words, its facts) for
    each other network that the file may be for. network: the library's name of the network. training: the training of
    the weights, according to the file or to other evidence. told_by: that evidence. description: the file's own
    description. companion: the contents of files beside the weights.
    """

    reading: Reading
    facts: Facts
    assumption: str = ""
    assumed: frozenset[str] = frozenset()
    others: tuple[tuple[str, Facts], ...] = ()
    network: str = ""
    training: str | None = None
    told_by: str = ""
    description: Description | None = None
    companion: Companion = field(default_factory=Companion)

    @property
    def layout(self) -> Layout | None:
        """The layout, None for canonical."""
        return self.reading.layout

    @property
    def variant(self) -> Variant:
        """The variant."""
        return self.reading.variant

    @property
    def moves(self) -> tuple[Move, ...]:
        """The moves to canonical, with the names of the map."""
        return self.reading.moves

    @property
    def sets(self) -> WeightSets:
        """The sets of weights in the file."""
        return self.reading.sets

    @property
    def doubt(self) -> Doubt:
        """The assumed facts, and their other possible values."""
        return Doubt(self.assumed, self.others)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Sentences on all assumptions: about the facts, and about files beside the weights."""
        return (*([self.assumption] if self.assumption and self.assumed else []), *self.companion.cautions)

    @property
    def layout_name(self) -> str:
        """The name of the layout."""
        return self.layout.name if self.layout else CANONICAL


def identify(checkpoint: Checkpoint, options: Options = _PLAIN) -> Identity:
    """Identify `checkpoint`: take the reading that explains most of its tensors.

    Only options for reading a file count: `variant` decides if the tensors do not; `facts` replaces facts of the layout
    or the file; `root` is the scope of the weights in a file with several networks; `classifier` names the classifier's
    layer, `leave` the tensors to leave behind; `backbone` leaves out the classifier and all other tensors after or
    outside the network.

    Raises LayoutMismatch if no layout is near, if the file clearly has another variant, or if it holds several
    networks.
    """
    names = list_tensor_names(checkpoint, options.leave)
    description = read_description(checkpoint.metadata, str(checkpoint.path))
    if description and (options.root is not None or options.classifier is not None):
        several = options.root is not None
        asked = f"{option('root')} is for several" if several else f"{option('classifier')} is for other files"
        raise LayoutMismatch(f"{checkpoint.path}: holds one network, which was converted; {asked}")
    if options.classifier is not None and options.backbone:
        raise LayoutMismatch(f"{checkpoint.path}: give only one of {flag('backbone')} and {option('classifier')}")
    found = _described(names, description) if description else _recognised(names, options)
    if found is None and options.root is not None:
        raise LayoutMismatch(f"{checkpoint.path}: no network is under {options.root!r}{_where_else(names, options)}")
    if found is None or (found.missing and not _is_asked_for(found, options)):
        _refuse_foreign(names, options, found.missing if found else None)
    if found is None or found.explained < 0 or found.missing == len(found.moves):
        raise LayoutMismatch(f"{checkpoint.path}: {_unknown_names(checkpoint, names, options)}")
    if found.missing and (other := other_network(names.shapes)):
        raise LayoutMismatch(f"{checkpoint.path}: {other}")
    if options.variant is not None:
        found = _insist(names, found, options, description is not None)
    if found.scope.others and options.root is None:
        heading = f"{checkpoint.path}: holds several networks; choose one with {option('root')}:"
        raise LayoutMismatch(listing(heading, map(repr, sorted({found.scope.root, *found.scope.others}))))
    if options.classifier is not None and not found.classifier:
        _check_classifier(names, found, options.classifier)
    if options.backbone:
        found = without_classifier(names, found)
    return _with_facts(checkpoint, found, description, options.facts or {})


def _check_classifier(names: TensorNames, found: Reading, wanted: str) -> None:
    """Raise LayoutMismatch if the layer `wanted` is not the classifier, and cannot be one."""
    own = classifier_in(found.layout, found.variant, found.scope)
    if is_own(found.scope, own, wanted):
        return
    inside = {name: shape for name, shape in names.stored.items() if layer_of(name) == wanted}
    shown = ", ".join(f"{name} {list(shape)}" for name, shape in inside.items()) or "the file has no such layer"
    known = ", ".join(map(repr, found.linear)) or "none"
    raise LayoutMismatch(
        f"{names.path}: {option('classifier', wanted)}: not a linear layer, with a bias, that reads the {own.width:,} "
        f"pooled features ({shown}); such layers beside the network's own: {known}"
    )


def of_named_weights(identity: Identity) -> Identity:
    """Return the identity if the user names the training: then the stride of EdgeTPU's published weights is known."""
    if "fused_stride" not in identity.assumed:
        return identity
    assumed = identity.assumed - {"fused_stride"}
    return replace(identity, assumed=assumed, assumption=identity.assumption if assumed else "")


def _with_facts(
    checkpoint: Checkpoint, found: Reading, description: Description | None, given: Mapping[str, Any]
) -> Identity:
    """Return the identity with recorded, given or assumed facts; the shapes always take precedence."""
    beside = Companion()
    if found.layout:
        beside = companion(checkpoint, found, description)
    if description and (words := said_before(description, "assumed_head")):
        beside = replace(beside, cautions=(*beside.cautions, f"when it was converted: {words}"))
    assumption = _assumption(checkpoint, found, description, given)
    facts = of_file(assumption.facts, beside.facts)
    result = changed(facts, given)
    told = {name: getattr(found.facts, name) for name in IN_THE_SHAPES}
    if any(getattr(result, name) != value for name, value in told.items()):
        words = ", ".join(f"{name}={value}" for name, value in told.items())
        raise LayoutMismatch(f"{checkpoint.path}: its tensors tell {words}; {option('facts')} cannot change them")
    assumed = (assumption.assumed - beside.facts.keys()) | (beside.assumed - given.keys())
    training, told_by = description.weights if description else None, ""
    if description is None and found.layout:
        recorded = recorded_training(checkpoint, found.layout.name, found.variant.name)
        training, told_by = recorded or (None, "")
    return Identity(
        reading=found,
        facts=result,
        assumption=assumption.words,
        assumed=assumed,
        others=assumption.others,
        network=assumption.network,
        training=training,
        told_by=told_by,
        description=description,
        companion=beside,
    )


def _assumption(
    checkpoint: Checkpoint, found: Reading, description: Description | None, given: Mapping[str, Any]
) -> Assumption:
    """Return the known and the assumed facts, before files beside the weights are read."""
    if description:
        still = description.assumed - given.keys()
        return assumed_when_converted(description.layout, found.variant, found.facts, still)
    if found.layout is None:
        return assumed_without_description(found.variant, found.facts, given)
    return assume(checkpoint, found.layout, found.variant, found.facts, given)


def _layout_of(names: TensorNames, description: Description) -> Layout:
    """Return the layout that the file names itself. Raises LayoutMismatch if no map describes it."""
    if found := next((layout for layout in known_layouts() if layout.name == description.target), None):
        return found
    words = f"layout {description.target!r} is unknown: no map describes it"
    adding = either("--map FILE", "effconvert.add_maps")
    raise LayoutMismatch(f"{names.path}: is in the {words} ({adding} adds one of your own)")


def _described(names: TensorNames, description: Description) -> Reading:
    """Return the file read according to its own description."""
    variant = find_variant(description.variant)
    layout = None if description.target == CANONICAL else _layout_of(names, description)
    root = own_root(layout, variant) if layout else ""
    dropped = layout.backbone if layout and layout.bare and not description.facts.classes else ""
    return read_as(names, layout, variant, own_scope(names, layout, root, dropped), description.facts)


def _recognised(names: TensorNames, options: Options) -> Reading | None:
    """Return the nearest reading, or the variant in the scope's name if most of its tensors are there.

    Lite0's tensors are B0's without squeeze-and-excite: a B0 that lost those must not look like a whole Lite0.
    """
    found = list(until_exact(candidate_readings(names, options)))
    named = [
        reading
        for reading in found
        if reading.layout
        and "{variant}" in reading.layout.root
        and reading.scope.root == own_root(reading.layout, reading.variant)
        and 2 * reading.missing < len(reading.moves)
    ]
    return max(named or found, key=lambda reading: (reading.exact, reading.explained), default=None)


def _insist(names: TensorNames, found: Reading, options: Options, described: bool) -> Reading:
    """Return the reading as the user's variant; a file that exactly fits another variant is refused."""
    assert options.variant
    variant = find_variant(options.variant)
    if found.variant == variant:
        return found
    as_wanted = [reading for reading in candidate_readings(names, options) if reading.variant == variant]
    wanted = max(as_wanted, key=lambda reading: reading.explained, default=None)
    if found.exact or described or wanted is None:
        total = len(found.moves)
        lacking = (
            f", for which {wanted.missing:,} of {len(wanted.moves):,} tensors are missing or have another shape"
            if wanted
            else ", whose stem does not fit"
        )
        raise LayoutMismatch(
            f"{names.path}: is {found.variant.name} ({total - found.missing:,} of its {total:,} tensors match), "
            f"not {variant.name}{lacking}; give {option('variant', found.variant.name)} if that is right"
        )
    return wanted


def _is_asked_for(found: Reading, options: Options) -> bool:
    """Return whether the reading has the variant that the user names."""
    wanted = options.variant is not None and find_variant(options.variant).name
    return found.layout is not None and wanted in found.layout.variants


def _refuse_foreign(names: TensorNames, options: Options, lacking: int | None) -> None:
    """Raise LayoutMismatch if the names are a layout's, but the layout does not have the network.

    lacking: how many tensors the nearest reading lacks; a network with as many unexplained ones is not better.
    """
    of_layouts = {reading.layout.name: reading for reading in candidate_readings(names, options) if reading.layout}
    for reading in of_layouts.values():
        assert reading.layout
        files = [file for held in reading.sets.names.values() for file in held.items()]
        shapes = {name: names.stored[file] for name, file in files}
        refuse_foreign(names.path, reading.layout, shapes, reading.scope.dropped, lacking)


def _where_else(names: TensorNames, options: Options) -> str:
    """Return under which root a network is found, in words."""
    try:
        found = _recognised(names, replace(options, root=None))
    except LayoutMismatch as error:
        return f"; {str(error).removeprefix(f'{names.path}: ')}"
    return f"; one is under {found.scope.root!r}" if found else ""


def _unknown_names(checkpoint: Checkpoint, names: TensorNames, options: Options) -> str:
    """Return what names that no layout knows look like, in words."""
    if options.layout:
        stem = ends_of(find_layout(options.layout)).kernel
        held = ", ".join(f"{name} {list(shape)}" for name, shape in list(names.shapes.items())[:3])
        return f"read as {options.layout}, the first convolution is {stem!r}, which is missing; it holds {held}, …"
    if other := other_network(names.shapes) or near_network(names, options):
        return other
    if any(name.endswith(OBJECT_GRAPH) for name in checkpoint.tensors):
        return (
            "an object-graph checkpoint (tf.train.Checkpoint, Keras or a TensorFlow 2 SavedModel), whose names follow "
            "the Python objects; only checkpoints of tf.compat.v1.train.Saver can be read"
        )
    if not checkpoint.tensors:
        return "has no tensors"
    shown = ", ".join(repr(name) for name in list(checkpoint.tensors)[:3])
    known = ", ".join([*(layout.name for layout in known_layouts()), CANONICAL])
    reading = either("--map", "effconvert.add_maps")
    unread = _unread(checkpoint) or f"; `effconvert map draft` writes a first map of it, {reading} reads one"
    return f"its {len(checkpoint.tensors):,} tensors ({shown}, …) are of no known layout ({known}){unread}"


def _unread(checkpoint: Checkpoint) -> str:
    """Return which skipped values may be the weights: objects with many tensors, or tensors of one kind."""
    most = sorted(checkpoint.withheld.items(), key=lambda item: -item[1].tensors)[:_MOST_SHOWN]
    if most:
        what = " and ".join(f"{name!r}, {held.words}" for name, held in most)
        return f"; not read: {what}. Where its class exists: {most[0][1].remedy}"
    for reason, count in Counter(checkpoint.skipped.values()).most_common(1):
        if 2 * count >= len(checkpoint.tensors):
            return f"; {count:,} more are not read: {reason}"
    return ""
