"""Shared helpers of the tests of `effconvert validate`: small data sets, the command in a separate process, its files."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from effconvert.model import EfficientNet
from effconvert.validate.predictions import Predictions, read_predictions
from helpers.pictures import picture, saved

CLASSES = ("ant", "bee", "cat", "dog", "elk", "fox")
SIZE = 64
_EXACT = ("ids", "names", "labels", "top5")
_FLOATS = ("label_logit", "margin", "confidence")


def write_zoo(folder: Path, count: int) -> Path:
    """Write `count` JPEGs, the classes in turn, into a folder per class, and return `folder`."""
    for number in range(count):
        path = folder / CLASSES[number % len(CLASSES)] / f"{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(saved(picture(70 + number % 9, 80, number), quality=90))
    return folder


def without_contrast(network: EfficientNet, first: int) -> EfficientNet:
    """Have the network answer every image with the classes `first`, `first` + 1, … in that order."""
    assert network.head is not None
    assert network.head.fc is not None
    fc = network.head.fc
    fc.weight.data.zero_()
    fc.bias.data.copy_(-((fc.bias.new_tensor(range(fc.out_features)) - first) % fc.out_features))
    return network


def start(*arguments: object, ranks: int = 0, **options: Any) -> subprocess.Popen[str]:
    """Start `effconvert validate` in a group of processes of its own; by torchrun where `ranks` are asked for."""
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks)] if ranks else []
    command = [sys.executable, *torchrun, "-m", "effconvert", "validate", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
        **options,
    )


def finished(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, str, str]:
    """Wait for the process and return its exit code, standard output, standard error."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def wait_until(reached: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until `reached`, looking often; fail when that takes longer."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.003)


def descendants(pid: int) -> list[int]:
    """Return the processes that the process `pid` has started, and those that these have."""
    return list(_descendants(pid))


def workers_of(pid: int) -> list[int]:
    """Return the processes that prepare images for the process `pid`."""
    return [child for child in descendants(pid) if "effconvert.validate.evaluation.worker" in _command(child)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _descendants(pid: int) -> Iterator[int]:
    """Ask each process for its parent: the lists of children leave some out while a thread comes or goes."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            yield child
            waiting.append(child)


def is_running(pid: int) -> bool:
    """Return whether the process `pid` exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def same_answers(one: Path, other: Path) -> Predictions:
    """Check that two runs answered the same, and return the first.

    Whole numbers must be equal. Logits may differ by float32's rounding: images that are computed together, and so
    the order of sums, are others where a run was interrupted or shared.
    """
    first, second = read_predictions(one), read_predictions(other)
    for name in _EXACT:
        assert np.array_equal(getattr(first, name), getattr(second, name)), name
    for name in _FLOATS:
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=1e-5, atol=1e-5, err_msg=name)
    return first
