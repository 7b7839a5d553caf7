"""The layers of a file as candidates for the layers of a network, and how sure each is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from effconvert.drafting.contents import Contents
from effconvert.drafting.fitting import fits
from effconvert.drafting.layers_of_file import FileLayer, layers_of, separator_of
from effconvert.drafting.network_layers import Layer
from effconvert.drafting.roles import Roles
from effconvert.drafting.shapes import Measured

Item = dict[str, str]  # {tensor of a layer: its name in the file}; of a BatchNorm, before it is read, by its own key
Items = dict[str, list[Item]]  # {layer of the network: its candidates}


@dataclass(frozen=True)
class Case:
    """A file that may hold a network: what its shapes tell, and what is in it."""

    measured: Measured
    contents: Contents

    @cached_property
    def separator(self) -> str:
        """What stands between a layer and its tensors."""
        return separator_of(self.contents.tensors)

    @cached_property
    def found(self) -> list[FileLayer]:
        """The layers of the file."""
        return layers_of(self.contents.tensors, self.separator)

    @cached_property
    def norms(self) -> list[str]:
        """The names of the network's BatchNorms."""
        return [layer.name for layer in self.measured.layers if layer.is_norm]

    def items(self, candidates: Mapping[str, Sequence[FileLayer]]) -> Items:
        """Return candidates by their tensors."""
        return {
            layer.name: [item_of(layer, found) for found in candidates[layer.name]] for layer in self.measured.layers
        }

    def by_shapes(self) -> Mapping[str, list[FileLayer]]:
        """Return {layer: the layers of the file that have its shapes}."""
        return {
            layer.name: [found for found in self.found if fits(self.measured, layer, found)]
            for layer in self.measured.layers
        }

    def everywhere(self, items: Items) -> Items:
        """Return, for each layer, every candidate of any layer that has its shapes."""
        by_shape: dict[tuple[object, ...], Items] = {}
        for held in items.values():
            for item in held:
                by_shape.setdefault(self._shapes(item), {})[str(sorted(item.items()))] = [item]
        return {
            name: [item for one in by_shape[self._shapes(held[0])].values() for item in one]
            for name, held in items.items()
        }

    def _shapes(self, item: Item) -> tuple[object, ...]:
        return tuple(sorted((tensor, self.contents.tensors[name]) for tensor, name in item.items()))


@dataclass
class Evidence:
    """What is known of every layer so far.

    roles: what a BatchNorm's tensors are. told_by: {layer: the witness, "shapes" where none told it}. said: sentences
    for a reader. confirmed: whether a second witness says what the first one says.
    """

    items: Items
    roles: Roles
    told_by: dict[str, str]
    said: list[str] = field(default_factory=list)
    confirmed: bool = False


def item_of(layer: Layer, found: FileLayer) -> Item:
    """Return the tensors of a layer of the file by canonical names; a BatchNorm's by their own."""
    if layer.is_norm:
        return {tensor: found.full(tensor) for tensor in found.tensors}
    item = {"weight": found.full(found.kernels[0])}
    return item | ({"bias": found.full(found.vectors[0])} if "bias" in layer.shapes else {})
