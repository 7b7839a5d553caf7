"""Scopes of weights in a file: prefixes such as `module.`, dicts such as `state_dict_ema`."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache

from effconvert.architecture.facts import MOST_CHANNELS
from effconvert.architecture.variants import VARIANTS, stem_channels
from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.checkpoint import Shape
from effconvert.identify.tensor_names import BOUNDARIES, TensorNames, shared_start, without_wrappers
from effconvert.identify.weight_sets import AVERAGES, RAW, WeightSets, is_averaged, sets_by_suffix, single_set
from effconvert.maps.language import Layout, Leaving
from effconvert.maps.layouts import leavings
from effconvert.maps.moves import Ends
from effconvert.option_words import option

_STEM_WIDTHS = frozenset(stem_channels(variant) for variant in VARIANTS.values())
# mmengine writes the evaluated weights as `state_dict`: with its EMAHook the averages, and the raw weights as
# `ema_state_dict` (mmengine/hooks/ema_hook.py, _swap_ema_state_dict).
_MMENGINE = ("meta/mmengine_version", "ema_state_dict/", "state_dict/")
# Names that distinguish the weights of a layer in a separate dict from an optimizer's values.
_VARIABLES = frozenset("weight bias kernel gamma beta".split())


@dataclass(frozen=True)
class Scope:
    """The place of the weights in a file.

    root: the prefix of every name. dropped: the prefix of the layout that the file lacks. sets: the sets of weights.
    beside: {tensor in the file that is not a weight: reason}. strangers: {name: {set: name in the file}} for tensors
    outside the root that may be part of the network; the name is without the prefix of the whole set. apart: those of
    them in a separate dict. others: the roots of other networks in the file.
    """

    root: str
    dropped: str
    sets: WeightSets
    beside: Mapping[str, str] = field(repr=False, default_factory=dict)
    strangers: Mapping[str, Mapping[str, str]] = field(repr=False, default_factory=dict)
    apart: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()


def scopes_in(
    names: TensorNames, layout: Layout | None, ends: Ends, networks: Mapping[str, str], wanted: str | None = None
) -> Iterator[Scope]:
    """Yield the scopes of a file that hold a stem.

    networks: those of any layout, from `networks_in`. wanted: the only scope to consider. Raises LayoutMismatch if
    there are several networks of one kind.
    """
    for dropped in droppable(layout):
        roots = network_roots(names, layout, ends.without(dropped))
        if layout and dropped and dropped == layout.features:
            roots = {root: written for root, written in roots.items() if not root.endswith(dropped)}
        # A backbone is not a part of a network that has its classifier.
        classifier = {root.removesuffix(dropped) + ends.names["head.fc.weight"] for root in roots} if dropped else set()
        if classifier & names.shapes.keys():
            continue
        asked = {root: written for root, written in roots.items() if wanted in (None, root, written)}
        for sets in _sets(names, layout, asked, roots):
            yield scope_of(names, layout, sets, dropped, networks)


def droppable(layout: Layout | None) -> tuple[str, ...]:
    """Return the prefixes that a file of `layout` may lack; the first is the empty one."""
    return ("", *(prefix for prefix in (layout.backbone, layout.features) if prefix)) if layout else ("",)


def networks_in(names: TensorNames, layout: Layout | None, ends: Ends) -> Iterator[tuple[str, str]]:
    """Yield (stem's kernel, its prefix) for every network of `layout` that has a first block."""
    held = _bases(names, layout)
    for dropped in droppable(layout):
        lacking = ends.without(dropped)
        for root in network_roots(names, layout, lacking):
            if root + lacking.kernel in held and any(root + name in held for name in lacking.first_block):
                yield held[root + lacking.kernel], root


def own_scope(names: TensorNames, layout: Layout | None, root: str, dropped: str) -> Scope:
    """Return the scope of a file that this project wrote under `root`."""
    kept = {name: file for name, file in names.files.items() if not ignored(layout, name, names.shapes[name])}
    average = layout.average if layout else ""
    sets = sets_by_suffix(average, kept, root) if average else single_set(names.under(root, root), root)
    return scope_of(names, layout, sets, dropped, {})


def network_roots(names: TensorNames, layout: Layout | None, ends: Ends) -> dict[str, str]:
    """Return {prefix of each stem's kernel, without wrappers: the same as in the file}.

    The kernel differs from others with its name by its shape, 3 x 3 pixels of three channels, and by the tensors after
    it. If there are several roots, those with a first block count. A kernel with another number of channels counts only
    with a first block, since it may be a depthwise one. If there is no kernel, the rest of the stem decides.
    """
    held = _bases(names, layout)
    shapes = {base: names.shapes[name] for base, name in held.items()}
    others = [name for canonical, name in ends.names.items() if canonical.startswith("stem.") and name != ends.kernel]
    before = _before(shapes, ends.kernel, layout)
    whole = [root for root in before if any(root + name in shapes for name in ends.first_block)]
    found = [
        root
        for root in before
        if shapes[root + ends.kernel].count(3) == 3 or (root in whole and _is_stem(shapes[root + ends.kernel]))
    ]
    last = ends.kernel
    if found:
        found = [root for root in found if any(root + other in shapes for other in others)]
        found = [root for root in found if root in whole] if len(found) > 1 and whole else found
    else:
        first, *rest = [set(_before(shapes, other, layout)) for other in others]
        found, last = sorted(first.intersection(*rest), key=len)[:1], others[0]
    return {root: names.written(root, held[root + last]) for root in found}


def _is_stem(shape: Shape) -> bool:
    """Return whether a kernel may be a stem's, with any number of channels: [out, in, 3, 3] or [3, 3, in, out]."""
    if len(shape) != 4:
        return False
    orders = ((shape[2:], shape[0], shape[1]), (shape[:2], shape[3], shape[2]))
    return any(
        kernel == (3, 3) and out_channels in _STEM_WIDTHS and 1 <= in_channels <= MOST_CHANNELS
        for kernel, out_channels, in_channels in orders
    )


def scope_of(
    names: TensorNames, layout: Layout | None, sets: WeightSets, dropped: str, networks: Mapping[str, str]
) -> Scope:
    """Return the scope of `sets`, with a reason for every tensor elsewhere that is not a weight."""
    taken = {file for held in sets.names.values() for file in held.values()}
    nested, others = _nests(names, layout), [root for stem, root in networks.items() if names.files[stem] not in taken]
    carriers = _carriers(sets, nested)
    beside: dict[str, str] = dict(names.left)
    strangers: dict[str, dict[str, str]] = {}
    apart = set()
    for name, file in names.files.items():
        if file in taken:
            continue
        reason = ignored(layout, name, names.shapes[name]) or _counter(file, names.shapes[name], sets, nested)
        other = max((root for root in others if _is_inside(name, root, nested)), key=len, default=None)
        chosen, base = _place(name, sets, carriers, nested)
        if reason or other is not None:
            beside[file] = reason or (f"another network's, under {other!r}" if other else "another network's")
        elif chosen:
            strangers.setdefault(base, {})[chosen] = file
        elif re.split("[./]", name)[-1] in _VARIABLES or not nested:
            strangers[name] = dict.fromkeys(sets.names, file)
            apart |= {name} if nested else set()
        else:
            beside[file] = f"beside the weights: {name.partition('/')[0]}"
    root = next(iter(sets.roots.values()))
    return Scope(root, dropped, sets, beside, strangers, frozenset(apart), tuple(sorted(set(others))))


def ignored(layout: Layout | None, name: str, shape: Shape) -> str:
    """Return why `layout` leaves the tensor `name` behind in any place; "" if it does not."""
    if layout and name in layout.whole_fills:
        return layout.whole_fills[name].reason
    patterns = layout.ignore.items() if layout else ()
    reason = next((reason for pattern, reason in patterns if fnmatchcase(name, pattern)), "")
    left = leaving_of(layout, name, shape)
    return reason or (left.reason if left else "")


@lru_cache(maxsize=1 << 14)  # asked for the names of a file again with every candidate
def leaving_of(layout: Layout | None, name: str, shape: Shape) -> Leaving | None:
    """Return the kind of training leftovers to which the tensor `name` belongs; None if there is none."""
    left = layout.leavings if layout else leavings()
    return next((entry for entry in left if entry.takes(name, shape)), None)


def _bases(names: TensorNames, layout: Layout | None) -> dict[str, str]:
    """Return {name: name in the file}; for an average, the first is the name of its raw tensor."""
    plain = {name: name for name in names.files}
    average = layout.average_in(names.files) if layout else ""
    if not average:
        return plain
    sets = sets_by_suffix(average, plain, "").names
    return {**sets[AVERAGES], **sets[RAW]}


def _before(shapes: Mapping[str, Shape], end: str, layout: Layout | None) -> list[str]:
    found = [
        name.removesuffix(end) for name in shapes if name.endswith(end) and not ignored(layout, name, shapes[name])
    ]
    return sorted({root for root in found if not root or root[-1] in BOUNDARIES}, key=lambda root: (len(root), root))


def _sets(
    names: TensorNames, layout: Layout | None, roots: Mapping[str, str], known: Mapping[str, str]
) -> list[WeightSets]:
    """Return the sets of the one network under `roots`: raw weights, averages, or both.

    known: these roots and those of other networks, which are not touched.
    """
    average = layout.average_in(names.files) if layout else ""
    averages = [root for root in roots if not average and _holds_averages(names, roots[root])]
    raw = [root for root in roots if root not in averages]
    if max(len(raw), len(averages)) > 1:
        heading = f"{names.path}: holds several networks; choose one with {option('root')}:"
        raise LayoutMismatch(listing(heading, [repr(roots[root]) for root in roots]))
    if not roots:
        return []
    if average:
        return [sets_by_suffix(average, names.files, raw[0])]
    nested = _nests(names, layout)
    held: dict[str, dict[str, str]] = {root: {} for root in roots}
    for name, file in names.files.items():
        # One scope may be inside the other, such as `ema.` inside the file's own.
        around = [root for root in known if _is_inside(name, root, nested) and file.startswith(known[root])]
        nearest = max(around, key=len, default=None)
        if nearest in held:
            held[nearest][name.removeprefix(nearest)] = file
    if not averages:
        return [single_set(held[raw[0]], roots[raw[0]])]
    chosen = {RAW: raw[0], AVERAGES: averages[0]} if raw else {AVERAGES: averages[0]}
    return [
        WeightSets({kind: held[root] for kind, root in chosen.items()}, {k: roots[root] for k, root in chosen.items()})
    ]


def _holds_averages(names: TensorNames, root: str) -> bool:
    mark, inverted, plain = _MMENGINE
    if mark in names.metadata and any(name.startswith(inverted) for name in names.files):
        return root.startswith(plain)
    return is_averaged(root)


def _is_inside(name: str, root: str, nested: bool) -> bool:
    """Return whether `name` is under `root`, and in the same dict if the file has nested dicts."""
    return name.startswith(root) and not (nested and "/" in name[len(root) :])


def _nests(names: TensorNames, layout: Layout | None) -> bool:
    """Return whether a "/" separates dicts; it does not if it is part of the layout's own names."""
    return names.nested and not (layout and layout.separator == "/")


def _place(name: str, sets: WeightSets, carriers: Mapping[str, str], nested: bool) -> tuple[str, str]:
    """Return the set of a tensor outside the root, "" if that is open, and its name in the set."""
    before, _, after = sets.average.partition("{name}")
    if sets.average:
        averaged = name.startswith(before) and name.endswith(after)
        return (AVERAGES, name[len(before) : len(name) - len(after)]) if averaged else (RAW, name)
    within = [chosen for chosen, carrier in carriers.items() if _is_inside(name, carrier, nested)]
    chosen = max(within, key=lambda chosen: len(carriers[chosen]), default="")
    return chosen, name.removeprefix(carriers[chosen]) if chosen else name


def _carriers(sets: WeightSets, nested: bool) -> dict[str, str]:
    """Return {set: prefix of everything that belongs to it}: its root without the common end of both roots.

    For a single set it is the dict that holds it.
    """
    roots = {chosen: without_wrappers(root) for chosen, root in sets.roots.items()}
    if len(set(roots.values())) == 1:
        return {chosen: root[: root.rfind("/") + 1] if nested else "" for chosen, root in roots.items()}
    one, other = roots.values()
    shared = shared_start(one[::-1], other[::-1])[::-1]
    whole = any(root == shared for root in roots.values())
    at = 0 if whole else next((place + 1 for place, letter in enumerate(shared) if letter in BOUNDARIES), len(shared))
    return {chosen: root.removesuffix(shared[at:]) for chosen, root in roots.items()}


def _counter(file: str, shape: Shape, sets: WeightSets, nested: bool) -> str:
    """Return why a number beside a set of averages is not a weight; "" for anything else."""
    roots = [root for chosen, root in sets.roots.items() if chosen == AVERAGES or is_averaged(root)]
    if (
        nested
        and math.prod(shape) == 1
        and any(_is_inside(file, root[: root.rfind("/") + 1], nested) for root in roots)
    ):
        return "counter of the averages"
    return ""
