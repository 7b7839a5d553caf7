"""Images for the demo: JPEGs drawn by code, each in the folder of the class that a network sees in it."""

from pathlib import Path

import numpy as np
import torch

from effconvert.model.network import EfficientNet
from effconvert.preprocessing.decoding import image_package
from effconvert.preprocessing.pipeline import preprocess
from effconvert.preprocessing.recipes import Recipe
from effconvert.preprocessing.synthetic import synthetic_images
from effconvert.validate.data.classes import imagenet_classes

_COUNT, _HEIGHT, _WIDTH = 20, 240, 320


def write_images(folder: Path, network: EfficientNet, recipe: Recipe) -> int:
    """Write JPEGs below `folder`, a folder a class as ImageNet has them, and return their number."""
    simplejpeg = image_package("simplejpeg")
    drawn = synthetic_images(_COUNT, _HEIGHT, _WIDTH, seed=11).transpose(0, 2, 3, 1)
    pixels = np.clip(drawn * 50 + 120, 0, 255).astype(np.uint8)
    files = [simplejpeg.encode_jpeg(np.ascontiguousarray(image), 92, colorsubsampling="420") for image in pixels]
    with torch.inference_mode():
        seen = network(torch.from_numpy(np.stack([preprocess(file, recipe) for file in files]))).argmax(1).tolist()
    for number, (file, index) in enumerate(zip(files, seen, strict=True)):
        path = folder / imagenet_classes().identifiers[index] / f"demo_{number:02}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file)
    return len(files)
