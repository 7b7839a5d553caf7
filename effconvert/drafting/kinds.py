"""The tables [kinds] and [axes] of a drafted map, made from the tensors of its rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from effconvert.drafting.pieces import Leaves
from effconvert.drafting.rows import Row, Words

_AXES_NAMES = {
    "OIHW": "conv", "CMHW": "depthwise", "C1HW": "depthwise", "OI": "dense", "OI11": "squeeze", "C": "vector",
    "EOIHW": "experts", "ECMHW": "depthwise_experts",
}  # fmt: skip


@dataclass
class Kinds:
    """The kinds of the rows.

    roles: {canonical tensor that a BatchNorm's tensor is read as: all candidates}, for the open ones. counters: what a
    BatchNorm holds beside its tensors. orders: {order of axes: all candidates}, for the open ones. axes: {name of axes:
    their order}. kinds: {kind: {text after the source: canonical tensor and axes}}.
    """

    roles: Mapping[str, Sequence[str]]
    counters: Sequence[str]
    orders: Mapping[str, tuple[str, ...]]
    axes: dict[str, Words] = field(default_factory=dict)
    kinds: dict[str, dict[str, Words]] = field(default_factory=dict)
    _names: dict[tuple[Leaves, bool], str] = field(default_factory=dict)
    _axes_names: dict[str, str] = field(default_factory=dict)

    def kind_of(self, row: Row) -> str:
        """Return the kind of a row, a new one if no kind has the same content."""
        is_norm = row.layer.endswith("bn")
        key = (row.leaves, is_norm)
        if key not in self._names:
            name = _free(_kind_name(row.leaves, is_norm), self.kinds)
            self._names[key] = name
            self.kinds[name] = self._slots(row.leaves, is_norm)
        return self._names[key]

    def _slots(self, leaves: Leaves, is_norm: bool) -> dict[str, Words]:
        slots: dict[str, Words] = {}
        for leaf, tensor, order in leaves:
            axes = f" : {self._axes_of(order)}" if order else ""
            inner, dot, last = tensor.rpartition(".")
            if last in self.roles and (is_norm or inner.endswith("bn")):
                slots[leaf] = tuple(f"{inner}{dot}{role}{axes}" for role in self.roles[last])
            else:
                slots[leaf] = tensor + axes
            if last == "running_var" and len(leaves) > 1:
                behind = re.sub(r"[^./:]*$", "", leaf)
                slots |= {f"{behind}{counter}": f"= {counter}" for counter in self.counters}
        return slots

    def _axes_of(self, order: str) -> str:
        if order not in self._axes_names:
            name = _free(_AXES_NAMES[order.partition(" -> ")[2]], self.axes)
            self._axes_names[order] = name
            self.axes[name] = self.orders.get(order, order)
        return self._axes_names[order]


def _kind_name(leaves: Leaves, is_norm: bool) -> str:
    parts = {tensor.partition(".")[0] for _, tensor, _ in leaves if "." in tensor}
    tensors = {tensor for _, tensor, _ in leaves}
    targets = {order.partition(" -> ")[2] for _, _, order in leaves}
    if not leaves:
        return "unused"
    if "bn" in parts:
        return "convbn"
    if parts:
        return "se"
    if len(leaves) == 1 and not re.search(r"\w", leaves[0][0]):  # a tensor with its full name in the row
        return f"bn_{leaves[0][1]}" if is_norm else leaves[0][1]
    if is_norm:
        return "bn"
    if targets & {"EOIHW", "ECMHW"}:
        return "experts" if "EOIHW" in targets else "depthwise_experts"
    if targets & {"CMHW", "C1HW"}:
        return "depthwise"
    if tensors == {"weight"}:
        return "conv"
    return "dense" if "OI" in targets else "biased"


def _free(wish: str, taken: Mapping[str, object]) -> str:
    """Return `wish`, with a number if it is taken."""
    name, number = wish, 2
    while name in taken:
        name, number = f"{wish}_{number}", number + 1
    return name
