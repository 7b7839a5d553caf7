"""Shared helpers of the tests of runners: a run as a user starts it, and the canonical network to compare with."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from effconvert.model import EfficientNet
from effconvert.model.calibration import sensitivity
from effconvert.verification.runner_archive import write_runner
from helpers.frameworks.figures import distance, record
from helpers.frameworks.served_runners import run_served
from helpers.running import Ran

TOLERANCE = 2e-5
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
Layers = dict[str, NDArray[Any]]


def settings_of(
    network: EfficientNet, name: str | None = None, *, raw: bool = False, **changes: object
) -> dict[str, Any]:
    """Return the settings for the network of a library that is `network`; `name` is the library's own, of the variant."""
    variant = network.variant.name
    return {"variant": variant, "name": name or variant, "raw": raw, **asdict(network.facts), **changes}


def run(
    framework: str,
    folder: Path,
    file: Path,
    settings: dict[str, Any],
    images: NDArray[np.float32],
    *,
    tensors: Layers | None = None,
    feed: Layers | None = None,
    started: bool = False,
) -> tuple[dict[str, Any], Layers]:
    """Run the runner of `framework`; return the record and the arrays of the run.

    The arrays have the names of the file: `layer/stem`, `fed/blocks.0`, … feed: {layer: output} of another run.
    """
    ran = ran_runner(framework, folder, file, settings, images, tensors=tensors, feed=feed, started=started)
    assert ran.exit_code == 0, ran.err
    with np.load(folder / "run.npz", allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    return json.loads(str(found.pop("run"))), found


def ran_runner(
    framework: str,
    folder: Path,
    file: Path,
    settings: dict[str, Any],
    images: NDArray[np.float32],
    *,
    tensors: Layers | None = None,
    feed: Layers | None = None,
    started: bool = False,
) -> Ran:
    """Run the runner of `framework` and return what it left: exit code, standard output, standard error.

    started: in a process of its own, where otherwise a served one runs it.
    """
    (folder / "settings.json").write_text(json.dumps({**settings, "size": images.shape[2]}))
    mean, std = (MEAN, STD) if images.shape[1] == 3 else (np.zeros(images.shape[1]), np.ones(images.shape[1]))
    np.savez(folder / "inputs.npz", images=images, mean=np.array(mean), std=np.array(std))
    (folder / "run.npz").unlink(missing_ok=True)
    options = ["--settings", "settings.json", "--inputs", "inputs.npz", "--out", "run.npz"]
    if tensors is not None:
        np.savez(folder / "tensors.npz", **tensors)
        options += ["--tensors", "tensors.npz"]
    if feed is not None:
        run_of_feed = json.dumps({"layers": list(feed)})
        np.savez(folder / "feed.npz", run=np.array(run_of_feed), **{f"layer/{n}": a for n, a in feed.items()})
        options += ["--feed", "feed.npz"]
    command = [sys.executable, str(write_runner(framework, folder)), str(file.absolute()), *options]
    done = _start(command, folder) if started else run_served(command, cwd=folder)
    return Ran(done.returncode, done.stdout, done.stderr)


def called(framework: str, *arguments: str, folder: Path) -> Ran:
    """Start the runner of `framework` in `folder`, as a user does, in a process of its own."""
    done = _start([sys.executable, str(write_runner(framework, folder)), *arguments], folder)
    return Ran(done.returncode, done.stdout, done.stderr)


def _start(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def canonical_layers(network: EfficientNet, images: NDArray[np.float32]) -> Layers:
    """Return {layer: output} of the canonical network, by the names of the runners."""
    layers: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        x = layers["stem"] = network.stem(torch.from_numpy(images))
        for index, block in enumerate(network.blocks):
            x = layers[f"blocks.{index}"] = block(x)
        if network.head is not None:
            layers["head"] = network.head(x)
            layers["pooled"] = layers["head"].mean((2, 3))
            if network.head.fc is not None:
                layers["logits"] = network.head.classify(layers["pooled"])
    return {name: output.numpy() for name, output in layers.items()}


def canonical_fed(network: EfficientNet, feed: Layers) -> Layers:
    """Return {layer: output} of the canonical network where each layer is given what the one before gave in `feed`.

    The stem is missing: no layer comes before it, and a runner gives it the images.
    """
    given = {name: torch.from_numpy(feed[before]) for before, name in zip(feed, list(feed)[1:], strict=False)}
    modules = {f"blocks.{index}": block for index, block in enumerate(network.blocks)}
    if network.head is not None:
        modules |= {"head": network.head, "pooled": lambda x: x.mean((2, 3)), "logits": network.head.classify}
    with torch.no_grad():
        return {name: modules[name](x).numpy() for name, x in given.items()}


def part(arrays: Layers, kind: str) -> Layers:
    """Return the arrays of `kind` (`layer` or `fed`) by the name of the layer."""
    return {name.removeprefix(f"{kind}/"): array for name, array in arrays.items() if name.startswith(f"{kind}/")}


def assert_same_layers(case: str, found: Layers, expected: Layers) -> None:
    """Assert that every layer is the same, to 2e-5 of its largest value, that none is missing, and that images matter."""
    assert list(found) == list(expected)
    last = list(expected)[-1]
    pooled = expected[last] if expected[last].ndim == 2 else expected[last].mean((2, 3))
    assert sensitivity(torch.from_numpy(pooled)) > 0.1
    errors = {name: distance(found[name], expected[name]) for name in expected}
    worst = max(errors, key=lambda name: errors[name])
    assert all(array.dtype == np.float32 for array in found.values())
    assert record(case, f"worst layer: {worst}", errors[worst], f"<= {TOLERANCE:.0e}") <= TOLERANCE, errors
