"""Makes mindspore.npz with MindSpore 2.10: run it with PYTHONPATH=tests from the top of the project."""

from pathlib import Path

import numpy as np
from mindspore.dataset import vision

from helpers.pictures import file

STEPS = {"mindcv": vision.Inter.BICUBIC, "mindvision": vision.Inter.LINEAR}

arrays = {}
for kind, height, width in (("4:2:0", 188, 250), ("gray", 131, 97), ("PNG", 200, 313)):
    data = np.frombuffer(file(kind, height, width), np.uint8)
    arrays[f"{kind} file"] = data
    for name, interpolation in STEPS.items():
        image = vision.CenterCrop(224)(vision.Resize(256, interpolation)(vision.Decode()(data)))
        arrays[f"{kind} {name}"] = image[::4]
np.savez_compressed(Path(__file__).with_name("mindspore.npz"), **arrays)
