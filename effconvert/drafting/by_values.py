"""Evidence from values: which layers follow each other, by the means that a trained network recorded.

The network is walked from the stem to the head. The output of a BatchNorm and the convolution after it predict the mean
that the next BatchNorm recorded. Of the layers with the right shapes, the pair is taken that agrees far better than any
other. In an untrained file no pair agrees, and the values say nothing. Squeeze-and-excite records no mean.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from effconvert.architecture.variants import Block
from effconvert.drafting.contents import Contents
from effconvert.drafting.flow import Vector, activated, agreement, kernel_of, means_behind
from effconvert.drafting.network_layers import Layer
from effconvert.drafting.shapes import Measured

# In standard errors. Of a million unrelated pairs, the best reaches 5.
AGREES = 8.0
_LEAD = 4.0
_SMALL = 1_000_000  # values of a kernel that is read to tell a BatchNorm's tensors apart
_MOST_BYTES = 1 << 30  # size of the file: each kernel is read once for every place that it may have
Tensors = Mapping[str, str]  # {tensor of a layer: its name in the file}


@dataclass(frozen=True)
class Found:
    """The layer of a file that the values support: its index among the candidates, and how well it agrees."""

    place: int
    agreement: float


def read_values(
    measured: Measured, contents: Contents, candidates: Mapping[str, Sequence[Tensors]]
) -> dict[str, Found]:
    """Return {layer: the candidate that the values support}, for the layers with one such candidate."""
    if sum(np.prod(shape) for shape in contents.tensors.values()) * 4 > _MOST_BYTES:
        return {}
    walk = _Walk(measured, contents, candidates)
    walk.through()
    return walk.found


def agreements(measured: Measured, contents: Contents, chosen: Mapping[str, Tensors]) -> dict[str, float]:
    """Return {BatchNorm: how well its recorded mean agrees with the weights before it}, in standard errors."""
    walk = _Walk(measured, contents, {name: [tensors] for name, tensors in chosen.items()})
    walk.through()
    return walk.seen


def ways_to_read(
    measured: Measured, contents: Contents, chosen: Mapping[str, Tensors], ways: Sequence[Mapping[str, str]]
) -> list[float]:
    """Return how well the values agree with each way to read a BatchNorm's tensors, in standard errors.

    chosen: the tensors of each layer; those of a BatchNorm have any keys. ways: {canonical tensor: key}.
    """
    totals = np.zeros(len(ways))
    count = 0
    for before, conv, norm in _activated_pairs(measured.layers):
        if np.prod(conv.shapes["weight"]) > _SMALL:
            continue
        count += 1
        kernel = kernel_of(conv, contents.values(chosen[conv.name]["weight"]), measured.orders[conv.sort_of("weight")])
        for place, way in enumerate(ways):
            bias, weight = (contents.vector(chosen[before.name][way[tensor]]) for tensor in ("bias", "weight"))
            mean = activated(measured.facts.activation, bias, weight)
            recorded = contents.vector(chosen[norm.name][way["running_mean"]])
            totals[place] += agreement(means_behind(kernel, mean)[None], recorded[None])[0, 0]
    return list(totals / max(count, 1))


def all_ways(possible: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Return every possible {canonical tensor: key}, given {key: canonical tensors that it may be}."""
    keys = list(possible)
    tensors = sorted({tensor for allowed in possible.values() for tensor in allowed})
    return [
        dict(zip(order, keys, strict=True))
        for order in permutations(tensors)
        if all(tensor in possible[key] for tensor, key in zip(order, keys, strict=True))
    ]


def _activated_pairs(layers: Sequence[Layer]) -> Iterator[tuple[Layer, Layer, Layer]]:
    """Yield (BatchNorm, convolution, BatchNorm) if there is only an activation between the first two."""
    by_name = {layer.name: layer for layer in layers}
    before = by_name["stem.bn"]
    for _, units in _blocks(layers):
        for conv, norm in units:
            if before.role != "project.bn" and not (conv.role == "project.conv" and _has_gate(by_name, conv)):
                yield before, conv, norm
            before = norm


def _has_gate(by_name: Mapping[str, Layer], conv: Layer) -> bool:
    return conv.name.replace("project.conv", "se.reduce") in by_name


class _Walk:
    def __init__(self, measured: Measured, contents: Contents, candidates: Mapping[str, Sequence[Tensors]]) -> None:
        self.measured, self.contents = measured, contents
        self.all = candidates
        self.left = {name: list(range(len(items))) for name, items in candidates.items()}
        self.found: dict[str, Found] = {}
        self.seen: dict[str, float] = {}

    def through(self) -> None:
        """Walk from the stem to the head."""
        layers = {layer.name: layer for layer in self.measured.layers}
        before, signal = layers["stem.bn"], self._activated(layers["stem.bn"])
        for block, units in _blocks(self.measured.layers):
            entered = signal
            for conv, norm in units:
                if signal is None and before.role != "project.bn":
                    signal = self._anchored(before, conv, norm)
                self._unit(conv, norm, signal)
                before, signal = norm, self._activated(norm)
            if signal is not None:  # a block ends without an activation
                signal = self._bias_of(before)
            if block.residual and signal is not None:
                signal = None if entered is None else signal + entered
        if "head.conv" in layers:
            self._unit(layers["head.conv"], layers["head.bn"], signal)

    def _tensors(self, layer: Layer) -> Tensors | None:
        """Return the tensors of a layer if it is decided."""
        left = self.left[layer.name]
        if layer.name in self.found:
            return self.all[layer.name][self.found[layer.name].place]
        return self.all[layer.name][left[0]] if len(left) == 1 else None

    def _activated(self, norm: Layer) -> Vector | None:
        tensors = self._tensors(norm)
        return None if tensors is None else self._mean_behind(tensors)

    def _mean_behind(self, tensors: Tensors) -> Vector:
        bias, weight = (self.contents.vector(tensors[tensor]) for tensor in ("bias", "weight"))
        return activated(self.measured.facts.activation, bias, weight)

    def _bias_of(self, norm: Layer) -> Vector | None:
        tensors = self._tensors(norm)
        return None if tensors is None else self.contents.vector(tensors["bias"])

    def _anchored(self, before: Layer, conv: Layer, norm: Layer) -> Vector | None:
        """Decide the BatchNorm before a convolution that only one layer of the file can be; return its signal."""
        places = self.left[before.name]
        if len(self.left[conv.name]) > 1:
            return None
        entering = np.stack([self._mean_behind(self.all[before.name][place]) for place in places])
        scores = agreement(means_behind(self._kernels(conv)[0], entering), self._recorded(norm)).max(axis=1)
        row = int(np.argmax(scores))
        if scores[row] < AGREES or scores[row] - np.delete(scores, row).max(initial=0.0) < _LEAD:
            return None
        self._take(before, places[row], float(scores[row]))
        chosen: Vector = entering[row]
        return chosen

    def _unit(self, conv: Layer, norm: Layer, signal: Vector | None) -> None:
        """Decide a convolution and its BatchNorm by their input."""
        if signal is None:
            return
        kernels, norms = self.left[conv.name], self.left[norm.name]
        predicted = np.stack([means_behind(kernel, signal) for kernel in self._kernels(conv)])
        scores = agreement(predicted, self._recorded(norm))
        row, column = np.unravel_index(int(np.argmax(scores)), scores.shape)
        best = float(scores[row, column])
        self.seen[norm.name] = best
        others = np.delete(scores, row, axis=0), np.delete(scores, column, axis=1)
        if best < AGREES or any(best - other.max(initial=0.0) < _LEAD for other in others):
            return
        self._take(conv, kernels[row], best)
        self._take(norm, norms[column], best)

    def _kernels(self, conv: Layer) -> list[Vector]:
        orders = self.measured.orders[conv.sort_of("weight")]
        names = [self.all[conv.name][place]["weight"] for place in self.left[conv.name]]
        return [kernel_of(conv, self.contents.values(name), orders) for name in names]

    def _recorded(self, norm: Layer) -> Vector:
        names = [self.all[norm.name][place]["running_mean"] for place in self.left[norm.name]]
        return np.stack([self.contents.vector(name) for name in names])

    def _take(self, layer: Layer, place: int, best: float) -> None:
        taken = self.all[layer.name][place]
        self.found[layer.name] = Found(place, best)
        for name, items in self.all.items():
            if name != layer.name:
                self.left[name] = [other for other in self.left[name] if items[other] != taken] or self.left[name]


def _blocks(layers: Sequence[Layer]) -> Iterator[tuple[Block, list[tuple[Layer, Layer]]]]:
    """Yield each block with its convolutions and their BatchNorms."""
    by_block: dict[Block, dict[str, Layer]] = {}
    for layer in layers:
        if layer.block:
            by_block.setdefault(layer.block, {})[layer.role] = layer
    for block, roles in by_block.items():
        parts = [part for part in ("expand", "depthwise", "project") if f"{part}.conv" in roles]
        yield block, [(roles[f"{part}.conv"], roles[f"{part}.bn"]) for part in parts]
