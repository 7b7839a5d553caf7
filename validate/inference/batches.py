"""Batches of a user's images, preprocessed by a recipe and small enough for memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, MissingPath, listing
from effconvert.preprocessing.image_files import images_in
from effconvert.preprocessing.pipeline import preprocess
from effconvert.preprocessing.recipes import Recipe
from effconvert.validate.data.image_hashes import HASH_BYTES, Hashes, image_hash

Batch = tuple[list[Path], NDArray[np.float32], Hashes]

_PIXELS_AT_ONCE = 32 * 224**2
_BYTES_AHEAD = 256 << 20


def named_images(paths: Sequence[str | Path]) -> list[Path]:
    """Return the images at `paths`, in that order; a folder gives all its images, sorted.

    Raises MissingPath with every path that does not exist; DatasetProblem with every folder without an image.
    """
    named = [Path(path) for path in paths]
    missing = [f"{path}: no such file or directory" for path in named if not path.exists()]
    if missing:
        raise MissingPath(_told("images that do not exist:", missing))
    found: list[Path] = []
    problems = []
    for path in named:
        try:
            found += [path] if path.is_file() else images_in(path)
        except DatasetProblem as error:
            problems.append(str(error))
    if problems:
        raise DatasetProblem(_told("no images:", problems))
    return found


def read_batches(images: Sequence[Path], recipe: Recipe) -> Iterator[Batch]:
    """Yield the images with the network's input, float32 [N, 3, size, size], and their hashes [N, 16].

    Up to 256 MB are prepared before the first batch, so that among few images a broken one is found before a network
    runs. After all images have been tried, raises DatasetProblem with every image that cannot be read.
    """
    pixels = recipe.size**2
    at_once = max(1, _PIXELS_AT_ONCE // pixels)
    ahead = max(at_once, _BYTES_AHEAD // (12 * pixels))
    problems: list[str] = []
    for start in range(0, len(images), ahead):
        paths = images[start : start + ahead]
        prepared = list(_prepared(paths, recipe, problems))
        if problems:  # try the others only to report all problems
            continue
        for first in range(0, len(paths), at_once):
            batch = slice(first, first + at_once)
            hashes = b"".join(found for _, found in prepared[batch])
            images_of_batch = np.stack([values for values, _ in prepared[batch]])
            yield list(paths[batch]), images_of_batch, np.frombuffer(hashes, np.uint8).reshape(-1, HASH_BYTES)
    if problems:
        raise DatasetProblem(_told("images that cannot be read:", problems))


def _prepared(
    paths: Sequence[Path], recipe: Recipe, problems: list[str]
) -> Iterator[tuple[NDArray[np.float32], bytes]]:
    """Yield each readable image with the hash of its bytes, and add the others to `problems`."""
    for path in paths:
        try:
            data = path.read_bytes()
            yield preprocess(data, recipe), image_hash(data)
        except OSError as error:
            problems.append(f"{path}: cannot be read: {error.strerror}")
        except DatasetProblem as error:
            problems.append(f"{path}: {str(error).removeprefix(f'an image of {len(data)} bytes: ')}")


def _told(heading: str, problems: Sequence[str]) -> str:
    return problems[0] if len(problems) == 1 else listing(heading, problems)
