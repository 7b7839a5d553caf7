"""Mismatch between the converted network and the reference's outputs, as it is and with changes.

It finds the layers that diverge for the same input, and measures how much of a difference remains after a change of
weights or facts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Variant
from effconvert.formats import Array
from effconvert.model.capture import capture, layer_modules
from effconvert.model.network import EfficientNet
from effconvert.verification.comparison import Tolerance, relative_difference

Tensors = Mapping[str, NDArray[Any]]
# ImageNet's classes in EdgeTPU's weights, where class 0 is the background, and in a file without that class.
WITH_AND_WITHOUT_BACKGROUND = (1001, 1000)


@dataclass(frozen=True)
class Change:
    """A change of the converted network. words: what a user has to do; where: the changed layers.

    facts, tensors: the replacements. logits: the part of the reference's logits to compare with, if not the usual one.
    options: those that are to be different when the source is converted again; None if that does not help.
    """

    words: str
    where: str = ""
    facts: Facts | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    logits: slice | None = None
    options: Mapping[str, Any] | None = None


class Mismatch:
    """The reference's layers, and the network that should give the same.

    layers: the network's outputs without a change. The arguments are those of `explain`.
    """

    def __init__(
        self,
        reference: Tensors,
        images: NDArray[np.float32],
        tensors: Tensors,
        variant: Variant,
        facts: Facts,
        sets: Mapping[str, Tensors],
        tolerance: Tolerance,
    ) -> None:
        self.reference, self.variant, self.facts, self.sets = reference, variant, facts, sets
        self.tolerance = tolerance
        self.images = torch.from_numpy(np.array(images, np.float32))
        self.tensors = {name: torch.from_numpy(np.array(array, np.float32)) for name, array in tensors.items()}
        self._built: dict[Facts, EfficientNet] = {}
        self.layers = capture(self._network(), self.images)

    @cached_property
    def isolated(self) -> dict[str, Array]:
        """The output of each layer for its input in the reference."""
        return capture(self._network(), self.images, self._inputs)

    @property
    def diverging_layers(self) -> list[str]:
        """The layers that differ with the reference's input, without pooling and classifier."""
        return [
            layer
            for layer in layer_modules(self._network())
            if layer in self.reference and self._apart(layer, self.isolated[layer]) > self.tolerance.isolated
        ]

    def largest(self, layers: Tensors, logits: slice | None = None) -> float:
        """Return the largest relative difference of `layers` from the reference, infinity instead of NaN."""
        return max(
            (self._apart(layer, layers[layer], logits) for layer in layers if layer in self.reference), default=0
        )

    def passes(self, layers: Tensors, change: Change | None = None) -> bool:
        """Return whether everything is within its tolerance; `layers` are the network's outputs, with any `change`."""
        logits = change.logits if change else None
        if self.largest(layers, logits) > self.tolerance.end_to_end:
            return False
        isolated = capture(self._network(change), self.images, self._inputs) if change else self.isolated
        return self.largest(isolated, logits) <= self.tolerance.isolated

    def tried(self, change: Change) -> tuple[float, bool, bool]:
        """Return the difference that remains after `change`, whether it vanishes, and whether anything changed."""
        layers = capture(self._network(change), self.images)
        effect = change.logits is not None or any(
            not np.array_equal(layers[name], array, equal_nan=True) for name, array in self.layers.items()
        )
        return self.largest(layers, change.logits), effect and self.passes(layers, change), effect

    def left_in(self, layer: str, tensors: Mapping[str, Tensor]) -> float:
        """Return the difference of `layer` from the reference, for the same input, with `tensors` replaced."""
        own = {
            name.removeprefix(f"{layer}."): tensor
            for name, tensor in (self.tensors | dict(tensors)).items()
            if name.startswith(f"{layer}.")
        }
        inputs = torch.as_tensor(self._inputs[layer]) if layer in self._inputs else self.images
        module = layer_modules(self._built[self.facts])[layer]
        with torch.no_grad():
            outputs = torch.func.functional_call(module, own, (inputs,))
        return self._apart(layer, outputs.numpy())

    @cached_property
    def _inputs(self) -> dict[str, Array]:
        return {name: self.reference[before] for before, name in pairwise(self.layers) if before in self.reference}

    def _network(self, change: Change | None = None) -> EfficientNet:
        """Return the network with `change`, valid until the next call: networks with the same facts are one object."""
        facts = (change and change.facts) or self.facts
        if facts not in self._built:
            with torch.device("meta"):
                self._built[facts] = EfficientNet(self.variant, facts).eval()
        self._built[facts].load_state_dict(self.tensors | dict(change.tensors if change else {}), assign=True)
        return self._built[facts]

    def _apart(self, layer: str, found: Array, logits: slice | None = None) -> float:
        expected = self.reference[layer]
        if layer == "logits" and (logits or (expected.shape[1], found.shape[1]) == WITH_AND_WITHOUT_BACKGROUND):
            expected = expected[:, logits or slice(1, None)]
        apart = relative_difference(found, expected)
        return math.inf if math.isnan(apart) else apart
