"""Witnesses that need no values: names, the order of the file, or parents' names only."""

from collections.abc import Sequence

from effconvert.drafting.by_names import ByNames
from effconvert.drafting.by_order import ByOrder
from effconvert.drafting.candidates import Case, Evidence, Item, Items
from effconvert.drafting.network_layers import NORM
from effconvert.drafting.roles import Roles, contradicted, is_framework_order, roles_by_signs, roles_by_words


class Contradiction(Exception):
    """The names say what the values contradict."""


def by_names(case: Case, names: ByNames) -> Evidence | None:
    """Return the evidence from names; None if the BatchNorms have no names in common for their tensors.

    Raises Contradiction if a value contradicts a name.
    """
    items = case.items(names.candidates)
    return _evidence(case, items, "names", names.doubts)


def by_parents(case: Case) -> Evidence | None:
    """Return the evidence from parents' names only: all layers of the right shapes.

    Raises Contradiction if a value contradicts a name.
    """
    candidates = case.by_shapes()
    if not all(candidates.values()):
        return None
    said = ["neither names nor order distinguish layers of equal shapes"]
    return _evidence(case, case.items(candidates), "shapes", said)


def by_order(case: Case, order: ByOrder) -> Evidence:
    """Return the evidence from the order of the file, without its names."""
    items: Items = {name: [dict(tensors)] for name, tensors in order.tensors.items()}
    roles = roles_by_signs(case.contents, [items[name][0] for name in case.norms])
    said = ["only the order of the file tells which layer is which: its names say nothing"]
    return Evidence(items, roles, dict.fromkeys(items, "order"), said)


def _evidence(case: Case, items: Items, witness: str, said: Sequence[str]) -> Evidence | None:
    held = [item for name in case.norms for item in items[name]]
    if len({frozenset(item) for item in held}) > 1:
        return None
    told_by = {name: witness if len(candidates) == 1 else "shapes" for name, candidates in items.items()}
    evidence = Evidence(items, _roles(case, held), told_by, list(said))
    if evidence.roles.told_by == "doubted words":
        keys = ", ".join(held[0])
        evidence.said.append(f"a BatchNorm's tensors are in an order that no framework has: {keys}")
    return evidence


def _roles(case: Case, held: Sequence[Item]) -> Roles:
    """Return which of a BatchNorm's tensors is which, by their words, or else by their signs."""
    roles = roles_by_words(held[0])
    if roles is None:
        return roles_by_signs(case.contents, held)
    if negative := contradicted(case.contents, roles, held):
        raise Contradiction(f"{negative[0]} is called a variance and has negative values: no name is believed")
    orders = {tuple(roles.possible[key][0] for key in item) for item in held}
    keys = list(held[0])
    if case.contents.is_ordered and len(orders) == 1 and not is_framework_order(orders.pop()) and keys != sorted(keys):
        doubted = {key: (one, *(role for role in NORM if role != one)) for key, (one,) in roles.possible.items()}
        return Roles(doubted, "doubted words")
    return roles
