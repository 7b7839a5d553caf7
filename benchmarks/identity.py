"""Benchmark of identifying a data set by every byte of its images, compared with listing and with preparing it.

The folder has the given number of files: synthetic JPEGs of 500 x 375 pixels, each linked many times, so that they are
read from memory; reading from a disk would add its time. Times are CPU seconds of all threads, so that other work on
the machine does not count.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from photographs import photograph
from tabulate import tabulate

from effconvert.preprocessing.fast import fast_pixels
from effconvert.preprocessing.pipeline import pixels
from effconvert.preprocessing.recipes import recipe_named
from effconvert.validate.data.classes import imagenet_classes
from effconvert.validate.data.dataset import Dataset, open_dataset
from effconvert.validate.data.image_bytes import read_image
from effconvert.validate.data.image_hashes import ImageHashes, image_hash

_FILES, _PREPARED, _PIECE = 256, 256, 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="effconvert-bench-", dir=arguments.folder))
    try:
        write_images(folder, arguments.images)
        dataset = open_dataset(folder / "val")
        size = sum(path.stat().st_size for path in (folder / "files").iterdir()) / _FILES
        print(f"{len(dataset):,} JPEGs of {size / 1000:.0f} kB, {os.cpu_count()} cores")
        compare_whole(dataset, arguments.runs)
        compare_one(dataset, arguments.runs)
    finally:
        shutil.rmtree(folder)


def write_images(folder: Path, count: int) -> None:
    """Write some JPEGs like photographs, and link them into folders of ImageNet's classes, in turn."""
    identifiers = imagenet_classes().identifiers
    (folder / "files").mkdir()
    for seed in range(_FILES):
        (folder / "files" / str(seed)).write_bytes(photograph(seed))
    for number in range(count):
        path = folder / "val" / identifiers[number % len(identifiers)] / f"{number:05}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(folder / "files" / str(number % _FILES))


def compare_whole(dataset: Dataset, runs: int) -> None:
    """Print times for whole data sets, as shares of listing one."""
    ids = np.arange(len(dataset), dtype=np.int64)
    works: dict[str, Callable[[], object]] = {
        "open: list names and labels, read no image": lambda: open_dataset(dataset.path),
        "sizes alone (not used)": lambda: [Path(place.path).stat().st_size for place in dataset.locations],
        "first and last 4 kB of each (not used)": lambda: [ends(place.path) for place in dataset.locations],
        "every byte of each": lambda: ImageHashes(dataset.locations).of(ids),
    }
    print_table("whole data set", works, runs, 1, "s")


def compare_one(dataset: Dataset, runs: int) -> None:
    """Print times for one image, as shares of its preparation."""
    recipe = recipe_named("timm", "b0")
    data = [read_image(location) for location in dataset.locations[:_PREPARED]]
    works: dict[str, Callable[[], object]] = {
        "prepare (timm's recipe, exact)": lambda: [pixels(each, recipe) for each in data],
        "prepare (--pipeline fast)": lambda: [
            fast_pixels(each, recipe, np.empty((recipe.size, recipe.size, 3), np.uint8)) for each in data
        ],
        "hash": lambda: [image_hash(each) for each in data],
    }
    print_table("one image", works, runs, len(data) / 1e6, "µs")


def ends(path: str) -> bytes:
    """Return the hash of the first and the last bytes of a file."""
    with open(path, "rb", buffering=0) as file:
        first = file.read(_PIECE)
        file.seek(-_PIECE, os.SEEK_END)
        return image_hash(first + file.read(_PIECE))


def print_table(what: str, works: dict[str, Callable[[], object]], runs: int, units: float, unit: str) -> None:
    """Run every work in turn, `runs` times after a warm-up, and print the medians and their ratios to the first."""
    seen: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs + 1):
        for name, work in works.items():
            begin = time.process_time()
            work()
            seen[name].append((time.process_time() - begin) / units)
    medians = {name: median(found[1:]) for name, found in seen.items()}
    base = next(iter(medians.values()))
    rows = [[name, found, f"{found / base:.3f} x"] for name, found in medians.items()]
    print(tabulate(rows, [what, f"CPU {unit}", "of the first"], floatfmt=".2f"), end="\n\n")


if __name__ == "__main__":
    main()
