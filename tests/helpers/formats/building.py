"""Builds checkpoints of every format, and compares and measures what is read from them."""

import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import Array, Checkpoint, TensorInfo, open_checkpoint
from effconvert.formats.safetensors import write_safetensors
from effconvert.formats.tensorflow.bundle import write_bundle
from effconvert.formats.torch.file import write_torch

FIXTURE = HealthCheck.function_scoped_fixture


def examples(count: int) -> settings:
    """Return settings for hypothesis: `count` examples, the same in every run, however long one takes."""
    return settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=[FIXTURE])


def infos_of(arrays: Mapping[str, Array]) -> list[TensorInfo]:
    return [TensorInfo(name, array.shape, array.dtype) for name, array in arrays.items()]


def make_bundle(prefix: Path, arrays: Mapping[str, Array]) -> Path:
    """Write a bundle of one shard and return its index."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    index = prefix.with_name(prefix.name + ".index")
    with prefix.with_name(prefix.name + ".data-00000-of-00001").open("wb") as data, index.open("wb") as file:
        write_bundle(data, file, infos_of(arrays), arrays.values())
    return index


def make_safetensors(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> Path:
    with path.open("wb") as file:
        write_safetensors(file, infos_of(arrays), arrays.values(), metadata or {}, dict)
    return path


def make_torch(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> Path:
    with path.open("wb") as file:
        write_torch(file, infos_of(arrays), arrays.values(), metadata or {}, dict)
    return path


def bits(array: Array) -> tuple[object, tuple[int, ...], bytes]:
    """Return what two arrays must have in common to be the same bit for bit."""
    return array.dtype, array.shape, np.ascontiguousarray(array).tobytes()


def read_all(path: Path) -> dict[str, tuple[object, tuple[int, ...], bytes]]:
    """Open a checkpoint of any format and return the bits of every tensor."""
    with open_checkpoint(path) as checkpoint:
        return contents(checkpoint)


def contents(checkpoint: Checkpoint) -> dict[str, tuple[object, tuple[int, ...], bytes]]:
    found = {}
    for name, info in checkpoint.tensors.items():
        array = checkpoint.read(name)
        assert (array.shape, array.dtype) == (info.shape, info.dtype)
        found[name] = bits(array)
    return found


def expected(arrays: Mapping[str, Array]) -> dict[str, tuple[object, tuple[int, ...], bytes]]:
    return {name: bits(array) for name, array in arrays.items()}


def refusal(path: Path) -> str:
    """Return the message with which a checkpoint is refused, when it is opened or when it is read."""
    with pytest.raises(UnreadableCheckpoint) as caught:
        read_all(path)
    assert caught.value.exit_code == 3
    return str(caught.value)


def flip(content: bytes, bit: int) -> bytes:
    """Return `content` with one bit changed."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def peak_memory(action: Callable[[], object]) -> int:
    """Return the bytes that Python and numpy held at most while `action` ran."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
