"""Images that a user names, through a recipe, in batches that memory has room for."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from effconvert.validate.preprocessing.pipeline import image_files, preprocess
from effconvert.validate.recipes import Recipe
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, MissingPath, listing

Batch = tuple[list[Path], NDArray[np.float32]]

_PIXELS_AT_ONCE = 32 * 224**2
_BYTES_AHEAD = 256 << 20


def named_images(paths: Sequence[str | Path]) -> list[Path]:
    """Return the images that `paths` name, in that order; of a folder all that are in it, sorted.

    Raises MissingPath with every path that does not exist; DatasetProblem with every folder without an image.
    """
    named = [Path(path) for path in paths]
    missing = [f"{path}: no such file or directory" for path in named if not path.exists()]
    if missing:
        raise MissingPath(_told("images that are not there:", missing))
    found: list[Path] = []
    problems = []
    for path in named:
        try:
            found += [path] if path.is_file() else image_files(path)
        except DatasetProblem as error:
            problems.append(str(error))
    if problems:
        raise DatasetProblem(_told("no images:", problems))
    return found


def batches(images: Sequence[Path], recipe: Recipe) -> Iterator[Batch]:
    """Yield the images with what the network gets of them, float32 [N, 3, size, size].

    Up to 256 MB are prepared before the first is given, so that of few images a broken one is found before a network
    runs. Raises DatasetProblem with every image that cannot be read, once all have been tried.
    """
    pixels = recipe.size**2
    at_once = max(1, _PIXELS_AT_ONCE // pixels)
    ahead = max(at_once, _BYTES_AHEAD // (12 * pixels))
    problems: list[str] = []
    for start in range(0, len(images), ahead):
        paths = images[start : start + ahead]
        prepared = list(_prepared(paths, recipe, problems))
        if problems:  # the others are still to be tried, and nothing comes of what can be read
            continue
        for first in range(0, len(paths), at_once):
            batch = slice(first, first + at_once)
            yield list(paths[batch]), np.stack(prepared[batch])
    if problems:
        raise DatasetProblem(_told("images that cannot be read:", problems))


def _prepared(paths: Sequence[Path], recipe: Recipe, problems: list[str]) -> Iterator[NDArray[np.float32]]:
    """Yield what can be read, and add to `problems` what cannot."""
    for path in paths:
        try:
            yield preprocess(path, recipe)
        except DatasetProblem as error:
            problems.append(str(error))


def _told(heading: str, problems: Sequence[str]) -> str:
    return problems[0] if len(problems) == 1 else listing(heading, problems)
