"""timm's own evaluation of a folder per class, as in its validate.py: its loader, transform, network, averages.

The script itself is not in a package. Its defaults are kept: batches of 256, four workers, uint8 prefetching, a
warm-up, loss and both accuracies read after every batch.
"""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import numpy as np
import timm
import torch
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.utils import AverageMeter, accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--amp", action="store_true")
    parser.add_argument("--parts", action="store_true", help="measure loader, copying and network alone")
    arguments = parser.parse_args()
    found = measure_parts(arguments) if arguments.parts else evaluate(arguments)
    arguments.out.write_text(json.dumps(found))


def opened(arguments: argparse.Namespace) -> tuple[torch.device, torch.nn.Module, tuple[int, int, int], Any, Any]:
    """Return the device, the network, the size of an image, the data set, and its loader."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    model = timm.create_model(arguments.model, checkpoint_path=arguments.checkpoint).to(device).eval()
    if arguments.channels_last:
        model = model.to(memory_format=torch.channels_last)
    config = resolve_data_config(model=model, use_test_size=True)
    dataset = create_dataset(root=str(arguments.data), name="", split="validation")
    loader = create_loader(
        dataset,
        input_size=config["input_size"],
        batch_size=arguments.batch_size,
        use_prefetcher=True,
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
        num_workers=arguments.workers,
        crop_pct=config["crop_pct"],
        crop_mode=config["crop_mode"],
        device=device,
    )
    return device, model, config["input_size"], dataset, loader


def measure_parts(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return {part: {"timm": images per second}}."""
    device, model, size, _, loader = opened(arguments)
    seconds = 3 if device.type == "cuda" else 0.2
    batches = iter(loader.loader)  # without copying and normalising, which the loader does on the device
    images, _ = next(batches)
    begin, count = time.perf_counter(), 0
    for images, _ in batches:
        count += len(images)
    decoding = count / (time.perf_counter() - begin)
    pinned = images.pin_memory() if device.type == "cuda" else images
    copying = rate(lambda: pinned.to(device, non_blocking=True).float(), len(images), seconds, device)
    pixels = torch.randn(arguments.batch_size, *size, device=device)
    if arguments.channels_last:
        pixels = pixels.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), precision(arguments, device):
        network = rate(lambda: model(pixels), len(pixels), seconds, device)
    return {"decode": {"timm": decoding}, "transfer": {"timm": copying}, "network": {"timm": network}}


def rate(work: Callable[[], object], images: int, seconds: float, device: torch.device) -> float:
    """Return images per second of `work`, which takes `images` each time."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for _ in range(3):
        work()
    wait()
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        work()
        wait()
        count += images
    return count / (time.perf_counter() - begin)


def precision(arguments: argparse.Namespace, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return the mixed precision that was asked for."""
    return torch.autocast(device.type, torch.float16) if arguments.amp else contextlib.nullcontext()


def evaluate(arguments: argparse.Namespace) -> dict[str, object]:
    """Return images and seconds after the first batch, the accuracies, and the prediction for each image."""
    device, model, size, dataset, loader = opened(arguments)
    autocast = precision(arguments, device)
    criterion = torch.nn.CrossEntropyLoss().to(device)
    losses, top1, top5 = AverageMeter(), AverageMeter(), AverageMeter()
    times, predictions = [], []
    with torch.inference_mode(), autocast:
        model(torch.randn(arguments.batch_size, *size, device=device))
        for images, labels in loader:
            if arguments.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            output = model(images)
            loss = criterion(output, labels)
            first, five = accuracy(output.detach(), labels, topk=(1, 5))
            losses.update(loss.item(), len(images))
            top1.update(first.item(), len(images))
            top5.update(five.item(), len(images))
            predictions.append(output.argmax(1).cpu().numpy())
            times.append(time.perf_counter())
    counted = len(dataset) - len(predictions[0])
    return {
        "images": counted,
        "seconds": times[-1] - times[0],
        "top1": top1.avg,
        "top5": top5.avg,
        "predictions": np.concatenate(predictions).tolist(),
    }


if __name__ == "__main__":
    main()
