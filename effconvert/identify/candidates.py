"""Candidate readings of a file: a layout and a variant, and how many tensors they explain."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from effconvert.architecture.canonical import default_facts, tensor_shapes
from effconvert.architecture.facts import MOST_CHANNELS, Facts
from effconvert.architecture.variants import VARIANTS, Variant, head_channels, stem_channels
from effconvert.formats.checkpoint import Shape
from effconvert.identify.scopes import Scope, ignored, leaving_of, networks_in, scopes_in
from effconvert.identify.tensor_names import BY_OPTION, TensorNames
from effconvert.identify.unknown_tensors import (
    BEHIND,
    Classifier,
    Linear,
    Surroundings,
    classifier_of,
    is_own,
    is_within,
    linear_layers,
    placed,
    reads,
    taking,
)
from effconvert.identify.weight_sets import WeightSets
from effconvert.maps.language import Layout
from effconvert.maps.layouts import known_layouts
from effconvert.maps.moves import Compiled, Ends, Move, compile_layout, ends_of, identity_moves
from effconvert.options import Options

_PLAIN = Options()


@dataclass(frozen=True)
class Reading:
    """A file read as one layout and variant.

    layout: None for canonical. moves: to canonical, with the names of the map. others: {tensor of the file that is not
    a weight: reason}. missing: number of tensors that the file lacks or has in another shape. unknown: {unexplained
    tensor under the root: its place in words}. outside: the same for tensors outside the root. behind: those of both
    that certainly act after the pooled features, or outside the network. classifier: {set: the layer that is taken for
    it}, if it does not have the layout's own name. linear: the layers that could be the classifier.
    """

    layout: Layout | None
    variant: Variant
    facts: Facts
    scope: Scope
    moves: tuple[Move, ...]
    others: Mapping[str, str] = field(repr=False)
    missing: int
    unknown: Mapping[str, str]
    outside: Mapping[str, str]
    behind: frozenset[str] = frozenset()
    classifier: Mapping[str, str] = field(default_factory=dict)
    linear: tuple[str, ...] = ()

    @property
    def sets(self) -> WeightSets:
        """The sets of weights in the file."""
        return self.scope.sets

    @property
    def exact(self) -> bool:
        """Whether every tensor under the root has its place."""
        return self.missing == 0 and not self.unknown

    @property
    def explained(self) -> int:
        """The number of explained tensors."""
        return len(self.moves) - 2 * self.missing - len(self.unknown)


@dataclass(frozen=True)
class _Explained:
    """The tensors that a map explains: moves, tensors that are not weights, and {unknown name: {set: file's name}}."""

    compiled: Compiled
    facts: Facts
    others: Mapping[str, str]
    unknown: Mapping[str, Mapping[str, str]]
    missing: int


def candidate_readings(names: TensorNames, options: Options = _PLAIN) -> Iterator[Reading]:
    """Yield every reading with a stem anywhere in the file, or under the root in `options`.

    The likely ones of a layout come first. Raises LayoutMismatch if the file holds several networks of one kind.
    """
    networks: dict[str, str] = {}
    considered = [layout for layout in (*known_layouts(), None) if options.layout in (None, layout and layout.name)]
    for layout in considered:
        for stem, root in networks_in(names, layout, _ends(layout)):
            networks.setdefault(stem, root)
    for layout in considered:
        ends = _ends(layout)
        for scope in scopes_in(names, layout, ends, networks, options.root):
            for variant in _candidates(layout, scope, names, ends):
                yield read_as(names, layout, variant, scope, options=options)


def read_as(
    names: TensorNames,
    layout: Layout | None,
    variant: Variant,
    scope: Scope,
    facts: Facts | None = None,
    options: Options = _PLAIN,
) -> Reading:
    """Return the file read as `variant`; without `facts`, the shapes tell the classes, and the layout the other facts.

    A classifier with another name is taken for the layout's own if it is the only unknown layer, or if `options` name
    it.
    """
    if layout and layout.synonyms:
        scope = replace(scope, sets=scope.sets.with_synonyms(layout))
    own = classifier_in(layout, variant, scope)
    found = _explained(names, layout, variant, scope, facts)
    if facts is None and found.facts.classes:
        scope = _without_other_dicts(names, scope, found.facts.classes, own)
        found = replace(found, others={**found.others, **scope.beside})
    linear = [] if facts else _heads(names, scope, found, own)
    chosen = _classifier(scope, found, linear, options)
    if chosen or (options.classifier is not None and is_own(scope, own, options.classifier)):
        scope = _taking(scope, own, chosen, linear, options.classifier)
        found = _explained(names, layout, variant, scope, None)
    return _reading(names, layout, variant, scope, found, own, chosen, linear)


def without_classifier(names: TensorNames, found: Reading) -> Reading:
    """Return the reading without the classifier, and without tensors that certainly act after the pooled features."""
    facts = replace(found.facts, classes=0)
    bare = read_as(names, found.layout, found.variant, found.scope, facts)
    strange = {**bare.unknown, **bare.outside}
    left = {name: f"{strange[name]}, left by --backbone{BY_OPTION}" for name in strange if name in bare.behind}
    unknown = {name: where for name, where in bare.unknown.items() if name not in left}
    return replace(bare, others={**bare.others, **left}, unknown=unknown, outside={})


def _reading(
    names: TensorNames,
    layout: Layout | None,
    variant: Variant,
    scope: Scope,
    found: _Explained,
    own: Classifier,
    chosen: Linear | None,
    linear: list[Linear],
) -> Reading:
    """Return the reading, with the place of every unknown tensor."""
    first = {name: next(iter(files.values())) for name, files in found.unknown.items()}
    order = {file: number for number, file in enumerate(names.stored)}
    shapes = {name: names.stored[file] for name, file in sorted(first.items(), key=lambda item: order[item[1]])}
    near = 2 * found.missing < len(found.compiled.moves)  # a distant reading is only compared, never shown
    places = placed(shapes, own, found.compiled.moves) if near else dict.fromkeys(shapes, ("", False))
    unknown = {
        file: BEHIND if file in names.behind else places[name]
        for name, files in found.unknown.items()
        for file in files.values()
    }
    around = f"outside of {scope.root!r}" if scope.root else "outside of the network"
    outside = {
        file: f"in a dict of its own, {name.partition('/')[0]!r}" if name in scope.apart else around
        for name, files in scope.strangers.items()
        for file in files.values()
    }
    return Reading(
        layout=layout,
        variant=variant,
        facts=found.facts,
        scope=scope,
        moves=found.compiled.moves,
        others=found.others,
        missing=found.missing,
        unknown={file: words for file, (words, _) in sorted(unknown.items())},
        outside=dict(sorted(outside.items())),
        behind=frozenset(outside) | {file for file, (_, surely) in unknown.items() if surely},
        classifier=chosen.layers if chosen else {},
        linear=tuple(layer.name for layer in linear),
    )


def _explained(
    names: TensorNames, layout: Layout | None, variant: Variant, scope: Scope, facts: Facts | None
) -> _Explained:
    shapes = {base: names.stored[file] for held in scope.sets.names.values() for base, file in held.items()}
    if facts is None:
        assumed = default_facts(variant)
        if layout:
            assumed = layout.facts_of(variant.name, assumed)
        compiled = _compiled(layout, variant, assumed, scope)
        facts = _facts_in(assumed, variant, shapes, {move.target: move.source for move in compiled.moves})
        facts = replace(facts, in_channels=_channels_in(shapes, compiled.moves) or facts.in_channels)
        if facts != assumed:
            compiled = _compiled(layout, variant, facts, scope)
    else:
        compiled = _compiled(layout, variant, facts, scope)
    moved, own = {move.source for move in compiled.moves}, classifier_in(layout, variant, scope)
    others, unknown, around = dict(scope.beside), {}, Surroundings(own, compiled.moves)
    for base in sorted(shapes.keys() - moved):
        reason = _reason(layout, compiled, around, base, shapes[base])
        found = {chosen: held[base] for chosen, held in scope.sets.names.items() if base in held}
        if reason:
            others |= dict.fromkeys(found.values(), reason)
        else:
            unknown[base] = found
    missing = sum(shapes.get(move.source) != move.source_shape for move in compiled.moves)
    return _Explained(compiled, facts, others, unknown, missing)


def _without_other_dicts(names: TensorNames, scope: Scope, classes: int, own: Classifier) -> Scope:
    """Return the scope without tensors in separate dicts, if the network already has a classifier.

    A layer that reads its features or its classes stays, because then the network is probably used differently.
    """
    left: dict[str, str] = {}
    for name in scope.apart:
        files = scope.strangers[name].values()
        if not any(reads(names.stored[file], own) in (own.width, classes) for file in files):
            left |= dict.fromkeys(files, f"beside the weights: {name.partition('/')[0]}")
    strangers = {name: files for name, files in scope.strangers.items() if not left.keys() & set(files.values())}
    return replace(scope, beside={**scope.beside, **left}, strangers=strangers)


def _heads(names: TensorNames, scope: Scope, found: _Explained, own: Classifier) -> list[Linear]:
    """Return the linear layers that read the pooled features, and are not among the layers before the pooling."""
    around = Surroundings(own, found.compiled.moves)
    inside = {name: files for name, files in found.unknown.items() if not is_within(name, around)}
    return list(linear_layers(scope, inside, names.stored, own))


def _classifier(scope: Scope, found: _Explained, linear: list[Linear], options: Options) -> Linear | None:
    """Return the linear layer that is taken for the classifier: the user's choice, or the only unknown one."""
    if options.classifier is not None:
        called = [layer for layer in linear if layer.is_called(options.classifier)]
        called = called or [layer for layer in linear if layer.is_called_in_its_dict(options.classifier)]
        return called[0] if len(called) == 1 else None
    strange = {file for held in (found.unknown, scope.strangers) for files in held.values() for file in files.values()}
    if len(linear) == 1 and not found.facts.classes and found.facts.head_conv and linear[0].files == strange:
        return linear[0]
    return None


def _taking(scope: Scope, own: Classifier, chosen: Linear | None, linear: list[Linear], asked: str | None) -> Scope:
    """Return the scope with the layer `chosen`, or the layout's own, as the classifier; other heads are left behind."""
    heads = {file for layer in linear for file in layer.files}
    if chosen:
        heads |= {names[name] for names in scope.sets.names.values() for name in own.names if name in names}
    others = dict.fromkeys(
        sorted(heads - (chosen.files if chosen else set())), f"another head than --classifier {asked}{BY_OPTION}"
    )
    sets = taking(scope.sets, own, chosen) if chosen else scope.sets
    names = {kind: {name: f for name, f in held.items() if f not in others} for kind, held in sets.names.items()}
    return replace(
        scope,
        sets=replace(sets, names=names),
        beside={**scope.beside, **others},
        strangers={name: files for name, files in scope.strangers.items() if not heads & set(files.values())},
    )


def classifier_in(layout: Layout | None, variant: Variant, scope: Scope) -> Classifier:
    """Return the names in `layout` of the classifier of `variant`, in a file with that scope."""
    return classifier_of(_ends(layout).without(scope.dropped), variant)


_ENDS: dict[str, Ends] = {}


def _ends(layout: Layout | None) -> Ends:
    """Return `ends_of`, computed once for each map."""
    key = layout.sha256 if layout else ""
    if key not in _ENDS:
        _ENDS[key] = ends_of(layout)
    return _ENDS[key]


def until_exact(found: Iterable[Reading]) -> Iterator[Reading]:
    """Yield readings up to the first one that explains all tensors."""
    for reading in found:
        yield reading
        if reading.exact and not reading.outside:
            return


def own_root(layout: Layout, variant: Variant) -> str:
    """Return the scope that `layout` itself has for `variant`."""
    return layout.root.replace("{variant}", layout.variants[variant.name])


def _reason(layout: Layout | None, compiled: Compiled, around: Surroundings, base: str, shape: Shape) -> str:
    """Return why a tensor is not a weight; "" if it may be one, as a tensor in a layer with `loss` in its name."""
    if base in compiled.fills:
        return compiled.fills[base].reason
    left = leaving_of(layout, base, shape)
    if left and not left.within and is_within(base, around):
        return ""
    return ignored(layout, base, shape)


def _compiled(layout: Layout | None, variant: Variant, facts: Facts, scope: Scope) -> Compiled:
    if layout is None:
        moves = identity_moves(tensor_shapes(variant, facts))
        return Compiled(tuple(moves), {}, tuple(move.source for move in moves))
    return compile_layout(layout, variant, facts, root="").without(scope.dropped)


def _candidates(layout: Layout | None, scope: Scope, held: TensorNames, ends: Ends) -> list[Variant]:
    """Return the layout's variants: first the one in the scope's name, then those with the width of the file's stem."""
    names = list(layout.variants if layout else VARIANTS)
    kernel = ends.without(scope.dropped).kernel
    files = [found[kernel] for found in scope.sets.names.values() if kernel in found]
    if files:
        shape = held.stored[files[0]]
        names.sort(key=lambda name: stem_channels(VARIANTS[name]) not in shape)
    if layout and "{variant}" in layout.root:
        names.sort(key=lambda name: own_root(layout, VARIANTS[name]) != scope.root)
    return [VARIANTS[name] for name in names]


def _facts_in(facts: Facts, variant: Variant, shapes: Mapping[str, Shape], names: Mapping[str, str]) -> Facts:
    """Return `facts` with the classes, or without a head, as the shapes tell; `names` are those of the file."""
    bias, weight = shapes.get(names["head.fc.bias"]), shapes.get(names["head.fc.weight"])
    if bias is not None and len(bias) == 1:
        return replace(facts, classes=bias[0])
    if weight is not None:
        return replace(facts, classes=math.prod(weight) // head_channels(variant))
    return replace(facts, classes=0, head_conv=names["head.conv.weight"] in shapes)


def _channels_in(shapes: Mapping[str, Shape], moves: Iterable[Move]) -> int | None:
    """Return in_channels of the stem's kernel; None if the kernel differs from the network's in other axes too."""
    move = next(move for move in moves if move.target == "stem.conv.weight")
    axis = move.steps[0].order[1] if move.steps else 1
    shape, expected = shapes.get(move.source, ()), move.source_shape
    if len(shape) != len(expected) or not 1 <= shape[axis] <= MOST_CHANNELS:
        return None
    return shape[axis] if shape == (*expected[:axis], shape[axis], *expected[axis + 1 :]) else None
