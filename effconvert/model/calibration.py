"""Test networks with calibrated random weights: their logits depend on the image.

With plain random weights they do not: the activation and the gates halve the signal in every block, and a comparison
of logits finds errors in the last layers only. Real statistics of a batch in every BatchNorm keep the signal.
"""

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from effconvert.architecture.variants import blocks
from effconvert.model.network import EfficientNet
from effconvert.preprocessing import synthetic

_GAIN = 1.4  # compensates the loss in an activation
# Without these two, deep networks are chaotic: signals of images outside the calibration batch grow from block to
# block, and the result in float32 differs by 60 % from that in float64 (b7 at 96 pixels; with them 2e-6).
_RESIDUAL_GAIN = 0.25
_GATE_GAIN = 0.4


def random_weights(network: EfficientNet, seed: int = 0) -> EfficientNet:
    """Fill every tensor of `network` with random values, in place, and return it.

    Values depend only on the tensor's name, its shape and `seed`. Kernels keep the size of a signal. BatchNorm's
    weights are spread around one, or around a quarter at the end of a residual block, where trained ones are small.
    Gates and routing differ between channels. The moving statistics become zero and one: `calibrate` sets them.
    """
    quiet = {f"blocks.{block.index}.project.bn.weight" for block in blocks(network.variant) if block.residual}
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            gain = _RESIDUAL_GAIN if name in quiet else 1.0
            tensor.copy_(torch.from_numpy(_value(name, tuple(tensor.shape), seed)) * gain)
    return network


def calibrate(network: EfficientNet, images: Tensor, *, seed: int = 0) -> EfficientNet:
    """Set the moving statistics of every BatchNorm of `network`, in place, and return it in the mode it was in.

    images: [N, C, H, W], normalised; eight or more different ones, or the network fits only these and exaggerates
    others. One pass in eval mode: before a BatchNorm is applied, it gets the mean and the variance of its input,
    perturbed per channel (mean + 0.1 std N(0, 1), variance times 0.5 to 1.5).
    """
    generator = torch.Generator().manual_seed(seed)

    def set_statistics(bn: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(bn, nn.BatchNorm2d)
        assert bn.running_mean is not None
        assert bn.running_var is not None
        variance, mean = torch.var_mean(inputs[0].double(), dim=(0, 2, 3), correction=0)
        normal = torch.randn(mean.shape, generator=generator, dtype=torch.float64).to(mean.device)
        uniform = torch.rand(mean.shape, generator=generator, dtype=torch.float64).to(mean.device)
        bn.running_mean.copy_(mean + 0.1 * variance.sqrt() * normal)
        bn.running_var.copy_(variance * (0.5 + uniform))

    with torch.no_grad(), _eval_mode(network):
        layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        hooks = [layer.register_forward_pre_hook(set_statistics) for layer in layers]
        try:
            network(images)
        finally:
            for hook in hooks:
                hook.remove()
    return network


def sensitivity(logits: Tensor) -> float:
    """Return how much `logits` [N, classes] depend on the image, 0 to 1; see `effconvert.preprocessing.synthetic`."""
    return synthetic.sensitivity(logits.detach().cpu().double().numpy())


def synthetic_images(count: int, height: int, width: int, seed: int = 0, channels: int = 3) -> Tensor:
    """Return `count` images float32 [N, channels, height, width]; see `effconvert.preprocessing.synthetic`."""
    return torch.from_numpy(synthetic.synthetic_images(count, height, width, seed, channels))


def _value(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    random = np.random.RandomState([seed, zlib.crc32(name.encode())])
    *_, layer, tensor = name.split(".")
    if tensor in ("running_mean", "running_var"):
        return np.full(shape, float(tensor == "running_var"), np.float32)
    if layer == "bn" and tensor == "weight":
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    return (random.normal(0, 1, shape) * _scale(name, shape)).astype(np.float32)


def _scale(name: str, shape: tuple[int, ...]) -> float:
    gates = ".se." in name or ".routing." in name
    if name.endswith(".bias"):
        return 0.5 if gates else 0.1
    gain = _GATE_GAIN if gates else 1.0 if name == "head.fc.weight" else _GAIN
    if len(shape) == 5:  # a mixture of experts is a sum with weights of about a third
        return gain / math.sqrt(math.prod(shape[2:]) * shape[0] * 0.3)
    return gain / math.sqrt(math.prod(shape[1:]))


@contextmanager
def _eval_mode(network: nn.Module) -> Iterator[None]:
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
