"""The decisions of a draft: shapes, names, the order of the file and its values are weighed together.

A layer is decided if the shapes leave one candidate, or if names or order name one and no other witness contradicts.
If one name is false, no name is believed. A decision by values alone is taken and marked.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from effconvert.drafting.by_names import ByNames, read_names
from effconvert.drafting.by_order import read_order
from effconvert.drafting.by_values import all_ways
from effconvert.drafting.candidates import Case, Evidence, Item, Items
from effconvert.drafting.contents import Contents
from effconvert.drafting.fitting import matching
from effconvert.drafting.hearing import Contradiction, by_names, by_order, by_parents
from effconvert.drafting.network_layers import NORM
from effconvert.drafting.roles import Roles, is_framework_order, signs_of
from effconvert.drafting.shapes import Measured, stored_shape
from effconvert.drafting.weighing import weigh_order, weigh_roles, weigh_values

# Flattened kernels of experts: the sort with the same order, and how theirs begins (the second with height first).
_FLATTENED = (
    ("experts", "pointwise", ("E(OIHW)", "E(HWIO)")),
    ("depthwise experts", "depthwise", ("E(CMHW)", "E(HWCM)")),
)
# What is left to the names alone, by the second witness. Values see convolutions, and what BatchNorms recorded.
_UNCONFIRMED = {
    "order": "",
    "values": "only names told which squeeze-and-excite, scale, shift and variance is which",
    "": "only names told which layer is which",
}
# The canonical order in the map language, for a question with several orders.
_IDENTITY = {"dense": "OI -> OI", "routing": "OI -> OI", "conv": "OIHW -> OIHW", "squeeze": "OIHW -> OIHW"}


@dataclass
class Decisions:
    """The decisions on all tensors of a file.

    items: {layer: its candidates}, the likeliest first; one if it is decided. Those of a BatchNorm are read by `way`,
    {canonical tensor: key}. apart: the same by tensor, {layer: {tensor: names}}, if it is not known which tensors
    belong together. roles: what each key of a BatchNorm may be. orders: {sort of tensor: possible orders of axes}.
    unconfirmed: what only names tell, so that false names would not be noticed; "" if there is nothing.
    """

    measured: Measured
    separator: str
    names: ByNames | None = None
    items: Items = field(default_factory=dict)
    apart: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    roles: Roles | None = None
    way: dict[str, str] = field(default_factory=dict)
    told_by: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    orders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unconfirmed: str = ""

    def first(self, layer: str) -> Item:
        """Return {tensor of a layer: its likeliest name}."""
        if layer in self.apart:
            return {tensor: names[0] for tensor, names in self.apart[layer].items()}
        return self.items[layer][0]

    def names_of(self, layer: str, tensor: str) -> tuple[str, ...]:
        """Return every name that a tensor may have; one if it is decided."""
        if layer in self.apart:
            return tuple(self.apart[layer][tensor])
        tensors = [tensor]
        if layer.endswith("bn") and tensor in self.open_roles:
            tensors = [other for other in self.way if tensor in self.open_roles.get(other, ())]
        return tuple(dict.fromkeys(item[each] for item in self.items[layer] for each in tensors))

    @property
    def open_roles(self) -> dict[str, tuple[str, ...]]:
        """Return {canonical tensor: all candidates, itself first} for a BatchNorm's tensors that are not decided."""
        if self.roles is None:
            return {}
        allowed = {tensor: self.roles.possible[key] for tensor, key in self.way.items()}
        return {
            tensor: (tensor, *(other for other in roles if other != tensor))
            for tensor, roles in allowed.items()
            if len(roles) > 1
        }


def decide(measured: Measured, contents: Contents) -> Decisions:
    """Decide which tensor of the file is which."""
    case = Case(measured, contents)
    names = read_names(measured, case.found)
    evidence, said = _hear(case, names)
    if evidence is None:
        decisions = _by_shapes(case, said)
    else:
        weigh_roles(case, evidence)
        decisions = _read(case, evidence, names if "names" in evidence.told_by.values() else None)
    _put_apart_first(decisions)
    decisions.orders = _orders(decisions, contents)
    return decisions


def _hear(case: Case, names: ByNames | None) -> tuple[Evidence | None, list[str]]:
    """Return the evidence from names, order or parents, None if there is none; and sentences for people."""
    order = read_order(case.measured, case.contents)
    try:
        evidence = by_names(case, names) if names else None
        if evidence is not None:
            believed = order is None or weigh_order(evidence, order)
            return (evidence if believed else None), evidence.said
        said = ["the names do not follow the network"]
        if order is None:
            return by_parents(case), said
    except Contradiction as contradiction:
        said = [str(contradiction)]
    return (by_order(case, order) if order else None), said


def _read(case: Case, evidence: Evidence, names: ByNames | None) -> Decisions:
    """Return the decisions, with one way to read every BatchNorm; values count only if this way is known."""
    way = _likeliest_way(case, evidence)
    for name in case.norms:
        evidence.items[name] = [{tensor: item[way[tensor]] for tensor in NORM} for item in evidence.items[name]]
    if evidence.roles.are_known:
        weigh_values(case, evidence)
    else:
        evidence.said.append("neither words nor values tell which of a BatchNorm's tensors is which")
    return Decisions(
        case.measured,
        case.separator,
        names=names,
        items=evidence.items,
        roles=evidence.roles,
        way=way,
        told_by=evidence.told_by,
        said=evidence.said,
        unconfirmed=_UNCONFIRMED[evidence.confirmed_by] if "names" in evidence.told_by.values() else "",
    )


def _likeliest_way(case: Case, evidence: Evidence) -> dict[str, str]:
    """Return the likeliest way to read a BatchNorm's tensors: that of the values, or else of a framework's order."""
    if evidence.roles.told_by == "values":
        return {roles[0]: key for key, roles in evidence.roles.possible.items()}
    ways = all_ways(evidence.roles.possible)
    keys = {tuple(item) for name in case.norms for item in evidence.items[name]}
    if len(keys) > 1:
        return ways[0]
    (ordered,) = keys

    def is_usual(way: dict[str, str]) -> bool:
        return is_framework_order(sorted(way, key=lambda tensor: ordered.index(way[tensor])))

    return next(filter(is_usual, ways), ways[0])


def _by_shapes(case: Case, said: list[str]) -> Decisions:
    """Return the candidates that shapes and signs leave for each tensor."""
    apart: dict[str, dict[str, list[str]]] = {}
    for layer in case.measured.layers:
        for tensor in layer.shapes:
            orders = case.measured.orders[layer.sort_of(tensor)]
            shapes = dict.fromkeys(stored_shape(layer.shapes[tensor], order) for order in orders)
            fitting = [name for wanted in shapes for name, shape in case.contents.tensors.items() if shape == wanted]
            if tensor == "running_var":
                fitting = [name for name in fitting if signs_of(case.contents, name).never_negative] or fitting
            apart.setdefault(layer.name, {})[tensor] = fitting
    _exclude(apart)
    said = [*said, "names, order and parents tell nothing: only shapes and signs are used"]
    return Decisions(case.measured, "", apart=apart, said=said)


def _exclude(apart: Mapping[str, dict[str, list[str]]]) -> None:
    """Remove names from all other tensors if a group of as many tensors can have only these names."""
    slots = {(layer, tensor): names for layer, tensors in apart.items() for tensor, names in tensors.items()}
    changed = True
    while changed:
        changed = False
        groups: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        for slot, names in slots.items():
            groups.setdefault(tuple(names), []).append(slot)
        for taken, members in groups.items():
            if len(taken) != len(members):
                continue
            for slot, names in slots.items():
                left = [name for name in names if name not in taken]
                if slot not in members and left and len(left) < len(names):
                    slots[slot] = left
                    changed = True
    for (layer, tensor), names in slots.items():
        apart[layer][tensor] = names


def _put_apart_first(decisions: Decisions) -> None:
    """Sort the candidates so that the first ones of all layers, or tensors, are different."""
    items: dict[Hashable, list[Hashable]] = {
        name: [frozenset(item.items()) for item in held] for name, held in decisions.items.items()
    }
    chosen = matching(items)
    for name, held in decisions.items.items():
        held.sort(key=lambda item, name=name: frozenset(item.items()) != chosen.get(name))  # type: ignore[misc]
    names: dict[Hashable, list[Hashable]] = {
        (layer, tensor): list(held) for layer, tensors in decisions.apart.items() for tensor, held in tensors.items()
    }
    chosen = matching(names)
    for layer, tensors in decisions.apart.items():
        for tensor, each in tensors.items():
            each.sort(key=lambda name, slot=(layer, tensor): name != chosen.get(slot))  # type: ignore[misc]


def _orders(decisions: Decisions, contents: Contents) -> dict[str, tuple[str, ...]]:
    """Return {sort of tensor: possible orders of axes} after all decisions; flattened kernels follow plain ones."""
    left = {sort: list(orders) for sort, orders in decisions.measured.orders.items()}
    for layer in decisions.measured.layers if decisions.items else ():
        for tensor, name in decisions.first(layer.name).items():
            sort, shape = layer.sort_of(tensor), contents.tensors[name]
            fitting = [order for order in left[sort] if stored_shape(layer.shapes[tensor], order) == shape]
            left[sort] = fitting or left[sort]
    for sort, like, beginnings in _FLATTENED:
        if len(left.get(sort, ())) > 1:
            wanted = beginnings[left[like][0].startswith("HW")]
            left[sort] = [order for order in left[sort] if order.startswith(wanted)] or left[sort]
            decisions.said.append(f"assumed: flattened kernels of experts have the others' order, {left[sort][0]}")
    return {
        sort: tuple(order or _IDENTITY.get(sort, "") if len(orders) > 1 else order for order in orders)
        for sort, orders in left.items()
    }
