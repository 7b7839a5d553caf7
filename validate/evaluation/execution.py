"""A network on a device: from pixels as they were prepared to logits."""

import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from effconvert.errors import LayoutMismatch, Unavailable
from effconvert.model.inference import for_inference, in_channels_last
from effconvert.model.network import EfficientNet
from effconvert.preprocessing.recipes import Recipe
from effconvert.validate.evaluation.computing import Computing

Logits = Callable[[Tensor], Tensor]


class Execution:
    """A network that gives logits; how many images go through it together falls when memory does not suffice.

    Raises LayoutMismatch for a network without a classifier.
    """

    def __init__(self, network: EfficientNet, recipe: Recipe, computing: Computing, at_once: int) -> None:
        if network.head is None or network.head.fc is None:
            raise LayoutMismatch("the network has no classifier: there is no accuracy to measure")
        self.computing, self.at_once, self.classes = computing, at_once, network.head.fc.out_features
        self.how = "eager"
        self._network = _prepared(network, recipe.size, computing)
        self._channels = recipe.channels
        self._mean, self._std = (  # in the network's order, as `preprocess` takes them
            torch.tensor(numbers, dtype=torch.float32, device=computing.device)[:, None, None]
            for numbers in (recipe.mean, recipe.std)
        )
        self._fixed: Logits | None = None  # what only takes `at_once` images
        self._begun = False

    def logits(self, pixels: Tensor) -> Tensor:
        """Return float32 [N, classes] for `pixels` [N, size, size, 3] on the device.

        A batch that is larger than the first is computed in parts. When memory does not suffice, half as many images
        are tried at once, from then on. Raises Unavailable when not even one fits.
        """
        if not self._begun:  # more than ever come would only be filled up
            self.at_once, self._begun = min(self.at_once, len(pixels)), True
        while True:
            try:
                return torch.cat([self._run(part) for part in torch.split(pixels, self.at_once)])
            except torch.OutOfMemoryError as error:
                if self.at_once == 1:
                    raise Unavailable(f"{self.computing.device}: not even one image fits into its memory") from error
            self.at_once //= 2
            self._fixed = None
            if self.computing.on_gpu:
                torch.cuda.empty_cache()

    def _run(self, pixels: Tensor) -> Tensor:
        """Compute the images, filled up to a full batch where only that is fast, without what filled it."""
        if not (self.computing.compiled or self.computing.on_gpu):
            return self._compute(pixels)
        count = len(pixels)
        filled = F.pad(pixels, (0, 0, 0, 0, 0, 0, 0, self.at_once - count)) if count < self.at_once else pixels
        if self._fixed is None:
            self._fixed = self._compiled(filled) if self.computing.compiled else self._captured(filled)
        return self._fixed(filled)[:count]

    def _compute(self, pixels: Tensor) -> Tensor:
        values = pixels.permute(0, 3, 1, 2)  # in memory, the channels stay last
        if self._channels == "bgr":
            values = values.flip(1)
        elif self._channels == "gray":
            values = values[:, :1]
        values = values.to(torch.float32, copy=True).sub_(self._mean).div_(self._std)
        maps = self._network.forward_features(values.to(getattr(torch, self.computing.dtype)))
        assert self._network.head is not None
        return self._network.head.classify(maps.float().mean((2, 3)))

    def _compiled(self, pixels: Tensor) -> Logits:
        mode = "max-autotune" if self.computing.on_gpu else None
        compiled: Logits = torch.compile(self._compute, mode=mode, dynamic=False)
        try:
            compiled(pixels)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # torch's compiler raises kinds of its own, as for want of a C++ compiler
            words = str(error).partition("\n")[0]
            raise Unavailable(f"--compile: torch cannot compile here, leave it out: {words}") from error
        self.how = "compiled"
        return (lambda batch: compiled(batch).clone()) if self.computing.on_gpu else compiled

    def _captured(self, pixels: Tensor) -> Logits:
        """Return the network as a CUDA graph, which starts its thousand kernels at once; eager where that fails."""
        try:
            given = pixels.clone()
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):  # as CUDA's documentation asks: libraries allocate on their first calls
                    self._compute(given)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                result = self._compute(given)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            warnings.warn(f"no CUDA graph, computed eagerly: {error}", stacklevel=2)
            return self._compute
        self.how = "CUDA graph"

        def replay(batch: Tensor) -> Tensor:
            given.copy_(batch)
            graph.replay()
            return result.clone()

        return replay


def _prepared(network: EfficientNet, size: int, computing: Computing) -> EfficientNet:
    """Return the network on the device, folded; its classifier stays in float32."""
    # cuDNN has kernels of its own for 3x3 and 5x5, which are faster than not copying to pad.
    fast = in_channels_last(for_inference(network, None if computing.on_gpu else size))
    fast = fast.to(computing.device, getattr(torch, computing.dtype))
    assert fast.head is not None
    assert fast.head.fc is not None
    assert network.head is not None
    assert network.head.fc is not None
    fast.head.fc.to(torch.float32).load_state_dict(network.head.fc.state_dict())
    return fast
