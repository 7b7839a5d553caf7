"""Benchmark of the parts of an evaluation on a GPU: preparing images, copying them, each way to run the network.

`python benchmarks/validate.py` calls it if there is a GPU. The network is computed in bfloat16, channels-last, with
folded BatchNorm, on pixels that are already on the device.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

import effconvert
from effconvert.preprocessing.recipes import recipe_named
from effconvert.validate.data.dataset import open_dataset
from effconvert.validate.evaluation.computing import Computing, exact_arithmetic, images_at_once
from effconvert.validate.evaluation.execution import Execution
from effconvert.validate.evaluation.feeding import on_gpu
from effconvert.validate.evaluation.gpu_images import gpu_decoder, images_on_gpu
from effconvert.validate.evaluation.image_loader import Chunk, Clock, prepared_images, usual_workers

DEVICE = "cuda:0"
SECONDS = 5


def main() -> None:
    folder = Path(sys.argv[1])
    network = effconvert.load_model(folder / "ours.safetensors")
    recipe = recipe_named("timm", network.variant.name)
    computing = Computing(DEVICE, "bfloat16")
    at_once = images_at_once(network.variant, recipe.size, computing)
    dataset, workers = open_dataset(folder / "val"), usual_workers()
    ids = list(range(len(dataset.names)))
    rows = [[f"preparing, {workers} workers", prepared_rate(dataset.locations, ids, recipe, workers)]]
    if found := gpu_decoder(DEVICE, at_once):
        name, decode = found
        options = {"decode": decode, "device": DEVICE, "images": at_once, "threads": workers, "clock": Clock()}
        with images_on_gpu(dataset.locations, ids, recipe, **options) as batches:
            rows.append([f"decoding and resizing on the GPU, {name}", consumed_rate(batches)])
    rows.append([f"copying, batches of {at_once}", copied_rate(at_once, recipe.size)])
    pixels = torch.randint(0, 256, (at_once, recipe.size, recipe.size, 3), dtype=torch.uint8, device=DEVICE)
    rows += network_rates(network, recipe, pixels)
    print(tabulate(rows, ["part", "images/s"], floatfmt=",.0f"))


def prepared_rate(locations, ids, recipe, workers) -> float:
    with prepared_images(locations, ids, recipe, workers=workers) as chunks:
        return consumed_rate(chunks)


def consumed_rate(parts) -> float:
    """Return images per second, without the first part; each part has `ids`."""
    parts = iter(parts)
    next(parts)
    begin, count = time.perf_counter(), 0
    for part in parts:
        count += len(part.ids)
    torch.cuda.synchronize()
    return count / (time.perf_counter() - begin)


def copied_rate(at_once: int, size: int) -> float:
    """Return images per second through the two buffers."""
    memory = np.zeros((16, size, size, 3), np.uint8)

    def chunks() -> Iterator[Chunk]:
        begin = time.perf_counter()
        while time.perf_counter() - begin < SECONDS:
            yield Chunk(np.arange(16), memory, {}, np.zeros((16, 16), np.uint8))

    return consumed_rate(on_gpu(chunks(), at_once, DEVICE, Clock()))


def network_rates(network, recipe, pixels) -> list[list[object]]:
    """Return a row for each way to run the network: eager, as a CUDA graph (the default), compiled."""
    rows: list[list[object]] = []
    with torch.inference_mode(), exact_arithmetic():
        plain = Execution(network, recipe, Computing(DEVICE, "bfloat16"), len(pixels))
        rows.append(["network, eager", timed(lambda: plain._compute(pixels), len(pixels))])
        rate = timed(lambda: plain.logits(pixels), len(pixels))
        rows.append([f"network, {plain.how} (default)", rate])
        compiled = Execution(network, recipe, Computing(DEVICE, "bfloat16", compiled=True), len(pixels))
        rows.append(["network, compiled (--compile)", timed(lambda: compiled.logits(pixels), len(pixels))])
    return rows


def timed(work: Callable[[], object], images: int) -> float:
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < SECONDS:
        for _ in range(10):
            work()
        torch.cuda.synchronize()
        count += 10 * images
    return count / (time.perf_counter() - begin)


if __name__ == "__main__":
    main()
