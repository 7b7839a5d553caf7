"""Synthetic JPEGs that take a decoder as long as photographs."""

import io

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH, QUALITY = 375, 500, 92


def photograph(seed: int) -> bytes:
    """Return a JPEG of smooth noise at every scale, stronger at coarse scales, with some grain."""
    random = np.random.default_rng(seed)
    image = np.zeros((HEIGHT, WIDTH, 3))
    for columns in (4, 8, 16, 32, 64, 128, 256):
        noise = random.normal(size=(max(2, columns * HEIGHT // WIDTH), columns, 3))
        image += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * columns**-0.9
    image = (image - image.mean()) / image.std() * 55 + 120 + random.normal(0, 10, (HEIGHT, WIDTH, 1))
    file = io.BytesIO()
    Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=QUALITY, subsampling=2)
    return file.getvalue()
