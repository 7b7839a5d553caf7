"""The images that networks are compared on: drawn by a seed, or a user's own through a recipe."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.recipes import Recipe, recipe_named


@dataclass(frozen=True)
class Inputs:
    """Images float32 [N, C, H, W], normalised, and in plain values what they are."""

    images: NDArray[np.float32] = field(repr=False)
    words: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """The SHA-256 of the pixels, by which runs on the same images are known."""
        return hashlib.sha256(np.ascontiguousarray(self.images).tobytes()).hexdigest()


@dataclass(frozen=True)
class Images:
    """Which images the networks are shown.

    folder: of images, of which the first `count` go through `recipe`, as reference/recipes.toml calls it; None: `count`
    synthetic ones, drawn from `seed`. size: in pixels, where it is not the recipe's.
    """

    folder: Path | None = None
    count: int = 2
    seed: int = 0
    size: int | None = None
    recipe: str | None = None

    def prepared(self, usual: Recipe, variant: str) -> Inputs:
        """Return the images for a network of `variant`; what is not said is as in `usual`.

        Raises what `inputs_of_images` does, and LayoutMismatch for a recipe that is not known.
        """
        recipe = recipe_named(self.recipe, variant, usual.in_channels) if self.recipe else usual
        if self.size:
            recipe = recipe.at(self.size)
        if self.folder:
            return inputs_of_images(self.folder, recipe, self.count)
        return synthetic_inputs(self.count, recipe.size, self.seed, usual.in_channels)


def synthetic_inputs(count: int, size: int, seed: int, channels: int = 3) -> Inputs:
    """Return `count` structured images of `size` pixels square, the same for the same arguments."""
    images = synthetic_images(count, size, size, seed, channels)
    return Inputs(images, {"kind": "synthetic", "count": count, "size": size, "seed": seed})


def inputs_of_images(folder: Path, recipe: Recipe, count: int) -> Inputs:
    """Return the first `count` images of `folder`, by name, as `recipe` prepares them.

    Raises DatasetProblem for a folder without images or an image that cannot be read, Unavailable where the libraries
    that read images are missing, LayoutMismatch for a recipe that no image goes through.
    """
    from effconvert.validate.preprocessing.pipeline import check, image_files, preprocess

    check(recipe)
    files = image_files(folder)
    images = np.stack([preprocess(file, recipe) for file in files[:count]])
    names = [str(file.relative_to(folder)) for file in files[:count]]
    words = {"kind": "images", "count": len(names), "of": len(files), "files": names, "recipe": recipe.to_dict()}
    return Inputs(images, words | {"size": recipe.size})


def synthetic_images(count: int, height: int, width: int, seed: int = 0, channels: int = 3) -> NDArray[np.float32]:
    """Return `count` images float32 [N, channels, height, width] of zero mean and unit standard deviation each.

    A gradient, stripes and discs in random colours: edges at all angles, and no symmetry, so that swapped axes,
    channels or borders show. The values depend on the arguments only.
    """
    images = [_image(np.random.RandomState([seed, number]), (channels, height, width)) for number in range(count)]
    return np.stack(images) if images else np.empty((0, channels, height, width), np.float32)


def sensitivity(logits: NDArray[Any]) -> float:
    """Return how much `logits` [N, classes] depend on the image: 0 not at all, 1 as much as they can.

    It is the largest difference between two images in one class, divided by the range of all logits:
    max over c of (max over i of l[i, c] - min over i of l[i, c]) / (max l - min l). Constant logits give 0, and
    logits that are not finite give NaN, which exceeds no threshold. Raises ValueError for fewer than two images.
    """
    if logits.ndim != 2 or logits.shape[0] < 2 or logits.shape[1] < 1:
        raise ValueError(f"sensitivity needs logits [2 or more images, classes], not {list(logits.shape)}")
    values = np.asarray(logits, np.float64)
    if not np.isfinite(values).all():
        return float("nan")
    between_images, spread = float((values.max(0) - values.min(0)).max()), float(values.max() - values.min())
    return 0.0 if spread == 0 else between_images / spread


def _image(random: np.random.RandomState, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    channels, height, width = shape
    size = max(height, width)
    down, right = np.mgrid[0:height, 0:width] / size
    colours = random.normal(0, 1, (9, channels, 1, 1))
    image = colours[0] + 2 * colours[1] * down + 2 * colours[2] * right
    angle, frequency, phase = random.uniform(0, np.pi), random.uniform(4, 16), random.uniform(0, 2 * np.pi)
    along = np.cos(angle) * right + np.sin(angle) * down
    image = image + colours[3] * np.sin(2 * np.pi * frequency * along + phase)
    for colour in colours[4:]:
        y, x, radius = random.uniform(0, height), random.uniform(0, width), random.uniform(0.05, 0.25)
        image = np.where(np.hypot(down - y / size, right - x / size) < radius, 2 * colour, image)
    image = image + random.normal(0, 0.1, image.shape)
    return np.asarray((image - image.mean()) / image.std(), np.float32)
