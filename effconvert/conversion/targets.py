"""Target layouts: the network that a file is for, the facts that are folded or given up, the order of tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from effconvert.architecture.canonical import CANONICAL, default_facts, tensor_shapes
from effconvert.architecture.facts import OUTSIDE, Facts
from effconvert.architecture.variants import Variant
from effconvert.conversion.remedies import find_remedies
from effconvert.errors import LayoutMismatch, listing
from effconvert.graphs.graph_options import ONNX, SUFFIX
from effconvert.identify.library_builds import Doubt, fitting_build, nearest_facts, usual_facts
from effconvert.identify.weight_sets import average_name
from effconvert.maps.language import Build, Fill, Layout, Library
from effconvert.maps.layouts import family, known_layouts
from effconvert.maps.moves import Move, compile_layout, identity_moves, invert
from effconvert.option_words import flag
from effconvert.options import Options

_CERTAIN = Doubt()


@dataclass(frozen=True)
class Target:
    """A layout chosen for one network.

    facts: those of the network that the file is for. eps_shift: added to every variance, because that network has
    another epsilon. given_up: the facts of the weights, if those of the target differ and cannot be absorbed. build:
    the library's network; None for canonical.
    """

    layout: Layout | None
    variant: Variant
    facts: Facts
    eps_shift: float = 0.0
    given_up: Facts | None = None
    build: Build | None = None

    @property
    def weights_facts(self) -> Facts:
        """The facts of the written weights: those of the target's network, unless some were given up."""
        if self.given_up is None:
            return self.facts
        bn_eps = self.facts.bn_eps if self.eps_shift else self.given_up.bn_eps
        return replace(self.given_up, bn_eps=bn_eps, normalization=self.facts.normalization)

    @property
    def name(self) -> str:
        """The name of the layout."""
        return self.layout.name if self.layout else CANONICAL


def choose_target(
    name: str, variant: Variant, facts: Facts, options: Options, path: str, doubt: Doubt = _CERTAIN
) -> Target:
    """Return the target for weights with `facts` in the layout `name`; doubt: the facts that are only assumed.

    Raises LayoutMismatch if the layout cannot hold them, with every reason and the option that helps.
    """
    if name in (CANONICAL, ONNX):
        if options.fold_eps:
            raise LayoutMismatch(
                f"{path}: {flag('fold_eps')} is for another library's layout; {name} holds every epsilon"
            )
        if name == ONNX and options.dtype not in (None, "float32"):
            raise LayoutMismatch(f"{path}: a graph of ONNX is written in float32, not {options.dtype}")
        return Target(None, variant, facts)
    layout = _layout(name, variant, facts)
    if not layout.write:
        raise LayoutMismatch(f"layout {name} can only be read; give another one to write")
    compile_layout(layout, variant, facts)
    if layout.channels is None and facts.in_channels != 3:
        others = ", ".join(other.name for other in known_layouts() if other.write and other.channels is not None)
        raise LayoutMismatch(
            f"{path}: {layout.name} cannot hold in_channels={facts.in_channels}: its library builds the first "
            f"convolution for images of three channels only; {CANONICAL}, {others} can hold any number"
        )
    dtypes = layout.library.dtypes
    if options.dtype and dtypes and options.dtype not in dtypes:
        raise LayoutMismatch(f"{path}: {name}'s networks take {' or '.join(dtypes)}, not {options.dtype}")
    plain = usual_facts(layout, variant, facts)
    # The place of the normalisation is that of the library; only Keras has two, and the one of the weights is kept.
    if OUTSIDE in (plain.normalization, facts.normalization):
        facts = replace(facts, normalization=plain.normalization)
    wanted = replace(facts, bn_eps=plain.bn_eps) if options.fold_eps else facts
    build, problems = fitting_build(layout, variant, plain, wanted)
    target = Target(layout, variant, wanted, facts.bn_eps - wanted.bn_eps, None, build)
    if build is None and options.allow_inexact:
        nearest = nearest_facts(layout, variant, plain, wanted)
        target = replace(target, facts=replace(nearest, normalization=wanted.normalization), given_up=facts)
        build, _ = fitting_build(layout, variant, plain, nearest)
        target, problems = replace(target, build=build), []
    if (
        layout.facts_of(variant.name, default_facts(variant)).classes == 1000
        and facts.classes == variant.classes == 1001
    ):
        problems.append(
            f"it has 1001 classes with a background first; {flag('drop_background_class')} leaves the background out"
        )
    if problems:
        heading = f"{path}: {layout.name} cannot hold the facts of this {variant.name}:"
        raise LayoutMismatch(listing(heading, [*problems, *find_remedies(layout, variant, facts, doubt, options)]))
    return target


def _layout(name: str, variant: Variant, facts: Facts) -> Layout:
    """Return the layout `name`; of a family, the layout with the padding of the weights."""
    members = family(name)
    paddings = [layout.facts_of(variant.name, default_facts(variant)).padding for layout in members]
    return members[paddings.index(facts.padding)] if facts.padding in paddings else members[0]


def library_of(name: str) -> Library:
    """Return the library that loads files of the layout `name`. Raises LayoutMismatch for an unknown layout."""
    if name == ONNX:
        return Library("ONNX", containers=(SUFFIX,), dtypes=("float32",))
    return Library(CANONICAL) if name == CANONICAL else family(name)[0].library


def moves_from_canonical(target: Target, names: str) -> tuple[list[Move], Mapping[str, Fill], Sequence[str]]:
    """Return the moves from canonical to `target`, the filled tensors, and the order of both.

    names: for a layout that names averages, `raw`, `average` or `both`.
    """
    layout, variant, facts = target.layout, target.variant, target.facts
    if layout is None:
        moves = identity_moves(tensor_shapes(variant, facts))
        return moves, {}, [move.target for move in moves]
    compiled = compile_layout(layout, variant, facts, bare=layout.bare and not facts.classes)
    inverse = invert(compiled.moves)
    if not layout.average:
        return inverse, compiled.fills, compiled.order
    averages = [replace(move, target=average_name(layout, move.target)) for move in inverse]
    written = {"raw": inverse, "average": averages, "both": inverse + averages}[names]
    # The names in a bundle are sorted.
    order = sorted([*(move.target for move in written), *compiled.fills], key=str.encode)
    return written, compiled.fills, order
