"""The layers of a file as candidates for the layers of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from effconvert.drafting.contents import Contents
from effconvert.drafting.fitting import fits
from effconvert.drafting.layers_of_file import FileLayer, layers_of, separator_of
from effconvert.drafting.network_layers import Layer
from effconvert.drafting.roles import Roles
from effconvert.drafting.shapes import Measured

Item = dict[str, str]  # {tensor of a layer: its name in the file}; the keys of a BatchNorm are the file's at first
Items = dict[str, list[Item]]  # {layer of the network: its candidates}


@dataclass(frozen=True)
class Case:
    """A file that may hold a network: its contents, and the evidence from its shapes."""

    measured: Measured
    contents: Contents

    @cached_property
    def separator(self) -> str:
        """The text between the name of a layer and those of its tensors."""
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
        """Return the candidates as tensors."""
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
        """Return for each layer every candidate of any layer with the same shapes."""
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
    """The evidence so far for every layer.

    roles: which of a BatchNorm's tensors is which. told_by: {layer: the witness, "shapes" if there was none}. said:
    sentences for people. confirmed_by: the second witness that agrees with the first
    one, `order` or `values`; "" if there is none.
    """

    items: Items
    roles: Roles
    told_by: dict[str, str]
    said: list[str] = field(default_factory=list)
    confirmed_by: str = ""


def item_of(layer: Layer, found: FileLayer) -> Item:
    """Return the tensors of a layer of the file by canonical names; for a BatchNorm by the file's names."""
    if layer.is_norm:
        return {tensor: found.full(tensor) for tensor in found.tensors}
    item = {"weight": found.full(found.kernels[0])}
    return item | ({"bias": found.full(found.vectors[0])} if "bias" in layer.shapes else {})
