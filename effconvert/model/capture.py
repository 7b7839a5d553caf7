"""Capture of layer outputs of the canonical network, end to end or from another network's inputs."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from effconvert.formats import Array
from effconvert.model.network import EfficientNet


def layer_modules(network: EfficientNet) -> dict[str, nn.Module]:
    """Return the layers that are modules, in order: "stem", "blocks.0", …, "head"."""
    modules: dict[str, nn.Module] = {"stem": network.stem}
    modules |= {f"blocks.{index}": block for index, block in enumerate(network.blocks)}
    return modules | ({} if network.head is None else {"head": network.head})


def capture(
    network: EfficientNet, images: Tensor, feed: Mapping[str, Tensor | Array] = MappingProxyType({})
) -> dict[str, Array]:
    """Return {"stem", "blocks.0", …, "head": [N, C, H, W]; "pooled", "logits": [N, C]} of `network` in eval mode.

    images: [N, C, H, W], normalised. feed: {layer: the input that replaces its own}. The arrays are float32, or float64
    for a network in float64. "head", "pooled" and "logits" are missing if the network does not have them.
    """
    layers: dict[str, Array] = {}
    weights = network.stem.conv.weight

    def given(name: str, arriving: Tensor) -> Tensor:
        return torch.as_tensor(feed[name]).to(weights) if name in feed else arriving

    def watch(name: str, module: nn.Module) -> list[torch.utils.hooks.RemovableHandle]:
        def before(_module: nn.Module, arriving: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (given(name, arriving[0]), *arriving[1:])

        def after(_module: nn.Module, _arriving: tuple[Tensor, ...], output: Tensor) -> None:
            layers[name] = _as_array(output)

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    hooks = [hook for name, module in layer_modules(network).items() for hook in watch(name, module)]
    try:
        with torch.no_grad():
            features = network.forward_features(images)
            if network.head is not None:
                pooled = given("pooled", features).mean((2, 3))
                layers["pooled"] = _as_array(pooled)
                if network.head.fc is not None:
                    layers["logits"] = _as_array(network.head.classify(given("logits", pooled)))
    finally:
        for hook in hooks:
            hook.remove()
    return layers


def _as_array(tensor: Tensor) -> Array:
    tensor = tensor.detach().cpu()
    return np.asarray((tensor if tensor.dtype == torch.float64 else tensor.float()).numpy())
