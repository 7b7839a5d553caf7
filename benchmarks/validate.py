"""Benchmark of measuring the accuracy of B0 (or another variant), end to end, beside timm's own evaluation.

timm's evaluation is that of its validate.py, with its own loader, transform and network: batches of 256, four workers,
first its defaults, then channels_last, on a GPU also mixed precision. Both get the same JPEGs of 500 x 375 pixels and
the same weights. On a CPU the installed engines run in turn too, and the network alone in each is timed by the check of
the first images. On a GPU the parts are also timed: preparing, copying, the network alone.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import torch
from photographs import photograph
from tabulate import tabulate

import effconvert
from effconvert.model import create_model
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from effconvert.validate.data.classes import imagenet_classes
from effconvert.validate.predictions import read_predictions

NETWORKS = {"b0": "tf_efficientnet_b0", "b7": "tf_efficientnet_b7"}
CHOSEN = "effconvert validate"
OURS = {
    CHOSEN: [],
    **{f"{CHOSEN} --engine {name}": ["--engine", name] for name in ("torch", "onnxruntime", "openvino")},
    f"{CHOSEN} --pipeline fast": ["--pipeline", "fast"],
}
Run = Callable[[list[object]], None]
PEER = Path(__file__).with_name("timm_validation.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", default="b0", choices=NETWORKS)
    parser.add_argument("--images", type=int, default=12_000 if torch.cuda.is_available() else 768)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="effconvert-bench-", dir=arguments.folder))
    try:
        write_images(folder / "val", arguments.images)
        write_networks(folder, arguments.variant)
        print(f"{arguments.variant}, {arguments.images} JPEGs of 500 x 375, {os.cpu_count()} cores, {device_name()}")
        compare(folder, NETWORKS[arguments.variant], arguments.runs)
        if torch.cuda.is_available():
            subprocess.run([sys.executable, Path(__file__).with_name("gpu_parts.py"), folder], check=True)
    finally:
        shutil.rmtree(folder)


def device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


def write_images(folder: Path, count: int) -> None:
    """Write JPEGs like photographs into folders of ImageNet's classes, in turn."""
    identifiers = imagenet_classes().identifiers
    files = [photograph(seed) for seed in range(min(count, 512))]
    for number in range(count):
        path = folder / identifiers[number % len(identifiers)] / f"{number:05}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[number % len(files)])


def write_networks(folder: Path, variant: str) -> None:
    """Write one network with calibrated random weights, for effconvert and for timm."""
    network = random_weights(create_model(variant))
    calibrate(network, synthetic_images(8, 128, 128))
    torch.save(network.state_dict(), folder / "state.pth")
    effconvert.convert(folder / "state.pth", folder / "ours.safetensors")
    effconvert.convert(folder / "ours.safetensors", folder / "timm.pth", to="timm")


def compare(folder: Path, name: str, runs: int) -> None:
    """Run everything in turn, `runs` times, and print the rates of whole evaluations, without process starts."""
    options = {"timm, as it runs by default": [], "timm --channels-last": ["--channels-last"]}
    if torch.cuda.is_available():
        options["timm --channels-last --amp -j 16"] = ["--channels-last", "--amp", "--workers", "16"]
    ours = {row: more for row, more in OURS.items() if more[:1] != ["--engine"] or is_installed(more[1])}
    rates: dict[str, list[float]] = {}
    alone: dict[str, list[float]] = {}
    answers: dict[str, np.ndarray] = {}
    for _ in range(runs):
        for row, more in options.items():
            rate, answers[row] = run_timm(folder, name, more)
            rates.setdefault(row, []).append(rate)
        for row, more in ours.items():
            rate, answers[row] = run_ours(folder, more)
            rates.setdefault(row, []).append(rate)
            for engine, images in engine_rates(folder).items():
                alone.setdefault(engine, []).append(images)
    reference, *others = (median(rates[row]) for row in options)
    expected = answers[CHOSEN]
    table = [
        [
            row,
            min(found),
            median(found),
            max(found),
            f"{median(found) / reference:.2f} x",
            f"{median(found) / others[0]:.2f} x",
            int((answers[row] != expected).sum()),
        ]
        for row, found in rates.items()
    ]
    headers = [
        "images/s, end to end",
        "min",
        "median",
        "max",
        "of timm",
        "of channels-last",
        "predictions that differ from ours",
    ]
    print(tabulate(table, headers, floatfmt=".1f"))
    for engine, found in alone.items():
        print(f"the network alone in {engine}: {median(found):.1f} images/s ({min(found):.1f} to {max(found):.1f})")


def is_installed(engine: str) -> bool:
    return not torch.cuda.is_available() and find_spec(engine) is not None


def engine_rates(folder: Path) -> Mapping[str, float]:
    """Return {engine: images per second of the network alone} of the last run, where it chose among engines."""
    found: Mapping[str, float] = read_predictions(folder / "runs" / "ours.npz").record["computing"]["engine"][
        "images_per_second"
    ]
    return found


def run(command: list[object]) -> None:
    """Run a command. Raises CalledProcessError."""
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def run_timm(folder: Path, name: str, more: list[str], run: Run = run) -> tuple[float, np.ndarray]:
    """Return images per second of timm's evaluation, and its predictions."""
    out = folder / "timm.json"
    command = [sys.executable, PEER, folder / "val", "--model", name, "--checkpoint", folder / "timm.pth", "--out", out]
    run([*command, *more])
    found = json.loads(out.read_text())
    return found["images"] / found["seconds"], np.array(found["predictions"])


def run_ours(folder: Path, more: list[str], run: Run = run) -> tuple[float, np.ndarray]:
    """Return images per second of our evaluation, after the first batch as with timm's, and its predictions."""
    runs = folder / "runs"
    shutil.rmtree(runs, ignore_errors=True)  # a run that is repeated keeps its engine
    dtype = [] if torch.cuda.is_available() else ["--dtype", "float32"]
    command = [sys.executable, "-m", "effconvert", "validate", "--data", folder / "val", folder / "ours.safetensors"]
    command += ["--recipe", "timm", "--runs", runs, "--force", "--quiet", *dtype, *more]
    run(command)
    predictions = read_predictions(runs / "ours.npz")
    return predictions.record["run"]["images_per_second"], predictions.top5[:, 0]


if __name__ == "__main__":
    main()
