"""Writing and reading checkpoints with TensorFlow itself, and running the command line."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from effconvert import open_checkpoint

BLOCK = 262144  # bytes of the index after which TensorFlow begins a new block


def save(folder: Path, tensors: Mapping[str, np.ndarray]) -> Path:
    """Write `tensors` in the order of their names as `folder`/model.ckpt with TensorFlow's SaveV2; return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(tensors, key=str.encode)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "model.ckpt"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(tensors[name]) for name in names],
    )
    return folder


def read_with_tensorflow(prefix: Path) -> dict[str, np.ndarray]:
    """Return {name: value} of all that TensorFlow finds in the checkpoint at `prefix`, a folder or a prefix."""
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: np.asarray(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()}


def read_with_effconvert(path: Path) -> dict[str, np.ndarray]:
    """Return {name: value} of all that effconvert reads in the checkpoint at `path`."""
    with open_checkpoint(path) as checkpoint:
        return {name: checkpoint.read(name) for name in checkpoint.tensors}


def many_tensors() -> dict[str, np.ndarray]:
    """Enough tensors under names that share little, for an index of more than three blocks."""
    random = np.random.RandomState(2)
    names = [random.bytes(60).hex() for _ in range(6000)]
    return {f"scope/{name}": random.normal(size=number % 4).astype(np.float32) for number, name in enumerate(names)}


def differences(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> list[str]:
    """Return every name that is in one only, or whose dtype, shape or bytes differ; nothing expected is a fault."""
    assert expected
    return [
        name
        for name in sorted(found.keys() | expected.keys())
        if name not in found or name not in expected or _content(found[name]) != _content(expected[name])
    ]


def _content(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.name, array.shape, array.tobytes()


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `effconvert` with `arguments` in a separate process."""
    command = [sys.executable, "-m", "effconvert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})


def succeed(*arguments: str | Path) -> str:
    """Run `effconvert`, which must succeed, and return what it printed."""
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout
