"""Moves, one for each tensor: compiled from a layout and a variant, inverted and composed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from effconvert.architecture.canonical import default_facts, tensor_shapes
from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import VARIANTS, Block, Variant, blocks, head_channels
from effconvert.errors import BadMap, LayoutMismatch, listing
from effconvert.maps.axes import Axes, Shape
from effconvert.maps.language import Fill, Layout, Row, draws, placeholders

if TYPE_CHECKING:
    import numpy as np


_FIRST_PROJECTION = "blocks.0.project.conv.weight"


@dataclass(frozen=True)
class Step:
    """Reshape to `shape`, permute the axes to `order`, then drop the first `drop` entries of the first axis."""

    shape: Shape
    order: tuple[int, ...]
    drop: int = 0

    @property
    def result(self) -> Shape:
        """The shape after the step."""
        first, *rest = (self.shape[axis] for axis in self.order) if self.order else (None,)
        return () if first is None else (first - self.drop, *rest)


@dataclass(frozen=True)
class Move:
    """The move of one tensor: source name, target name, and the changes of its axes."""

    source: str
    target: str
    source_shape: Shape
    target_shape: Shape
    steps: tuple[Step, ...] = ()

    def apply(self, array: "np.ndarray") -> "np.ndarray":
        """Return `array` of `source_shape` as the target of `target_shape`: a view if numpy can make one."""
        for step in self.steps:
            array = array.reshape(step.shape).transpose(step.order)[step.drop :]
        return array.reshape(self.target_shape)


@dataclass(frozen=True)
class Compiled:
    """A layout compiled for one network.

    moves: to canonical, in canonical file order. fills: tensors that are filled, not moved. order: the names of both,
    in the order of the layout's files.
    """

    moves: tuple[Move, ...]
    fills: Mapping[str, Fill]
    order: tuple[str, ...]

    def without(self, prefix: str) -> "Compiled":
        """Return the same for a file whose names lack `prefix`."""
        if not prefix:
            return self
        moves = tuple(replace(move, source=move.source.removeprefix(prefix)) for move in self.moves)
        fills = {name.removeprefix(prefix): fill for name, fill in self.fills.items()}
        return Compiled(moves, fills, tuple(name.removeprefix(prefix) for name in self.order))


@dataclass(frozen=True)
class Ends:
    """The names of both ends of a network in a layout, without a scope.

    names: {canonical name: the layout's name} of stem and head. first_block: possible names of the projection of the
    first block. reads: the input axis of the classifier's weight.
    """

    names: Mapping[str, str]
    first_block: frozenset[str]
    reads: int

    def without(self, prefix: str) -> "Ends":
        """Return the same for a file whose names lack `prefix`."""
        names = {canonical: name.removeprefix(prefix) for canonical, name in self.names.items()}
        return replace(self, names=names, first_block=frozenset(name.removeprefix(prefix) for name in self.first_block))

    @property
    def kernel(self) -> str:
        """The name of the stem's kernel."""
        return self.names["stem.conv.weight"]


def compile_layout(
    layout: Layout, variant: Variant, facts: Facts | None = None, root: str | None = None, bare: bool = False
) -> Compiled:
    """Return `layout` compiled for the network of `variant` with `facts`.

    root: replaces the layout's own scope, for files that were written under another one. bare: leave out the prefix of
    the backbone.

    Raises LayoutMismatch if the layout does not cover the variant, BadMap if the map does not fill every canonical
    tensor exactly once, each from another tensor.
    """
    if variant.name in layout.refused:
        raise LayoutMismatch(f"layout {layout.name} cannot hold {variant.name}: {layout.refused[variant.name]}")
    if variant.name not in layout.variants:
        raise LayoutMismatch(
            f"layout {layout.name} does not cover {variant.name}; it covers {', '.join(layout.variants)}"
        )
    if root is None:
        root = layout.root.replace("{variant}", layout.variants[variant.name])
    facts = facts or layout.facts_of(variant.name, default_facts(variant))
    return _compiled(layout, variant, facts, root, layout.backbone if bare else "")


def compile_problems(layout: Layout) -> list[str]:
    """Return every problem of compiling `layout`, with the variants that have it."""
    found: dict[str, list[str]] = {}
    for name in layout.variants:
        variant = VARIANTS[name]
        compiler = _Compiler(layout, variant, layout.facts_of(name, default_facts(variant)), "", "")
        compiler.compile()
        for problem in compiler.problems:
            found.setdefault(problem, []).append(name)
    order = list(layout.variants)
    return [f"{problem} ({', '.join(sorted(names, key=order.index))})" for problem, names in found.items()]


def ends_of(layout: Layout | None) -> Ends:
    """Return the names of both ends of a network in `layout`, the same in every variant; None means canonical."""
    if layout is None:
        names = {name: name for name in tensor_shapes(VARIANTS["b0"])}
        return Ends(names, frozenset([_FIRST_PROJECTION]), reads=1)
    first = {blocks(VARIANTS[name])[0].flags: VARIANTS[name] for name in layout.variants}
    names, reads = {}, 1
    first_block = set()
    for variant in first.values():
        compiler = _Compiler(layout, variant, default_facts(variant), "", "")
        for part in ("stem", "head"):
            compiler.part(part, f"{part}.", {}, frozenset())
        names = {name: compiler.moves[name].source for name in compiler.shapes if name in compiler.moves}
        reads = compiler.moves["head.fc.weight"].source_shape.index(head_channels(variant))
        block = compiler.blocks[0]
        compiler.part("block", "blocks.0.", _block_values(block), block.flags)
        first_block.add(compiler.moves[_FIRST_PROJECTION].source)
    return Ends(names, frozenset(first_block), reads)


def compile_moves(layout: Layout, variant: Variant, facts: Facts | None = None, root: str | None = None) -> list[Move]:
    """Return the moves of `compile_layout`, from `layout` to canonical, in canonical file order."""
    return list(compile_layout(layout, variant, facts, root).moves)


def identity_moves(shapes: Mapping[str, Shape]) -> list[Move]:
    """Return moves that leave every tensor as it is."""
    return [Move(name, name, shape, shape) for name, shape in shapes.items()]


def dropping_background_class(moves: Iterable[Move]) -> list[Move]:
    """Return canonical moves that drop the first class of the classifier, the background."""
    result = []
    for move in moves:
        if move.target.startswith("head.fc."):
            classes, *rest = move.target_shape
            order = tuple(range(len(move.target_shape)))
            drop = Step(move.target_shape, order, drop=1)
            move = replace(move, target_shape=(classes - 1, *rest), steps=(*move.steps, drop))
        result.append(move)
    return result


def invert(moves: Iterable[Move]) -> list[Move]:
    """Return the inverse moves. Raises LayoutMismatch for a move that loses values."""
    return [_inverted(move) for move in moves]


def compose(first: Sequence[Move], second: Sequence[Move]) -> list[Move]:
    """Return the moves that do `first` and then `second`, in the order of `second`.

    Raises LayoutMismatch if `second` needs a tensor that `first` does not give, or gives in another shape, or if
    `first` gives one that `second` does not take.
    """
    given = {move.target: move for move in first}
    problems = []
    result = []
    for move in second:
        before = given.get(move.source)
        if before is None:
            problems.append(f"{move.target} <- {move.source}: nothing gives it")
        elif before.target_shape != move.source_shape:
            problems.append(
                f"{move.target} <- {move.source}: given as {before.target_shape}, wanted as {move.source_shape}"
            )
        else:
            steps = _simplified((*before.steps, *move.steps))
            result.append(Move(before.source, move.target, before.source_shape, move.target_shape, steps))
    problems += [f"{name}: nothing takes it" for name in sorted(given.keys() - {move.source for move in second})]
    if problems:
        raise LayoutMismatch(listing("the two sets of moves do not meet:", problems))
    return result


def _inverted(move: Move) -> Move:
    if any(step.drop for step in move.steps):
        raise LayoutMismatch(f"{move.target} <- {move.source}: values are dropped on the way, so there is no way back")
    steps = []
    for step in reversed(move.steps):
        order = tuple(step.order.index(axis) for axis in range(len(step.order)))
        steps.append(Step(step.result, order))
    return Move(move.target, move.source, move.target_shape, move.source_shape, tuple(steps))


def _simplified(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Merge steps with no reshape between them, and drop steps that change nothing."""
    result: list[Step] = []
    for step in steps:
        if result and result[-1].result == step.shape and not result[-1].drop:
            before = result.pop()
            step = Step(before.shape, tuple(before.order[axis] for axis in step.order), step.drop)
        result.append(step)
    return tuple(step for step in result if step.drop or step.order != tuple(range(len(step.order))))


# A file is compared with many networks, and the next file often with the same; these are 30 MB at most.
@lru_cache(maxsize=128)
def _compiled(layout: Layout, variant: Variant, facts: Facts, root: str, dropped: str) -> Compiled:
    compiler = _Compiler(layout, variant, facts, root, dropped)
    compiled = compiler.compile()
    if compiler.problems:
        heading = f"layout {layout.name}, variant {variant.name}: the map cannot be used:"
        raise BadMap(listing(heading, compiler.problems))
    return compiled


class _Compiler:
    """Compiles the rows of a map in call order, which numbers the series."""

    def __init__(self, layout: Layout, variant: Variant, facts: Facts, root: str, dropped: str) -> None:
        self.layout, self.root, self.dropped = layout, root, dropped
        self.shapes = tensor_shapes(variant, facts)
        # Layers that the map may name although this network lacks them: the head of a headless network.
        self.known = self.shapes.keys() | tensor_shapes(variant, default_facts(variant)).keys()
        self.filling = {name: replace(fill, channels=facts.in_channels) for name, fill in layout.fill.items()}
        self.blocks = blocks(variant)
        self.drawn: dict[tuple[str, str], int] = {}
        self.moves: dict[str, Move] = {}
        self.fills: dict[str, Fill] = {}
        self.order: list[str] = []
        self.problems: list[str] = []

    def compile(self) -> Compiled:
        self.part("stem", "stem.", {}, frozenset())
        for block in self.blocks:
            self.part("block", f"blocks.{block.index}.", _block_values(block), block.flags)
        self.part("head", "head.", {}, frozenset())
        self.fills |= self.layout.whole_fills
        self.order += self.layout.whole_fills
        self._check()
        moves = (self.moves[name] for name in self.shapes if name in self.moves)
        return Compiled(tuple(moves), self.fills, tuple(self.order))

    def part(self, part: str, canonical: str, values: Mapping[str, int | str], flags: frozenset[str]) -> None:
        for row in self.layout.layers[part]:
            if row.flags <= flags:
                self._layer(row, canonical + row.layer, self._source_layer(row.source, values))

    def _source_layer(self, source: str, values: Mapping[str, int | str]) -> str:
        for written, name, added in placeholders(source):
            value = values[name]
            source = source.replace(written, str(value + added) if isinstance(value, int) else value)
        for written, before, series, used in draws(source):
            scope = "" if series in self.layout.network_series else before
            number = self.drawn.get((series, scope), 0)
            self.drawn[series, scope] = number + used
            names = self.layout.series[series]
            if number >= len(names) and "{n}" not in names[-1]:
                self.problems.append(f"series.{series}: has {len(names)} names, {before!r} draws one more")
            name = names[min(number, len(names) - 1)].replace("{n}", str(number))
            source = source.replace(written, name)
        return source

    def _layer(self, row: Row, layer: str, source: str) -> None:
        kind = self.layout.kinds[row.kind]
        targets = [f"{layer}.{slot.canonical}" for slot in kind.values() if slot.canonical]
        present = not targets or any(target in self.shapes for target in targets)
        for tensor, slot in kind.items():
            name = f"{self.root}{source.removeprefix(self.dropped)}{self.layout.separator}{tensor}"
            target = f"{layer}.{slot.canonical}"
            if slot.fill and present:
                self.fills[name] = self.filling[slot.fill]
                self.order.append(name)
            elif slot.fill:
                continue
            elif target in self.moves:
                self.problems.append(f"{target}: filled twice")
            elif target in self.shapes:
                self._move(name, target, slot.axes)
                self.order.append(name)
            elif target not in self.known:
                self.problems.append(f"{target}: the network has no such tensor")

    def _move(self, source: str, target: str, axes: Axes | None) -> None:
        shape = self.shapes[target]
        if axes is None:
            self.moves[target] = Move(source, target, shape, shape)
            return
        try:
            sizes = axes.letter_sizes(shape)
        except ValueError as error:
            self.problems.append(f"{target} <- {source}: {error}")
            return
        step = Step(*axes.parted(sizes))
        self.moves[target] = Move(source, target, axes.source_shape(sizes), shape, _simplified((step,)))

    def _check(self) -> None:
        self.problems += [f"{name}: nothing fills it" for name in self.shapes if name not in self.moves]
        seen: dict[str, str] = {}
        for move in self.moves.values():
            if move.source in seen:
                self.problems.append(f"{move.source}: goes to both {seen[move.source]} and {move.target}")
            seen[move.source] = move.target
        self.problems += [f"{name}: both filled and moved to {seen[name]}" for name in self.fills.keys() & seen.keys()]


def _block_values(block: Block) -> dict[str, int | str]:
    return {
        "index": block.index,
        "stage": block.stage,
        "repeat": block.repeat,
        "group": block.group,
        "member": block.member,
        "letter": _letter(block.repeat),
    }


def _letter(number: int) -> str:
    """Return a for 0, b for 1, … z, then the characters after z, as Keras does with `chr(number + 97)`."""
    return chr(ord("a") + number)
