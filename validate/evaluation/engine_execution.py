"""Execution of a network by an engine other than torch: from prepared pixels to logits."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effconvert.preprocessing.recipes import Recipe
from effconvert.validate.engines.runtimes import Engine, Values
from effconvert.validate.evaluation.computing import Computing


class EngineExecution:
    """A network in an engine; what `Execution` is for torch."""

    def __init__(self, engine: Engine, recipe: Recipe, classes: int, computing: Computing) -> None:
        self.computing, self.at_once, self.classes = computing, engine.at_once, classes
        self.how = f"{engine.name} {engine.version}"
        self._engine, self._recipe = engine, recipe

    def logits(self, pixels: Tensor) -> Tensor:
        """Return float32 [N, classes] for `pixels` [N, size, size, 3]."""
        images = pixels.numpy()
        found = self._engine.logits(len(images), lambda place: normalised(images[place], self._recipe))
        return torch.from_numpy(found)


def normalised(pixels: NDArray[np.generic], recipe: Recipe) -> Values:
    """Return the image [channels, size, size] of `pixels` [size, size, 3], with the bits that torch gives."""
    planes = pixels.transpose(2, 0, 1)
    if recipe.channels == "bgr":
        planes = planes[::-1]
    elif recipe.channels == "gray":
        planes = planes[:1]
    mean, std = (np.array(numbers, np.float32)[:, None, None] for numbers in (recipe.mean, recipe.std))
    image: Values = np.empty(planes.shape, np.float32)
    np.subtract(planes, mean, out=image, dtype=np.float32)
    image /= std
    return image
