"""The converted network beside the reference's outputs, run as it is and with changes.

It finds the layers that differ from the same input, and tells what a change of weights or facts leaves of a difference.
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
# ImageNet's classes in EdgeTPU's weights, where class 0 is the background, and in a file that properly lacks it.
WITH_AND_WITHOUT_BACKGROUND = (1001, 1000)


@dataclass(frozen=True)
class Change:
    """A change of the converted network. words: what a user has to do; where: the layers that it touches.

    facts, tensors: what is replaced. logits: those of the reference that are meant, where it is not all or the usual.
    """

    words: str
    where: str = ""
    facts: Facts | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    logits: slice | None = None


class Mismatch:
    """The reference's layers beside the network that should give the same.

    layers: what the network gives, unchanged. Arguments as of `explain`.
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
    def fed(self) -> dict[str, Array]:
        """What each layer gives for the input that it had in the reference."""
        return capture(self._network(), self.images, self._entering)

    @property
    def guilty(self) -> list[str]:
        """The layers that differ though they get the reference's input, pooling and the classifier left out."""
        return [
            layer
            for layer in layer_modules(self._network())
            if layer in self.reference and self._apart(layer, self.fed[layer]) > self.tolerance.fed
        ]

    def largest(self, layers: Tensors, logits: slice | None = None) -> float:
        """Return the largest relative difference of `layers` from the reference, infinite where one has no number."""
        return max(
            (self._apart(layer, layers[layer], logits) for layer in layers if layer in self.reference), default=0
        )

    def passes(self, layers: Tensors, change: Change | None = None) -> bool:
        """Return whether all is within its tolerance; `layers` is what the network gives, with `change` if any."""
        logits = change.logits if change else None
        if self.largest(layers, logits) > self.tolerance.accumulated:
            return False
        fed = capture(self._network(change), self.images, self._entering) if change else self.fed
        return self.largest(fed, logits) <= self.tolerance.fed

    def tried(self, change: Change) -> tuple[float, bool, bool]:
        """Return the difference that `change` leaves, whether it vanishes, and whether the change had any effect."""
        layers = capture(self._network(change), self.images)
        effect = change.logits is not None or any(
            not np.array_equal(layers[name], array, equal_nan=True) for name, array in self.layers.items()
        )
        return self.largest(layers, change.logits), effect and self.passes(layers, change), effect

    def left_in(self, layer: str, tensors: Mapping[str, Tensor]) -> float:
        """Return how far `layer` is from the reference, from the same input, with `tensors` replaced."""
        own = {
            name.removeprefix(f"{layer}."): tensor
            for name, tensor in (self.tensors | dict(tensors)).items()
            if name.startswith(f"{layer}.")
        }
        arriving = torch.as_tensor(self._entering[layer]) if layer in self._entering else self.images
        module = layer_modules(self._built[self.facts])[layer]
        with torch.no_grad():
            leaving = torch.func.functional_call(module, own, (arriving,))
        return self._apart(layer, leaving.numpy())

    @cached_property
    def _entering(self) -> dict[str, Array]:
        return {name: self.reference[before] for before, name in pairwise(self.layers) if before in self.reference}

    def _network(self, change: Change | None = None) -> EfficientNet:
        """Return the network with `change`, until the next call: networks of the same facts are one."""
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
