"""What was decided, cut as a map has it: a layer's source and what stands behind it, or a tensor alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from effconvert.drafting.candidates import Item
from effconvert.drafting.contents import Contents
from effconvert.drafting.decision import Decisions
from effconvert.drafting.layers_of_file import layers_of
from effconvert.drafting.network_layers import Layer
from effconvert.drafting.shapes import stored_shape

Leaves = tuple[tuple[str, str, str], ...]  # (what stands behind the source, canonical tensor, order of axes)
Key = tuple[str, Leaves]  # what pieces of one row have in common: the layer's name in its part, and the leaves


@dataclass(frozen=True)
class Piece:
    """One layer of the network, or one tensor of it, as the file has it.

    leaves: as the file orders them. sources: the names that it may have; one where it is decided.
    """

    layer: Layer
    leaves: Leaves
    sources: tuple[str, ...]

    @property
    def key(self) -> Key:
        """What pieces of one row have in common."""
        return self.layer.role, self.leaves


def pieces_of(decisions: Decisions, contents: Contents) -> tuple[list[Piece], str]:
    """Return every piece in call order, and what stands between its source and what is behind.

    A layer whose tensors do not share a parent's name, alike in all blocks, becomes pieces of one tensor.
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
    """Return what layers have in common that a library calls alike: where they stand and what they hold."""
    return layer.part, layer.role, *(layer.sort_of(tensor) for tensor in layer.shapes)


def _cut_everywhere(layers: Sequence[Layer], whole: Mapping[str, Piece | None]) -> set[tuple[str, ...]]:
    """Return the layers, over all blocks, that are not alike in each."""
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
        """Return a layer as one piece; None where its tensors do not share a parent's name."""
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
        """Return what stands behind the parent's name of each tensor."""
        return {tensor: self.owners[name][1] for tensor, name in item.items()}

    def _orders_in_file(self) -> dict[frozenset[tuple[str, str]], tuple[str, ...]]:
        """Return the order of tensors that layers of one kind have in the file, the canonical one where it differs."""
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
        """Return the order of axes that the tensor `name` has, the first that fits its shape."""
        orders = self.decisions.orders[layer.sort_of(tensor)]
        shape = self.contents.tensors[name]
        fitting = (order for order in orders if stored_shape(layer.shapes[tensor], order) == shape)
        return orders[0] if self.decisions.apart else next(fitting)
