"""Trained networks and photographs from Python packages, and programs that run the networks."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from PIL import Image

import effconvert
from effconvert.demo.packages import LABELLED, PHOTOGRAPHS
from effconvert.hub.addresses import installed_path, package_file
from effconvert.reference_tables.published_weights import choose
from helpers.frameworks.torch_runners import module_of

VARIANTS = ("lite0", "lite1", "lite2")
SIZES = {"lite0": 224, "lite1": 240, "lite2": 260}
CHELSEA, COFFEE = map(installed_path, PHOTOGRAPHS)
OF_IMAGENET = {
    path: int(path.stem.rpartition("_")[2]) for path in sorted(installed_path(LABELLED).parent.glob("imagenet_*.jpg"))
}
FILES = (CHELSEA, COFFEE, *OF_IMAGENET)


def prepared(path: Path, size: int) -> NDArray[np.float32]:
    """Prepare a photograph by Pillow alone, as Google's Lite: its middle, resized to `size`, (pixel - 127) / 128."""
    image = Image.open(path).convert("RGB")
    side = int(np.float32(size / (size + 32)) * np.float32(min(image.size)))
    left, top = ((length - side + 1) // 2 for length in image.size)
    middle = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BILINEAR)
    return (np.asarray(middle, np.float32).transpose(2, 0, 1) - 127) / 128


@dataclass(frozen=True)
class Trained:
    """A trained network: its published file, and what it is converted to, in `folder`."""

    variant: str
    folder: Path

    @cached_property
    def row(self):
        return choose(self.variant, framework="lukemelas")

    @cached_property
    def published(self) -> Path:
        return installed_path(package_file(self.row.url))

    @cached_property
    def images(self) -> NDArray[np.float32]:
        return np.stack([prepared(path, SIZES[self.variant]) for path in FILES])

    @cached_property
    def own_logits(self) -> NDArray[np.float32]:
        """Return the output of efficientnet-lite-pytorch's network, which loads the published file itself."""
        network = EfficientNet.from_pretrained(f"efficientnet-{self.variant}", weights_path=str(self.published)).eval()
        with torch.inference_mode():
            return network(torch.from_numpy(self.images)).numpy()

    def converted(self, to: str, source: Path | None = None) -> Path:
        """Convert to a layout, once."""
        suffix = "" if to == "tf-official" else ".safetensors" if to == "canonical" else ".pth"
        output = self.folder / f"{self.variant}-{to}{suffix}"
        if not output.exists():
            effconvert.convert(source or self.published, output, to=to)
        return output

    def tensorflow_logits(self) -> NDArray[np.float32]:
        """Return the output of TensorFlow's operations with the converted checkpoint, by the runner of `verify`."""
        facts = {"padding": "tf-same", "bn_eps": 1e-3, "activation": "relu6", "fused_stride": "project"}
        settings = {
            "variant": self.variant,
            "name": self.variant,
            "raw": False,
            "classes": 1000,
            "head_conv": True,
            "in_channels": 3,
        }
        file = str(self.converted("tf-official"))
        inputs = {"images": self.images}
        network = module_of("tensorflow").make_network(file, None, {**settings, **facts}, inputs)
        return network.forward({})["logits"]
