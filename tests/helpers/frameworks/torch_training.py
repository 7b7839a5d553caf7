"""Shared helpers of the tests of training files: a tiny network that trains, and a comparison bit for bit."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import effconvert


class Tiny(nn.Module):
    """A convolution, a BatchNorm and a classifier of two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.bn(self.conv(images)).mean((2, 3)))


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 2) -> None:
    """Take a few steps on random images, so that every state of the optimizer is there."""
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 0, 1])).backward()
        optimizer.step()


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in state.items()}


def assert_holds(path: Path, tensors: dict[str, Tensor]) -> dict[str, str]:
    """Assert that the file at `path` holds exactly `tensors`, bit for bit, and return its metadata."""
    with effconvert.open_checkpoint(path) as checkpoint:
        assert sorted(checkpoint.tensors) == sorted(tensors)
        for name, tensor in tensors.items():
            found, expected = checkpoint.read(name), np.ascontiguousarray(tensor.detach().numpy())
            assert (found.dtype, found.shape) == (expected.dtype, tuple(tensor.shape)), name
            assert found.tobytes() == expected.tobytes(), name
        return dict(checkpoint.metadata)


def tensors_in(value: object, prefix: str = "") -> dict[str, Tensor]:
    """Return every tensor in what torch.load returned, by the way to it."""
    if isinstance(value, Tensor):
        return {prefix: value}
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        return {}
    start = f"{prefix}/" if prefix else ""
    return {name: tensor for key, inner in items for name, tensor in tensors_in(inner, f"{start}{key}").items()}
