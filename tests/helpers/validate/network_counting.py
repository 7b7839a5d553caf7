"""Counting the work of every layer of the canonical network for one image, while it runs on the meta device.

It is the other way to what `effconvert.costs.quantities` computes from the blocks.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import prod
from types import MappingProxyType

import torch
from torch import Tensor, nn

from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Variant
from effconvert.costs.conventions import Quantity
from effconvert.model.layers import BatchNorm, Classifier, CondConv2d, Convolution, Routing, SqueezeExcite
from effconvert.model.network import EfficientNet, MBConvBlock, create_model


@dataclass(frozen=True)
class Operation:
    """One entry of the count: `amount` of `quantity` in the module `layer`, for one image."""

    layer: str
    quantity: Quantity
    amount: int


@cache
def count_operations(variant: Variant, facts: Facts, height: int, width: int) -> tuple[Operation, ...]:
    """Return every operation of the network on one image of `height` x `width` pixels, in the order they run.

    Raises ValueError for an image without pixels.
    """
    if height < 1 or width < 1:
        raise ValueError(f"size={height} x {width}: must be 1 or more pixels")
    network = _on_meta(variant, facts)
    with torch.no_grad(), _watched(network) as operations:
        network(torch.empty(1, 3, height, width, device="meta"))
    return tuple(operations)


@cache
def count_quantities(variant: Variant, facts: Facts, height: int, width: int) -> Mapping[Quantity, int]:
    """Return the sum of every quantity over the network. Raises ValueError for an image without pixels."""
    totals: Counter[Quantity] = Counter()
    for operation in count_operations(variant, facts, height, width):
        totals[operation.quantity] += operation.amount
    return MappingProxyType(totals)


@cache
def _on_meta(variant: Variant, facts: Facts) -> EfficientNet:
    with torch.device("meta"):
        return create_model(variant, facts)


@contextmanager
def _watched(network: EfficientNet) -> Iterator[list[Operation]]:
    """Give the list that fills with the operations of `network` as it runs."""
    operations: list[Operation] = []

    def watch(layer: str, count: Callable[..., Mapping[Quantity, int]]) -> Callable[..., None]:
        def after(module: nn.Module, arriving: tuple[Tensor, ...], leaving: Tensor) -> None:
            counted = count(layer, module, arriving[0], leaving)
            operations.extend(Operation(layer, quantity, amount) for quantity, amount in counted.items() if amount)

        return after

    hooks = [
        module.register_forward_hook(watch(layer, _COUNTED[type(module)]))
        for layer, module in network.named_modules()
        if type(module) in _COUNTED
    ]
    last = network.blocks[-1] if network.head is None else network.head
    hooks.append(last.register_forward_hook(watch("pooling", _pooling)))
    try:
        yield operations
    finally:
        for hook in hooks:
            hook.remove()


def _convolution(layer: str, module: Convolution, _arriving: Tensor, leaving: Tensor) -> dict[Quantity, int]:
    macs = leaving.numel() * prod(module.weight.shape[1:])
    if ".se." in layer:
        return {"gates": macs, "gate_biases": leaving.numel()}
    return {"strided" if module.stride[0] > 1 else "convolution": macs}


def _routed(_layer: str, module: CondConv2d, _arriving: Tensor, leaving: Tensor) -> dict[Quantity, int]:
    return {"mixing": module.weight.numel(), "routed": leaving.numel() * prod(module.weight.shape[2:])}


def _routing(_layer: str, module: Routing, arriving: Tensor, leaving: Tensor) -> dict[Quantity, int]:
    return {
        "routing_pooling": arriving.numel(),
        "routing": module.weight.numel(),
        "routing_biases": leaving.numel(),
    }


def _classifier(_layer: str, module: Classifier, _arriving: Tensor, leaving: Tensor) -> dict[Quantity, int]:
    return {"classifier": module.weight.numel(), "classifier_biases": leaving.numel()}


def _batch_norm(_layer: str, _module: BatchNorm, _arriving: Tensor, leaving: Tensor) -> dict[Quantity, int]:
    return {"batch_norm": leaving.numel()}


def _gating(_layer: str, _module: SqueezeExcite, arriving: Tensor, leaving: Tensor) -> dict[Quantity, int]:
    return {"gate_pooling": arriving.numel(), "gating": leaving.numel()}


def _swish(_layer: str, _module: nn.SiLU, _arriving: Tensor, leaving: Tensor) -> dict[Quantity, int]:
    return {"swish": leaving.numel()}


def _block(_layer: str, module: MBConvBlock, _arriving: Tensor, leaving: Tensor) -> dict[Quantity, int]:
    return {"residual": leaving.numel() if module.residual else 0}


def _pooling(_layer: str, _module: nn.Module, _arriving: Tensor, leaving: Tensor) -> dict[Quantity, int]:
    return {"pooling": leaving.numel(), "pooled": leaving.shape[1]}


_COUNTED: dict[type[nn.Module], Callable[..., Mapping[Quantity, int]]] = {
    Convolution: _convolution,
    CondConv2d: _routed,
    Routing: _routing,
    Classifier: _classifier,
    BatchNorm: _batch_norm,
    SqueezeExcite: _gating,
    nn.SiLU: _swish,
    MBConvBlock: _block,
}
