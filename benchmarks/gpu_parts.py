"""Benchmark of the parts of an evaluation on a GPU: preparing images, copying them, each way to run the network.

`validate.py` and `gpu.py` call it. The network is computed in bfloat16, channels-last, with folded BatchNorm, on pixels
that are already on the device.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

import effconvert
from effconvert.preprocessing.recipes import recipe_named
from effconvert.validate.data.dataset import open_dataset
from effconvert.validate.evaluation.computing import Computing, exact_arithmetic, images_at_once
from effconvert.validate.evaluation.execution import Execution
from effconvert.validate.evaluation.feeding import on_cpu, on_gpu
from effconvert.validate.evaluation.gpu_images import gpu_decoder, images_on_gpu
from effconvert.validate.evaluation.image_loader import Chunk, Clock, prepared_images, usual_workers


@dataclass(frozen=True)
class Place:
    """Where and for how many seconds each part is measured."""

    device: str
    seconds: float

    @property
    def on_gpu(self) -> bool:
        return self.device != "cpu"

    def synchronize(self) -> None:
        """Wait until the device has done everything."""
        if self.on_gpu:
            torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--compile", action="store_true", help="also measure --compile, which takes a minute or two")
    parser.add_argument("--out", type=Path, help="write {part: {pipeline: images per second}} as JSON")
    arguments = parser.parse_args()
    folder, place = arguments.folder, Place(arguments.device, arguments.seconds)
    network = effconvert.load_model(folder / "ours.safetensors")
    recipe = recipe_named("timm", network.variant.name)
    computing = Computing(place.device, "bfloat16" if place.on_gpu else "float32")
    at_once = images_at_once(network.variant, recipe.size, computing)
    dataset, workers = open_dataset(folder / "val"), usual_workers()
    ids = list(range(len(dataset.names)))
    exact = prepared_rate(dataset.locations, ids, recipe, workers, place)
    rows = [[f"preparing, {workers} workers", exact]]
    decoded = {"exact": exact}
    if found := gpu_decoder(place.device, at_once) if place.on_gpu else None:
        name, decode = found
        options = {"decode": decode, "device": place.device, "images": at_once, "threads": workers, "clock": Clock()}
        with images_on_gpu(dataset.locations, ids, recipe, **options) as batches:
            decoded["fast"] = consumed_rate(batches, place)
        rows.append([f"decoding and resizing on the GPU, {name}", decoded["fast"]])
    copied = copied_rate(at_once, recipe.size, place)
    rows.append([f"copying, batches of {at_once}", copied])
    pixels = torch.randint(0, 256, (at_once, recipe.size, recipe.size, 3), dtype=torch.uint8, device=place.device)
    computed = network_rates(network, recipe, pixels, computing, place, arguments.compile)
    print(tabulate(rows + computed, ["part", "images/s"], floatfmt=",.0f"))
    if arguments.out:
        usual = computed[1][1]
        parts = {"decode": decoded, "transfer": {"exact": copied}, "network": {"exact": usual, "fast": usual}}
        arguments.out.write_text(json.dumps(parts))


def prepared_rate(locations, ids, recipe, workers, place: Place) -> float:
    with prepared_images(locations, ids, recipe, workers=workers) as chunks:
        return consumed_rate(chunks, place)


def consumed_rate(parts, place: Place) -> float:
    """Return images per second, without the first part; each part has `ids`."""
    parts = iter(parts)
    next(parts)
    begin, count = time.perf_counter(), 0
    for part in parts:
        count += len(part.ids)
    place.synchronize()
    return count / (time.perf_counter() - begin)


def copied_rate(at_once: int, size: int, place: Place) -> float:
    """Return images per second through the two buffers; a CPU needs none."""
    memory = np.zeros((16, size, size, 3), np.uint8)

    def chunks() -> Iterator[Chunk]:
        begin = time.perf_counter()
        while time.perf_counter() - begin < place.seconds:
            yield Chunk(np.arange(16), memory, {}, np.zeros((16, 16), np.uint8))

    batches = on_gpu(chunks(), at_once, place.device, Clock()) if place.on_gpu else on_cpu(chunks())
    return consumed_rate(batches, place)


def network_rates(network, recipe, pixels, computing: Computing, place: Place, compiled: bool) -> list[list[object]]:
    """Return a row for each way to run the network: eager, as a CUDA graph (the default), if asked for compiled."""
    rows: list[list[object]] = []
    with torch.inference_mode(), exact_arithmetic():
        plain = Execution(network, recipe, computing, len(pixels))
        rows.append(["network, eager", timed(lambda: plain._compute(pixels), len(pixels), place)])
        rate = timed(lambda: plain.logits(pixels), len(pixels), place)
        rows.append([f"network, {plain.how} (default)", rate])
        if compiled:
            made = Execution(network, recipe, replace(computing, compiled=True), len(pixels))
            rows.append(["network, compiled (--compile)", timed(lambda: made.logits(pixels), len(pixels), place)])
    return rows


def timed(work: Callable[[], object], images: int, place: Place) -> float:
    for _ in range(3 if place.on_gpu else 1):
        work()
    place.synchronize()
    at_once = 10 if place.on_gpu else 1
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < place.seconds:
        for _ in range(at_once):
            work()
        place.synchronize()
        count += at_once * images
    return count / (time.perf_counter() - begin)


if __name__ == "__main__":
    main()
