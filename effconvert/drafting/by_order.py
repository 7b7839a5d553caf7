"""Evidence from the order of a file, without its names: tensors in the order of the network's calls."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product

from effconvert.drafting.contents import Contents
from effconvert.drafting.fitting import embedding
from effconvert.drafting.network_layers import NORM, Layer
from effconvert.drafting.shapes import Measured
from effconvert.formats.checkpoint import Shape


@dataclass(frozen=True)
class ByOrder:
    """Evidence from order. tensors: {layer: {tensor: name in the file}}; for a BatchNorm, places instead of tensors."""

    tensors: Mapping[str, Mapping[str, str]]


def read_order(measured: Measured, contents: Contents) -> ByOrder | None:
    """Return the evidence from the order of a file; None if the file is sorted, or does not follow the network."""
    if not contents.is_ordered:
        return None
    names = list(contents.tensors)
    shapes = [contents.tensors[name] for name in names]
    for layers in _call_orders(measured.layers):
        for bias_first in product((False, True), (False, True)):
            if found := _read(measured, layers, bias_first, names, shapes):
                return found
    return None


def _read(
    measured: Measured,
    layers: Sequence[Layer],
    bias_first: tuple[bool, bool],
    names: Sequence[str],
    shapes: Sequence[Shape],
) -> ByOrder | None:
    """Return the tensors in order. bias_first: whether a bias comes before its weight, at the ends and in blocks."""
    tokens, wanted = [], []
    for layer in layers:
        for tensor, shape in _tensors(measured, layer, bias_first):
            tokens.append((layer.name, tensor))
            wanted.append(shape)
    places = embedding(wanted, shapes, lambda possible, shape: shape in possible)
    if places is None or places[0] != places[1]:
        return None
    found: dict[str, dict[str, str]] = {}
    for place, (layer_name, tensor) in enumerate(tokens):
        found.setdefault(layer_name, {})[tensor] = names[places[0][place]]
    at = {name: place for place, name in enumerate(names)}
    for layer in layers:  # a BatchNorm's four tensors follow each other
        held = [at[name] for name in found[layer.name].values()]
        if layer.is_norm and held[-1] - held[0] != len(NORM) - 1:
            return None
    return ByOrder(found)


def _tensors(measured: Measured, layer: Layer, bias_first: tuple[bool, bool]) -> list[tuple[str, set[Shape]]]:
    if layer.is_norm:
        return [(str(number), measured.shapes_of(layer, tensor)) for number, tensor in enumerate(NORM)]
    tensors = sorted(layer.shapes, reverse=not bias_first[layer.block is not None])
    return [(tensor, measured.shapes_of(layer, tensor)) for tensor in tensors]


def _call_orders(layers: Sequence[Layer]) -> Iterator[list[Layer]]:
    """Yield the layers in canonical order, and in an order with each block's routing before its convolutions."""
    yield list(layers)
    if any(layer.role == "routing" for layer in layers):
        first: list[Layer] = []
        for _, group in groupby(layers, key=lambda layer: layer.block):
            first += sorted(group, key=lambda layer: layer.role != "routing")
        yield first
