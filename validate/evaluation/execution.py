"""Execution of a network on a device: from prepared pixels to logits."""

import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from effconvert.errors import LayoutMismatch, Unavailable
from effconvert.model.inference import for_inference, in_channels_last
from effconvert.model.network import EfficientNet
from effconvert.option_words import flag
from effconvert.preprocessing.recipes import Recipe
from effconvert.validate.evaluation.computing import Computing

Logits = Callable[[Tensor], Tensor]


class Execution:
    """A network on a device; it halves the number of images at once when memory is too small.

    Raises LayoutMismatch for a network without a classifier.
    """

    def __init__(self, network: EfficientNet, recipe: Recipe, computing: Computing, at_once: int) -> None:
        if network.head is None or network.head.fc is None:
            raise LayoutMismatch("the network has no classifier, so there is no accuracy to measure")
        self.computing, self.at_once, self.classes = computing, at_once, network.head.fc.out_features
        self.how = "eager"
        self._network = _prepared(network, recipe.size, computing)
        self._channels = recipe.channels
        self._mean, self._std = (  # in the network's channel order, as in `preprocess`
            torch.tensor(numbers, dtype=torch.float32, device=computing.device)[:, None, None]
            for numbers in (recipe.mean, recipe.std)
        )
        self._fixed: Logits | None = None  # takes exactly `at_once` images
        self._begun = False

    def logits(self, pixels: Tensor) -> Tensor:
        """Return float32 [N, classes] for `pixels` [N, size, size, 3] on the device.

        A batch that is larger than the first is computed in parts. When memory is too small, the parts are halved from
        then on. Raises Unavailable when memory is too small for one image.
        """
        if not self._begun:  # the first batch is the largest; more would only be padding
            self.at_once, self._begun = min(self.at_once, len(pixels)), True
        while True:
            try:
                return torch.cat([self._run(part) for part in torch.split(pixels, self.at_once)])
            except torch.OutOfMemoryError as error:
                if self.at_once == 1:
                    raise Unavailable(f"{self.computing.device}: memory is too small for even one image") from error
            self.at_once //= 2
            self._fixed = None
            if self.computing.on_gpu:
                torch.cuda.empty_cache()

    def _run(self, pixels: Tensor) -> Tensor:
        """Return the logits; on a GPU or compiled, images are padded to a full batch."""
        if not (self.computing.compiled or self.computing.on_gpu):
            return self._compute(pixels)
        count = len(pixels)
        filled = F.pad(pixels, (0, 0, 0, 0, 0, 0, 0, self.at_once - count)) if count < self.at_once else pixels
        if self._fixed is None:
            self._fixed = self._compiled(filled) if self.computing.compiled else self._captured(filled)
        return self._fixed(filled)[:count]

    def _compute(self, pixels: Tensor) -> Tensor:
        values = pixels.permute(0, 3, 1, 2)  # channels-last in memory
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
        except Exception as error:  # torch's compiler raises many kinds, e.g. without a C++ compiler
            words = str(error).partition("\n")[0]
            raise Unavailable(f"{flag('compile')}: torch cannot compile here; omit it: {words}") from error
        self.how = "compiled"
        return (lambda batch: compiled(batch).clone()) if self.computing.on_gpu else compiled

    def _captured(self, pixels: Tensor) -> Logits:
        """Return the network as a CUDA graph, which launches all kernels at once; eager if that fails."""
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
            warnings.warn(f"CUDA graph failed, so the network runs eagerly: {error}", stacklevel=2)
            return self._compute
        self.how = "CUDA graph"

        def replay(batch: Tensor) -> Tensor:
            given.copy_(batch)
            graph.replay()
            return result.clone()

        return replay


def _prepared(network: EfficientNet, size: int, computing: Computing) -> EfficientNet:
    """Return the network on the device, with folded BatchNorm; its classifier stays in float32."""
    # On a GPU padding stays separate: cuDNN's kernels for 3x3 and 5x5 gain more than the padding copy costs.
    fast = in_channels_last(for_inference(network, None if computing.on_gpu else size))
    fast = fast.to(computing.device, getattr(torch, computing.dtype))
    assert fast.head is not None
    assert fast.head.fc is not None
    assert network.head is not None
    assert network.head.fc is not None
    fast.head.fc.to(torch.float32).load_state_dict(network.head.fc.state_dict())
    return fast
