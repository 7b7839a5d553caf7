"""Input images of a comparison: synthetic ones from a seed, or a user's own through a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.preprocessing.recipes import Recipe, recipe_named
from effconvert.preprocessing.synthetic import synthetic_images
from effconvert.verification.runners.base import pixels_sha256


@dataclass(frozen=True)
class Inputs:
    """Images float32 [N, C, H, W], normalised, with a description in plain values."""

    images: NDArray[np.float32] = field(repr=False)
    words: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """The SHA-256 of the pixels, which identifies runs on the same images."""
        return pixels_sha256(self.images)


@dataclass(frozen=True)
class Images:
    """The user's choice of images.

    folder: of images; the first `count` are preprocessed by `recipe`, a name in reference/recipes.toml. None: `count`
    synthetic images from `seed`. size: in pixels, instead of the recipe's.
    """

    folder: Path | None = None
    count: int = 2
    seed: int = 0
    size: int | None = None
    recipe: str | None = None

    def prepared(self, usual: Recipe, variant: str) -> Inputs:
        """Return the images for a network of `variant`; anything not chosen is as in `usual`.

        Raises the errors of `inputs_of_images`, and LayoutMismatch for an unknown recipe.
        """
        recipe = recipe_named(self.recipe, variant, usual.in_channels) if self.recipe else usual
        if self.size:
            recipe = recipe.at(self.size)
        if self.folder:
            return inputs_of_images(self.folder, recipe, self.count)
        return synthetic_inputs(self.count, recipe.size, self.seed, usual.in_channels)


def synthetic_inputs(count: int, size: int, seed: int, channels: int = 3) -> Inputs:
    """Return `count` synthetic images of `size` x `size` pixels, the same for the same arguments."""
    images = synthetic_images(count, size, size, seed, channels)
    return Inputs(images, {"kind": "synthetic", "count": count, "size": size, "seed": seed})


def inputs_of_images(folder: Path, recipe: Recipe, count: int) -> Inputs:
    """Return the first `count` images of `folder`, by name, preprocessed by `recipe`.

    Raises DatasetProblem for a folder without images or an unreadable image, Unavailable when a package for reading
    images is missing, LayoutMismatch for a recipe that cannot work.
    """
    from effconvert.preprocessing.image_files import images_in
    from effconvert.preprocessing.pipeline import check, preprocess

    check(recipe)
    files = images_in(folder)
    images = np.stack([preprocess(file, recipe) for file in files[:count]])
    names = [str(file.relative_to(folder)) for file in files[:count]]
    words = {"kind": "images", "count": len(names), "of": len(files), "files": names, "recipe": recipe.to_dict()}
    return Inputs(images, words | {"size": recipe.size})
