"""Synthetic images made from a seed, and the sensitivity of a network's logits to its images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def synthetic_images(count: int, height: int, width: int, seed: int = 0, channels: int = 3) -> NDArray[np.float32]:
    """Return `count` images float32 [N, channels, height, width], each with zero mean and unit standard deviation.

    They have a gradient, stripes and discs in random colours: edges at all angles and no symmetry, so that exchanged
    axes, channels or borders change the result. The values depend only on the arguments.
    """
    images = [_image(np.random.RandomState([seed, number]), (channels, height, width)) for number in range(count)]
    return np.stack(images) if images else np.empty((0, channels, height, width), np.float32)


def sensitivity(logits: NDArray[Any]) -> float:
    """Return how much `logits` [N, classes] depend on the image: 0 is not at all, 1 is the maximum.

    This is the largest difference between two images in one class, divided by the range of all logits:
    max over c of (max over i of l[i, c] - min over i of l[i, c]) / (max l - min l). Constant logits give 0; logits that
    are not finite give NaN, which is above no threshold. Raises ValueError for fewer than two images.
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
