"""Shared helpers of the tests of PyTorch's runners: a B0 in each library's file, and runs in this process."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import effconvert
from effconvert.model import EfficientNet
from effconvert.preprocessing.synthetic import synthetic_images
from effconvert.verification.runners.base import CannotBuild, CannotLoad
from helpers.frameworks.running_runners import Layers
from helpers.frameworks.torch_libraries import ODD_AND_EVEN, calibrated, write

LOADERS = {
    "timm": "timm.models.load_checkpoint",
    "torchvision": "load_state_dict",
    "lukemelas": "load_state_dict",
    "mmpretrain": "mmengine.runner.load_checkpoint",
    "huggingface": "from_pretrained",
}
GIVEN = "load_state_dict of given tensors"
EDGE = {"fused_stride": "expand", "classes": 1000}
SYMMETRIC = {"padding": "symmetric", "bn_eps": 1e-5}
BACKBONE = {"classes": 0, "head_conv": False}
Case = tuple[EfficientNet, NDArray[np.float32], Path]


def images_of(size: tuple[int, int], seed: int = 3, channels: int = 3) -> NDArray[np.float32]:
    return synthetic_images(2, *size, seed=seed, channels=channels)


def b0_files(folder: Path) -> dict[str, Case]:
    """Return {framework: (calibrated B0, images, file of it)}, the file as the framework's own loader takes it."""
    found = {}
    for framework in LOADERS:
        size = (96, 96) if framework == "huggingface" else ODD_AND_EVEN  # transformers pads odd images otherwise
        network = calibrated("b0", size, **(SYMMETRIC if framework == "torchvision" else {}))
        file = folder / (framework if framework == "huggingface" else f"{framework}.pth")
        write(network, file, framework)
        found[framework] = network, images_of(size), file
    return found


def tensors_in(file: Path, *, counters: bool = True) -> Layers:
    """Return {name: array} of a file, with or without the counters of batches."""
    with effconvert.open_checkpoint(file) as checkpoint:
        return {name: checkpoint.read(name) for name in checkpoint.tensors if counters or "num_batches" not in name}


def state_of(file: Path, change: Callable[[dict[str, Tensor]], object] | None = None) -> dict[str, Tensor]:
    """Return the state_dict in a file, changed in place by `change`."""
    state = {name: torch.from_numpy(np.array(array)) for name, array in tensors_in(file).items()}
    if change:
        change(state)
    return state


def module_of(framework: str) -> ModuleType:
    """Return the runner as a module, for what would be slow to see in processes."""
    return importlib.import_module(f"effconvert.verification.runners.run_{framework}")


def refusal(
    framework: str, file: Path, settings: dict[str, Any], images: NDArray[np.float32], tensors: Layers | None = None
) -> tuple[str, str]:
    """Return the name of the runner's exception and its message."""
    try:
        module_of(framework).make_network(str(file), tensors, settings, {"images": images})
    except (CannotLoad, CannotBuild) as error:
        return type(error).__name__, str(error)
    return "nothing is refused", ""
