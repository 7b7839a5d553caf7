"""The coverage check: every source tensor is moved or left behind with a reason, and every target is filled once."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.checkpoint import FLOATS, QUANTIZED, Checkpoint
from effconvert.identify.candidates import classifier_in
from effconvert.identify.identification import Identity, identify, of_named_weights
from effconvert.identify.missing_tensors import missing_words
from effconvert.identify.tensor_names import BOUNDARIES, BY_LEAVE, BY_OPTION, shared_start, without_wrappers
from effconvert.identify.unknown_tensors import layer_of, placed
from effconvert.identify.weight_sets import AVERAGES, RAW
from effconvert.maps.moves import Move
from effconvert.option_words import flag, option
from effconvert.options import Options


@dataclass(frozen=True)
class Coverage:
    """The moves to canonical with the names of the file, the set they take, and all other tensors with a reason."""

    moves: tuple[Move, ...]
    taken: str
    left_behind: Mapping[str, str]

    def left_by_option(self) -> dict[str, str]:
        """Return {tensor: reason} for tensors that stay behind because of an option."""
        return {name: reason for name, reason in self.left_behind.items() if reason.endswith(BY_OPTION)}

    def counts(self) -> dict[str, Any]:
        """Return the number of moved tensors, and the number of tensors left behind for each reason."""
        return {"moved": len(self.moves), "left_behind": dict(sorted(Counter(self.left_behind.values()).items()))}


def read_network(checkpoint: Checkpoint, options: Options) -> tuple[Identity, Coverage]:
    """Return the identity of the file, read with `options`, and the coverage of all its tensors.

    Raises LayoutMismatch if the layout is not known, or with every tensor that is a problem.
    """
    identity = identify(checkpoint, options)
    if options.weights:
        identity = of_named_weights(identity)
    return identity, check_coverage(checkpoint, identity, options.raw)


def check_coverage(checkpoint: Checkpoint, identity: Identity, want_raw: bool = False) -> Coverage:
    """Return which tensors are moved and which are left behind.

    Raises LayoutMismatch with every problem: a tensor that is missing, unknown, of the wrong shape or dtype, or only in
    the other set of weights.
    """
    sets = identity.sets
    taken = sets.preferred(identity.moves, want_raw)
    moves = sets.taking(taken, identity.moves)
    left_behind = dict(checkpoint.skipped) | dict(identity.reading.others) | _other_set(identity, taken)
    problems = [*_move_problems(checkpoint, identity, moves, taken), *_quantized_problems(checkpoint, identity, moves)]
    lacking = {move.target: move.source for move in moves if move.source not in checkpoint.tensors}
    if words := missing_words(lacking, [move.target for move in moves]):
        said = {_missing(target, source) for target, source in lacking.items()}
        problems = [words, *(problem for problem in problems if problem not in said)]
    strange = {
        name: where
        for name, where in {**identity.reading.unknown, **identity.reading.outside}.items()
        if name not in left_behind
    }
    problems += [f"{name}: unknown, {where}" for name, where in strange.items()]
    if problems:
        kind = f"{taken} weights" if taken in (RAW, AVERAGES) else "one set of weights"
        where = f"{checkpoint.path}: as {identity.layout_name}, {identity.variant.name}, {kind}:"
        raise LayoutMismatch("\n".join([listing(where, problems), *_ways_out(checkpoint, identity, moves, strange)]))
    return Coverage(tuple(moves), taken, dict(sorted(left_behind.items())))


def left_inside(checkpoint: Checkpoint, identity: Identity, coverage: Coverage) -> dict[str, str]:
    """Return {tensor left by `leave`: its place}, for tensors that may act before the features are pooled."""
    reading = identity.reading
    own = classifier_in(reading.layout, reading.variant, reading.scope)
    inside: dict[str, str] = {}
    for file, reason in coverage.left_behind.items():
        root = next((root for root in identity.sets.roots.values() if file.startswith(root)), None)
        if reason.startswith(BY_LEAVE) and root is not None and file not in checkpoint.behind:
            inside[file] = without_wrappers(file.removeprefix(root))
    shapes = {name: checkpoint.tensors[file].shape for file, name in inside.items()}
    places = placed(shapes, own, identity.moves)
    return {file: places[name][0] for file, name in inside.items() if not places[name][1]}


def _move_problems(checkpoint: Checkpoint, identity: Identity, moves: Sequence[Move], taken: str) -> Iterator[str]:
    other = RAW if taken == AVERAGES else AVERAGES
    for move, plain in zip(moves, identity.moves, strict=True):
        info = checkpoint.tensors.get(move.source)
        if move.source in identity.reading.others:
            yield f"{move.target} <- {move.source}: {identity.reading.others[move.source]}, but the network needs it"
            continue
        if info is None and identity.sets.holds(other, plain.source):
            remedy = f" (sets are never mixed; {flag('raw')} takes the raw weights)" if other == RAW else ""
            yield f"{move.target} <- {move.source}: missing, only the {other} tensor exists{remedy}"
        elif info is None:
            reason = checkpoint.skipped.get(move.source)
            yield f"{move.target} <- {move.source}: {reason}" if reason else _missing(move.target, move.source)
        elif info.shape != move.source_shape:
            yield f"{move.target} <- {move.source}: shape {info.shape}, expected {move.source_shape}"
        elif info.dtype not in FLOATS:
            yield f"{move.target} <- {move.source}: dtype {info.dtype}, expected a floating-point one"


def _missing(target: str, source: str) -> str:
    return f"{target} <- {source}: missing"


def _quantized_problems(checkpoint: Checkpoint, identity: Identity, moves: Sequence[Move]) -> Iterator[str]:
    """Yield the quantized tensors of the network that have other names, such as torch.ao's packed parameters."""
    moved = {move.source for move in moves}
    for name, reason in checkpoint.skipped.items():
        roots = [root for root in identity.sets.roots.values() if name.startswith(root)]
        # Tensors in another dict are not the network's; a tuple's tensors have names like `fc._packed_params/0`.
        inside = any("." in name[len(root) :].partition("/")[0] for root in roots)
        if reason.startswith(QUANTIZED) and inside and name not in moved:
            yield f"{name}: {reason}"


def _ways_out(
    checkpoint: Checkpoint, identity: Identity, moves: Sequence[Move], strange: Collection[str]
) -> Iterator[str]:
    """Yield the options that help if the file holds more than the network."""
    reading = identity.reading
    behind = [name for name in strange if name in reading.behind]
    taken = [move.source for move in moves]
    heads = [layer for layer in reading.linear if not _is_read(checkpoint, layer, reading.linear, strange)]
    others = [name for name in behind if layer_of(name) not in heads]
    if heads and strange:
        own = [layer_of(move.source) for move in moves if move.target == "head.fc.weight"]
        layers = " or ".join(option("classifier", layer) for layer in (*own, *heads[:3]))
        left = f" {_leaving(others, reading.scope.root, taken)}" if others else ""
        yield f"  ({layers}{left} chooses the classifier among the heads)"
    if behind and len(behind) == len(strange):
        yield f"  ({flag('backbone')} takes the network without a classifier, and leaves these tensors behind)"
    elif behind:
        yield f"  ({flag('backbone')} only leaves behind tensors after the pooled features or outside the network)"
    dropped = behind if reading.facts.classes else others
    if dropped:
        yield f"  ({_leaving(dropped, reading.scope.root, taken)} leaves these behind and converts the network alone)"
    if len(behind) < len(strange):
        leaving = option("leave", ["PATTERN"])
        yield (
            f"  (merge or remove the tensors inside the network where the file was made; {leaving} drops them, "
            "but the outputs change if the network uses them)"
        )


def _is_read(checkpoint: Checkpoint, layer: str, heads: Collection[str], strange: Collection[str]) -> bool:
    """Return whether an unknown layer beside `heads` may read the output of the linear layer `layer`."""
    shapes = {name: checkpoint.tensors[name].shape for name in strange}
    own = [shape for name, shape in shapes.items() if layer_of(name) == layer]
    width = set().union(*own) - {shape[0] for shape in own if len(shape) == 1}
    given = {shape[0] for shape in own if len(shape) == 1}
    further = [set(shape) for name, shape in shapes.items() if layer_of(name) not in heads and len(shape) <= 2]
    return any(given & shape and not width & shape for shape in further)


def _leaving(names: Iterable[str], root: str, taken: Collection[str]) -> str:
    """Return the options that leave `names` behind, but none of the tensors `taken`."""
    patterns = list(dict.fromkeys(_pattern(name, root, taken) for name in names))
    shown = option("leave", patterns[:3])
    return f"{shown} … ({len(patterns)} in all)" if len(patterns) > 3 else shown


def _pattern(name: str, root: str, taken: Iterable[str]) -> str:
    """Return the pattern of the largest module around the tensor `name` that holds none of the tensors `taken`."""
    start = max(shared_start(name, root).rfind(boundary) for boundary in BOUNDARIES) + 1
    ends = [place + 1 for place in range(start, len(name)) if name[place] in BOUNDARIES]
    modules = [name[:end] for end in ends]
    found = next((module for module in modules if not any(other.startswith(module) for other in taken)), "")
    return f"{found}*" if found else name


def _other_set(identity: Identity, taken: str) -> dict[str, str]:
    """Return the tensors of the other set, with the reason."""
    other = RAW if taken == AVERAGES else AVERAGES
    names, root = identity.sets.names.get(other, {}), identity.sets.roots.get(other)
    where = f" under {root!r}" if root != identity.sets.roots[taken] else ""
    reason = (
        f"raw weights{where}; their averages are taken"
        if other == RAW
        else f"averages{where}; the raw weights are taken"
    )
    return {names[move.source]: reason for move in identity.moves if move.source in names}
