"""Comparison of witnesses: the order of the file with its names, and the values with both."""

import numpy as np

from effconvert.drafting.by_order import ByOrder
from effconvert.drafting.by_values import AGREES, agreements, all_ways, read_values, ways_to_read
from effconvert.drafting.candidates import Case, Evidence, Item
from effconvert.drafting.network_layers import NORM
from effconvert.drafting.roles import Roles

_LEAD = 4.0
_CONTRADICTED = "names against order"


def weigh_order(evidence: Evidence, order: ByOrder) -> bool:
    """Compare the order of the file with the names; return whether one of them can be believed.

    If they name different layers, both are candidates. If the order joins tensors that no names join, one of the two is
    wrong as a whole.
    """
    known = {frozenset(item.values()): item for held in evidence.items.values() for item in held}
    against: dict[str, Item] = {}
    for name, tensors in order.tensors.items():
        told = known.get(frozenset(tensors.values()))
        if told is None:
            evidence.said.append("the order of the file contradicts the names: neither is believed")
            return False
        if told not in evidence.items[name]:
            against[name] = told
        elif len(evidence.items[name]) > 1:
            evidence.items[name] = [told]
            evidence.told_by[name] = "order"
    for name, item in against.items():
        evidence.items[name] = [*evidence.items[name], item]
        evidence.told_by[name] = _CONTRADICTED
    many = f"contradicts the names in {len(against)} layers" if against else "agrees with the names"
    evidence.said.append(f"the order of the file {many}")
    evidence.confirmed_by = "order"
    return True


def weigh_roles(case: Case, evidence: Evidence) -> None:
    """Let the values decide which of a BatchNorm's tensors is which, or contradict their names."""
    roles = evidence.roles
    if any(len(held) > 1 for held in evidence.items.values()):
        return
    ways = all_ways(dict.fromkeys(roles.possible, NORM) if roles.are_known else roles.possible)
    chosen = {name: held[0] for name, held in evidence.items.items()}
    scores = ways_to_read(case.measured, case.contents, chosen, ways)
    best = max(scores)
    if best < AGREES:
        return
    ranked = sorted(range(len(ways)), key=lambda place: -scores[place])
    left = [ways[place] for place in ranked if best - scores[place] < _LEAD]
    if roles.are_known:
        (known,) = all_ways(roles.possible)
        if known in left:
            return
        evidence.said.append("the values contradict the names of a BatchNorm's tensors")
        left.append(known)
    else:
        evidence.said.append(f"a BatchNorm's tensors are decided by values: {best:.0f} standard errors")
    possible = {key: tuple(dict.fromkeys(_read(way, key) for way in left)) for key in roles.possible}
    evidence.roles = Roles(possible, "values")


def weigh_values(case: Case, evidence: Evidence) -> None:
    """Let the values decide open layers, and contradict wrong ones. BatchNorms must have been read."""
    everywhere = case.everywhere(evidence.items)
    found = read_values(case.measured, case.contents, everywhere)
    against = []
    for name, one in found.items():
        if not _weigh_layer(evidence, name, everywhere[name][one.place], one.agreement):
            against.append(name)
    if len(against) > 1:  # an exchange concerns at least two layers
        evidence.said.append(f"the values contradict the names in {len(against)} layers: names alone are not believed")
        for name, held in evidence.items.items():
            if evidence.told_by[name] == "names" and name not in found:
                evidence.items[name] = [*held, *(item for item in everywhere[name] if item not in held)]
    if all(len(held) == 1 for held in evidence.items.values()):
        _confirm(case, evidence)


def _weigh_layer(evidence: Evidence, name: str, item: Item, agreement: float) -> bool:
    """Compare the candidate that the values support with the evidence so far; return whether nothing contradicts it."""
    held, told = evidence.items[name], evidence.told_by[name]
    if held == [item]:
        return True
    size = f"values, {agreement:.0f} standard errors"
    if told == "shapes" and item in held:
        evidence.items[name], evidence.told_by[name] = [item], size
        return True
    if told == _CONTRADICTED and item == held[-1]:
        evidence.items[name], evidence.told_by[name] = [item], f"order and {size}"
        return True
    evidence.items[name] = [item, *(other for other in held if other != item)]
    evidence.told_by[name] = f"{told} against {size}"
    return False


def _confirm(case: Case, evidence: Evidence) -> None:
    """Add a sentence on how well the values agree with the decisions."""
    chosen = {name: held[0] for name, held in evidence.items.items()}
    seen = agreements(case.measured, case.contents, chosen)
    agreeing = sum(score >= AGREES for score in seen.values())
    if agreeing >= len(seen) / 2:
        sizes = f"median {np.median(list(seen.values())):.0f}, least {min(seen.values()):.0f}"
        evidence.said.append(
            f"the values agree: {agreeing} of {len(seen)} recorded means follow from the weights before them "
            f"(in standard errors: {sizes})"
        )
        evidence.confirmed_by = evidence.confirmed_by or "values"
        return
    evidence.said.append(
        "the values say nothing: recorded means do not follow from the weights, as in an untrained file"
    )


def _read(way: dict[str, str], key: str) -> str:
    return next(tensor for tensor, own in way.items() if own == key)
