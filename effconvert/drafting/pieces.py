"""Decisions cut into pieces for the rows of a map: a whole layer, or a single tensor."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from effconvert.drafting.candidates import Item
from effconvert.drafting.contents import Contents
from effconvert.drafting.decision import Decisions
from effconvert.drafting.layers_of_file import layers_of
from effconvert.drafting.network_layers import Layer
from effconvert.drafting.shapes import stored_shape

Leaves = tuple[tuple[str, str, str], ...]  # (text after the source, canonical tensor, order of axes)
Key = tuple[str, Leaves]  # common to all pieces of a row: the layer's name in its part, and the leaves


@dataclass(frozen=True)
class Piece:
    """One layer of the network, or one of its tensors, as the file has it.

    leaves: in the order of the file. sources: its possible names; one if it is decided.
    """

    layer: Layer
    leaves: Leaves
    sources: tuple[str, ...]

    @property
    def key(self) -> Key:
        """The key, which is the same for all pieces of a row."""
        return self.layer.role, self.leaves


def pieces_of(decisions: Decisions, contents: Contents) -> tuple[list[Piece], str]:
    """Return every piece in call order, and the separator between a source and the names of its tensors.

    If the tensors of a layer do not share a parent's name in every block, the layer becomes one piece per tensor.
    """
    cutter = _Cutter(decisions, contents)
    layers = decisions.measured.layers
    whole = {layer.name: cutter.whole(layer) for layer in layers}
    cut = _cut_everywhere(layers, whole)
    pieces: list[Piece] = []
    for layer in layers:
        piece = whole[layer.name]
        if piece is None or _like(layer) in cut:
            pieces += cutter.tensors(layer)
        elif cut:
            leaves = tuple((decisions.separator + leaf, tensor, order) for leaf, tensor, order in piece.leaves)
            pieces.append(Piece(layer, leaves, piece.sources))
        else:
            pieces.append(piece)
    return pieces, "" if cut else decisions.separator


def _like(layer: Layer) -> tuple[str, ...]:
    """Return a key that is equal for layers with the same name in a library: their place and their content."""
    return layer.part, layer.role, *(layer.sort_of(tensor) for tensor in layer.shapes)


def _cut_everywhere(layers: Sequence[Layer], whole: Mapping[str, Piece | None]) -> set[tuple[str, ...]]:
    """Return the keys of the layers that are not the same in all blocks."""
    leaves: dict[tuple[str, ...], set[Leaves | None]] = {}
    for layer in layers:
        piece = whole[layer.name]
        leaves.setdefault(_like(layer), set()).add(piece.leaves if piece else None)
    return {like for like, found in leaves.items() if len(found) > 1 or None in found}


class _Cutter:
    def __init__(self, decisions: Decisions, contents: Contents) -> None:
        self.decisions, self.contents = decisions, contents
        self.owners = {
            layer.full(tensor): (layer.name, tensor)
            for layer in layers_of(contents.tensors, decisions.separator)
            for tensor in layer.tensors
        }
        self.places = {name: place for place, name in enumerate(contents.tensors)}
        self.in_file = self._orders_in_file()

    def whole(self, layer: Layer) -> Piece | None:
        """Return a layer as one piece; None if its tensors do not share a parent's name."""
        items = self.decisions.items.get(layer.name, [])
        parents = [{self.owners[name][0] for name in item.values()} for item in items]
        behind = [self._behind(item) for item in items]
        if not items or any(len(each) > 1 for each in parents) or any(each != behind[0] for each in behind):
            return None
        order = self.in_file[frozenset(behind[0].items())]
        leaves = tuple((behind[0][tensor], tensor, self._axes(layer, tensor, items[0][tensor])) for tensor in order)
        return Piece(layer, leaves, tuple(dict.fromkeys(parent for each in parents for parent in each)))

    def tensors(self, layer: Layer) -> Iterator[Piece]:
        """Yield each tensor of a layer as a piece."""
        for tensor, first in self.decisions.first(layer.name).items():
            if layer.name in self.decisions.apart:
                names = tuple(self.decisions.apart[layer.name][tensor])
            else:
                names = tuple(dict.fromkeys(item[tensor] for item in self.decisions.items[layer.name]))
            yield Piece(layer, (("", tensor, self._axes(layer, tensor, first)),), names)

    def _behind(self, item: Item) -> dict[str, str]:
        """Return {tensor: the rest of its name after the parent's}."""
        return {tensor: self.owners[name][1] for tensor, name in item.items()}

    def _orders_in_file(self) -> dict[frozenset[tuple[str, str]], tuple[str, ...]]:
        """Return the order of tensors in the layers of each kind; the canonical order if layers differ."""
        found: dict[frozenset[tuple[str, str]], set[tuple[str, ...]]] = {}
        canonical = {}
        for layer in self.decisions.measured.layers:
            for item in self.decisions.items.get(layer.name, [])[:1]:
                kind = frozenset(self._behind(item).items())
                ordered = sorted(item, key=lambda tensor, item=item: self.places[item[tensor]])  # type: ignore[misc]
                found.setdefault(kind, set()).add(tuple(ordered))
                canonical[kind] = tuple(layer.shapes)
        return {kind: orders.pop() if len(orders) == 1 else canonical[kind] for kind, orders in found.items()}

    def _axes(self, layer: Layer, tensor: str, name: str) -> str:
        """Return the order of axes of the tensor `name`: the first that fits its shape."""
        orders = self.decisions.orders[layer.sort_of(tensor)]
        shape = self.contents.tensors[name]
        fitting = (order for order in orders if stored_shape(layer.shapes[tensor], order) == shape)
        return orders[0] if self.decisions.apart else next(fitting)
