"""Files that torch saves, in every form and dtype, and what must be read of them."""

from pathlib import Path

import ml_dtypes
import pytest
import torch

from effconvert.formats import Array, open_checkpoint
from helpers.formats.building import expected, read_all

FORMS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3, 4, 5])
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.bool]
DTYPES += [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8]


def as_numpy(tensor: torch.Tensor) -> Array:
    """Return the values of a tensor as its bits are."""
    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def assert_read(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    assert read_all(path) == expected({name: as_numpy(tensor) for name, tensor in tensors.items()})


def tensors_of(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    values = torch.arange(24) % 2 if dtype == torch.bool else torch.arange(24)
    values = values.to(dtype)
    return {"matrix": values.reshape(4, 6), "scalar": values[3].clone(), "empty": values[:0].reshape(0, 2).clone()}


def save(path: Path, value: object, zipped: bool = True, protocol: int = 2) -> Path:
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    return path


def read_metadata(path: Path) -> dict[str, str]:
    with open_checkpoint(path) as checkpoint:
        return dict(checkpoint.metadata)
