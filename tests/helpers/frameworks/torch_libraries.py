"""Shared helpers of the tests with PyTorch's libraries: a calibrated network, its file, and the library's network."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

import effconvert
from effconvert.conversion.steps import Report
from effconvert.model import EfficientNet, create_model
from effconvert.model.calibration import calibrate, random_weights, sensitivity, synthetic_images
from helpers.frameworks.figures import distance, record

TOLERANCE = 2e-5
ODD_AND_EVEN = (97, 110)  # every stride meets an odd height, and two of five an odd width: every padding is there


def calibrated(variant: str, size: tuple[int, int], **facts: object) -> EfficientNet:
    """Return the canonical network with random weights that see images of `size` (H, W)."""
    network = random_weights(create_model(variant, **facts), 5)
    images = synthetic_images(8, *size, seed=11, channels=network.facts.in_channels)
    return calibrate(network, images, seed=5)


def write(network: EfficientNet, output: Path, layout: str) -> Report:
    """Write `network` in `layout` and return the report."""
    source = output.with_name(f"canonical-{output.name}.pth")
    torch.save(network.state_dict(), source)
    facts = {name: value for name, value in asdict(network.facts).items() if name not in ("classes", "head_conv")}
    return effconvert.convert(source, output, to=layout, variant=network.variant.name, facts=facts)


def built(report: Report) -> nn.Module:
    """Return the network that the report's own lines of Python build and load, strictly, as a user would run them."""
    names: dict[str, nn.Module] = {}
    exec(report.network, names)
    assert not names["network"].training
    return names["network"]


def assert_same_numbers(
    case: str, ours: EfficientNet, theirs: Callable[[Tensor], object], size: tuple[int, int]
) -> None:
    """Assert that both networks compute the same of two images of `size`, and that the images matter."""
    images = synthetic_images(2, *size, seed=3, channels=ours.facts.in_channels)
    with torch.no_grad():
        reference, found = ours(images), tensor_of(theirs(images)).reshape(2, -1)
    assert sensitivity(reference) > 0.1
    error = distance(found, reference)
    assert record(case, f"{size[0]} x {size[1]}", error, f"<= {TOLERANCE:.0e}") <= TOLERANCE


def assert_same_order(path: Path, theirs: nn.Module) -> None:
    """Assert that the file holds its tensors in the order of the library's own state_dict."""
    with effconvert.open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == list(theirs.state_dict())


def tensor_of(output: object) -> Tensor:
    """Return the logits or features in whatever a library's network gives."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple | list):
        return tensor_of(output[-1])
    for name in ("logits", "pooler_output"):
        if hasattr(output, name):
            return tensor_of(getattr(output, name))
    raise TypeError(type(output))


def assert_read_bit_for_bit(path: Path, state: dict[str, Tensor]) -> None:
    """Assert that the file at `path` holds exactly `state`."""
    with effconvert.open_checkpoint(path) as checkpoint:
        assert sorted(checkpoint.tensors) == sorted(state)
        for name, tensor in state.items():
            found, expected = checkpoint.read(name), tensor.numpy()
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape), name
            assert found.tobytes() == expected.tobytes(), name


def assert_comes_back(path: Path, network: EfficientNet, **facts: object) -> None:
    """Assert that the library's file at `path` converts to exactly the weights of `network`."""
    output = path.with_name(f"back-{path.name}.safetensors")
    effconvert.convert(path, output, facts=facts or None)
    assert_read_bit_for_bit(output, network.state_dict())
