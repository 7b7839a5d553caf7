"""Training files from end to end: what is not read is said by name, and never taken for missing or for nothing."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.checkpoints import read_all, same
from helpers.library_files import Tensors, library_tensors, save
from helpers.running import Ran

Run = Callable[..., Ran]
RESAVED = "loaded = torch.load({path!r}, map_location='cpu', weights_only=False); torch.save({saved}, 'weights.pth')"


class Augment:
    """An object of the training's own code."""

    def __init__(self) -> None:
        self.p = 0.5


class Averages(dict[str, Any]):
    """A dict of the training's own code."""


class Ema(torch.nn.Module):
    """Averages as an object: a buffer of the network's size, and a counter."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        for number, tensor in enumerate(tensors.values()):
            self.register_buffer(f"average{number}", torch.tensor(tensor))


@pytest.fixture(scope="module")
def weights() -> Tensors:
    return library_tensors("timm")


def as_torch(tensors: Tensors) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(tensor) for name, tensor in tensors.items()}


def convert(run: Run, path: Path, *options: str) -> Ran:
    return run("convert", path, "--to", "canonical", "--out", path.with_suffix(".safetensors"), "--force", *options)


def assert_canonical(run: Run, path: Path, weights: Tensors) -> Ran:
    """Assert that the file at `path` is converted as the plain state dict is."""
    plain = save(path.with_name("plain.pth"), weights)
    assert convert(run, plain).exit_code == 0
    ran = convert(run, path)
    assert ran.exit_code == 0, ran.err
    assert same(read_all(path.with_suffix(".safetensors")), read_all(plain.with_suffix(".safetensors")))
    return ran


def test_objects_beside_the_weights_are_left_behind_by_name(run: Run, tmp_path: Path, weights: Tensors) -> None:
    loss = torch.nn.BCEWithLogitsLoss(pos_weight=torch.ones(1))
    content = {"state_dict": weights, "hyper_parameters": {"augment": Augment(), "again": Augment(), "loss": loss}}
    path = save(tmp_path / "x.ckpt", content)
    ran = assert_canonical(run, path, weights)
    assert f"2 not read: an object of {__name__}.Augment" in ran.out
    assert "1 not read: an object of torch.nn.modules.loss.BCEWithLogitsLoss with 1 tensor inside" in ran.out
    inspected = run("inspect", path)
    assert f"also     2 not read: an object of {__name__}.Augment" in inspected.out
    others = json.loads(run("inspect", path, "--json").out)["others"]
    assert others[f"not read: an object of {__name__}.Augment"] == 2


@pytest.mark.parametrize(("make", "saved"), [(Ema, "loaded['ema'].state_dict()"), (Averages, "dict(loaded['ema'])")])
def test_averages_that_are_not_read_are_said(
    run: Run, tmp_path: Path, weights: Tensors, make: Callable[[Any], Any], saved: str
) -> None:
    tensors = weights if make is Ema else as_torch(weights)
    path = tmp_path / "x.pth"
    torch.save({"state_dict": as_torch(weights), "ema": make(tensors)}, path)
    (caution,) = [line for line in assert_canonical(run, path, weights).out.splitlines() if "'ema'" in line]
    assert f"{__name__}.{make.__name__} with {len(weights):,} tensors inside, and was not read" in caution
    assert RESAVED.format(path=str(path), saved=saved) in caution


def test_an_object_with_few_tensors_is_no_caution(run: Run, tmp_path: Path, weights: Tensors) -> None:
    path = save(tmp_path / "x.pth", {"state_dict": weights, "loss": torch.nn.BCELoss(torch.ones(1))})
    assert "BCELoss" not in assert_canonical(run, path, weights).out.partition("warning")[2]


def test_weights_in_a_dict_of_the_trainings_own_class_are_refused(run: Run, tmp_path: Path, weights: Tensors) -> None:
    """Where other tensors are read: the state of the optimizer alone would be of no known layout."""
    state = {number: {"momentum_buffer": torch.zeros(3)} for number in range(1000)}
    path = tmp_path / "x.pth"
    torch.save({"state_dict": Averages(as_torch(weights)), "optimizer": {"state": state}}, path)
    ran = convert(run, path)
    assert ran.exit_code == 4
    assert f"not read: 'state_dict', a dict of class {__name__}.Averages with {len(weights):,} tensors" in ran.err
    assert RESAVED.format(path=str(path), saved="dict(loaded['state_dict'])") in ran.err
    assert not path.with_suffix(".safetensors").exists()


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_state_dict_of_numpy_is_converted(run: Run, tmp_path: Path, weights: Tensors, protocol: int) -> None:
    path = tmp_path / "x.pth"
    torch.save({"model": weights, "best": np.float64(0.5)}, path, pickle_protocol=protocol)
    assert_canonical(run, path, weights)
    path.write_bytes(pickle.dumps(weights, protocol))
    assert_canonical(run, path, weights)


def test_weights_in_the_other_byte_order_are_named(run: Run, tmp_path: Path, weights: Tensors) -> None:
    swapped = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in weights.items()}
    counter = next(name for name in weights if name.endswith("num_batches_tracked"))
    torch.save({**swapped, counter: weights[counter]}, tmp_path / "x.pth")
    ran = convert(run, tmp_path / "x.pth")
    assert ran.exit_code == 4
    assert "more are not read: an array of numpy of type f4 in big-endian order" in ran.err


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_quantized_weights_are_there_and_not_missing(run: Run, tmp_path: Path, weights: Tensors) -> None:
    content = as_torch(weights)
    kernels = [name for name, tensor in content.items() if tensor.ndim == 4]
    for name in kernels:
        content[name] = torch.quantize_per_tensor(content[name], 0.02, 0, torch.qint8)
    torch.save(content, tmp_path / "x.pth")
    ran = convert(run, tmp_path / "x.pth")
    assert ran.exit_code == 4
    assert "stem.conv.weight <- conv_stem.weight: quantized (qint8); dequantize() before saving" in ran.err
    assert "missing" not in ran.err
    inspected = run("inspect", tmp_path / "x.pth").out
    assert f"timm; {len(kernels):,} tensors not read" in inspected
    assert f"{len(kernels):,} quantized (qint8); dequantize() before saving" in inspected


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("options", [[], ["--backbone"]])
def test_a_quantized_layer_of_the_network_is_never_left_behind(
    run: Run, tmp_path: Path, weights: Tensors, options: list[str]
) -> None:
    """torch.ao packs the weight and bias of a linear layer as one value under a name of its own."""
    content: dict[str, Any] = as_torch(weights)
    weight, bias = content.pop("classifier.weight"), content.pop("classifier.bias")
    quantized = torch.quantize_per_tensor(weight, 0.02, 0, torch.qint8)
    content["classifier._packed_params._packed_params"] = (quantized, bias)
    content["classifier._packed_params.dtype"] = torch.qint8
    torch.save(content, tmp_path / "x.pth")
    ran = convert(run, tmp_path / "x.pth", *options)
    assert ran.exit_code == 4
    assert "classifier._packed_params._packed_params/0: quantized (qint8)" in ran.err


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_a_quantized_network_beside_the_weights_is_left_behind(run: Run, tmp_path: Path, weights: Tensors) -> None:
    quantized = torch.quantize_per_tensor(torch.tensor(weights["conv_stem.weight"]), 0.02, 0, torch.qint8)
    path = save(tmp_path / "x.pth", {"state_dict": weights, "int8": {"conv_stem.weight": quantized}})
    ran = assert_canonical(run, path, weights)
    assert "1 quantized (qint8); dequantize() before saving" in ran.out
