"""Finds the scopes that weights stand under in a file: prefixes such as `module.`, dicts such as `state_dict_ema`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.checkpoint import Checkpoint, Shape
from effconvert.map_language import Layout
from effconvert.weight_sets import AVERAGES, WeightSets, is_averaged, sets_by_root, sets_by_suffix, single_set

_BOUNDARIES = "./:|"
# mmengine writes what it evaluates as `state_dict`: with its EMAHook the averages, and the raw weights as
# `ema_state_dict` (mmengine/hooks/ema_hook.py, _swap_ema_state_dict).
_MMENGINE = ("meta/mmengine_version", "ema_state_dict/", "state_dict/")


@dataclass(frozen=True)
class Scope:
    """Where the weights stand.

    root: what stands before every name. bare: the file lacks the prefix of the layout's backbone. sets: the sets of
    weights. beside: {tensor that stands elsewhere: reason}. outside: how many of those only stand outside the root.
    """

    root: str
    bare: bool
    sets: WeightSets
    beside: Mapping[str, str] = field(repr=False, default_factory=dict)
    outside: int = 0


def scopes_in(
    checkpoint: Checkpoint, layout: Layout | None, ends: Mapping[str, str], wanted: str | None = None
) -> Iterator[Scope]:
    """Yield the scopes of `checkpoint` that hold a stem.

    ends: {canonical name: the layout's} of stem and head. wanted: the only scope to look at. Raises LayoutMismatch when
    several networks of one kind are there.
    """
    names = checkpoint.tensors.keys()
    for bare in (False, True) if layout and layout.backbone else (False,):
        dropped = layout.backbone if layout and bare else ""
        kernel, *others = [ends[name].removeprefix(dropped) for name in ends if name.startswith("stem.")]
        if layout and layout.average:
            plain = sets_by_suffix(layout, names, "").names
            shapes = {base: checkpoint.tensors[name].shape for held in plain.values() for base, name in held.items()}
            roots = _roots(shapes, kernel, others, layout)
            found = [sets_by_suffix(layout, names, root) for root in roots if wanted in (None, root)][:1]
        else:
            shapes = {name: info.shape for name, info in checkpoint.tensors.items()}
            roots = _roots(shapes, kernel, others, layout)
            # A backbone is no part of a network whose classifier is there too.
            classifier = {root.removesuffix(dropped) + ends["head.fc.weight"] for root in roots} if bare else set()
            plausible = [root for root in roots if wanted in (None, root) and not classifier & names]
            found = _sets(checkpoint, plausible, roots, _nests(checkpoint, layout))
        for sets in found:
            yield scope_of(checkpoint, layout, sets, bare)


def own_scope(checkpoint: Checkpoint, layout: Layout | None, root: str, bare: bool) -> Scope:
    """Return the scope of a file that this project wrote under `root`."""
    names = checkpoint.tensors
    if layout and layout.average:
        sets = sets_by_suffix(layout, [name for name in names if not ignored(layout, name)], root)
    else:
        sets = single_set(names, root)
    return scope_of(checkpoint, layout, sets, bare)


def ignored(layout: Layout | None, name: str) -> str:
    """Return why `layout` leaves the tensor `name` behind wherever it stands, "" where it does not."""
    if layout is None:
        return ""
    if name in layout.whole_fills:
        return layout.whole_fills[name].reason
    return next((reason for pattern, reason in layout.ignore.items() if fnmatchcase(name, pattern)), "")


def _roots(shapes: Mapping[str, Shape], kernel: str, others: Iterable[str], layout: Layout | None) -> list[str]:
    """Return what stands before the stem's kernel, or, where there is none, before the rest of the stem.

    The kernel is told from others of its name by its shape: three times three pixels of three colours.
    """
    found = [root for root in _before(shapes, kernel, layout) if shapes[root + kernel].count(3) == 3]
    if not found:
        first, *rest = [set(_before(shapes, other, layout)) for other in others]
        return sorted(first.intersection(*rest), key=len)[:1]
    return [root for root in found if any(root + other in shapes for other in others)]


def _before(names: Iterable[str], end: str, layout: Layout | None) -> list[str]:
    found = [name.removesuffix(end) for name in names if name.endswith(end) and not ignored(layout, name)]
    return sorted({root for root in found if not root or root[-1] in _BOUNDARIES}, key=lambda root: (len(root), root))


def _sets(checkpoint: Checkpoint, roots: list[str], known: list[str], nested: bool) -> list[WeightSets]:
    """Return the sets of the one network under `roots`: raw weights, averages, or both.

    known: those roots and others, whose networks are left alone.
    """
    averages = [root for root in roots if _holds_averages(checkpoint, root)]
    raw = [root for root in roots if root not in averages]
    if max(len(raw), len(averages)) > 1:
        heading = f"{checkpoint.path}: holds several networks; --root says which is meant:"
        raise LayoutMismatch(listing(heading, [repr(root) for root in roots]))
    if not roots:
        return []
    inside = [
        name
        for name in checkpoint.tensors
        if max((root for root in known if _is_inside(name, root, nested)), key=len, default=None) in roots
    ]
    if not averages:
        return [single_set(inside, raw[0])]
    return [sets_by_root(inside, raw[0] if raw else None, averages[0])]


def _holds_averages(checkpoint: Checkpoint, root: str) -> bool:
    mark, inverted, plain = _MMENGINE
    if mark in checkpoint.metadata and any(name.startswith(inverted) for name in checkpoint.tensors):
        return root.startswith(plain)
    return is_averaged(root)


def _is_inside(name: str, root: str, nested: bool) -> bool:
    """Return whether `name` stands under `root` and in the same dict of a file whose dicts nest."""
    return name.startswith(root) and not (nested and "/" in name[len(root) :])


def _nests(checkpoint: Checkpoint, layout: Layout | None) -> bool:
    """Return whether a "/" parts dicts: not where it is part of the layout's own names."""
    return checkpoint.nested and not (layout and layout.separator == "/")


def scope_of(checkpoint: Checkpoint, layout: Layout | None, sets: WeightSets, bare: bool) -> Scope:
    """Return the scope of `sets`, with the reason for every tensor that stands elsewhere."""
    taken = {name for names in sets.names.values() for name in names.values()}
    roots = list(sets.roots.values())
    beside, outside = {}, 0
    for name in checkpoint.tensors.keys() - taken:
        reason = ignored(layout, name) or _elsewhere(name, sets, _nests(checkpoint, layout))
        outside += not reason
        beside[name] = reason or (f"outside of {roots[0]!r}" if roots[0] else "another network's")
    return Scope(roots[0], bare, sets, beside, outside)


def _elsewhere(name: str, sets: WeightSets, nested: bool) -> str:
    """Return why a tensor in another dict than the weights is none, "" for one that is in the same."""
    if not nested:
        return ""
    for chosen, root in sets.roots.items():
        container = root[: root.rfind("/") + 1]
        if name.startswith(container) and "/" not in name[len(container) :]:
            return "counter of the averages" if chosen == AVERAGES or is_averaged(root) else ""
    return f"beside the weights: {name.partition('/')[0]}"
