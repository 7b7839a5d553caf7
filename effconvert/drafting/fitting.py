"""Comparison by shapes: layers of a file with layers of the network, and whole sequences of them."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from effconvert.drafting.layers_of_file import FileLayer
from effconvert.drafting.network_layers import Layer
from effconvert.drafting.shapes import Measured

T = TypeVar("T")
U = TypeVar("U")


def fits(measured: Measured, wanted: Layer, found: FileLayer) -> bool:
    """Return whether `found` has the shapes of `wanted`; a convolution may have a bias that the network lacks."""
    if wanted.is_norm:
        shapes = measured.shapes_of(wanted, "running_var")
        return len(found.tensors) == 4 and set(found.tensors.values()) <= shapes
    if len(found.kernels) != 1 or len(found.vectors) > 1:
        return False
    if found.tensors[found.kernels[0]] not in measured.shapes_of(wanted, "weight"):
        return False
    if "bias" not in wanted.shapes:
        return True
    return bool(found.vectors) and found.tensors[found.vectors[0]] in measured.shapes_of(wanted, "bias")


def embedding(
    wanted: Sequence[T], found: Sequence[U], fit: Callable[[T, U], bool]
) -> tuple[Mapping[int, int], Mapping[int, int]] | None:
    """Return the place of each of `wanted` in `found`, in order: the earliest possible, and the latest.

    None if they do not fit. If both are equal, there is only one way.
    """
    early = _greedy(wanted, found, fit)
    late = _greedy(wanted[::-1], found[::-1], fit)
    if early is None or late is None:
        return None
    last, end = len(wanted) - 1, len(found) - 1
    return early, {last - place: end - at for place, at in late.items()}


def _greedy(wanted: Sequence[T], found: Sequence[U], fit: Callable[[T, U], bool]) -> dict[int, int] | None:
    places: dict[int, int] = {}
    at = 0
    for place, item in enumerate(wanted):
        while at < len(found) and not fit(item, found[at]):
            at += 1
        if at == len(found):
            return None
        places[place] = at
        at += 1
    return places


def matching(candidates: Mapping[Hashable, Sequence[Hashable]]) -> dict[Hashable, Hashable]:
    """Return a different candidate for each key, the earlier ones if possible.

    Keys for which none is left are missing in the result.
    """
    taken: dict[Hashable, Hashable] = {}

    def take(key: Hashable, seen: set[Hashable]) -> bool:
        for candidate in candidates[key]:
            if candidate in seen:
                continue
            seen.add(candidate)
            if candidate not in taken or take(taken[candidate], seen):
                taken[candidate] = key
                return True
        return False

    for key in sorted(candidates, key=lambda key: len(candidates[key])):
        take(key, set())
    return {key: candidate for candidate, key in taken.items()}
