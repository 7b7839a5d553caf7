"""Shared helpers of the tests of predict and features: files of small calibrated networks, and images."""

import struct
from pathlib import Path
from typing import Any

import torch
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import effconvert
from effconvert.model import EfficientNet, create_model
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from helpers.pictures import picture, saved

SIZE = 64


def seeing(variant: str = "b0", seed: int = 5, **facts: Any) -> EfficientNet:
    """Return a network that tells images of 64 pixels apart."""
    network = random_weights(create_model(variant, **facts), seed)
    images = synthetic_images(8, SIZE, SIZE, seed=11, channels=network.facts.in_channels)
    return calibrate(network, images, seed=seed)


def written(network: EfficientNet, path: Path, to: str = "canonical") -> Path:
    """Write the network in a layout, with its facts, and return `path`."""
    source = path.with_name(f"state-of-{path.name}.pth")
    torch.save(network.state_dict(), source)
    facts = {n: v for n, v in network.facts.to_dict().items() if n not in ("classes", "head_conv")}
    effconvert.convert(source, path, to=to, variant=network.variant.name, facts=facts)
    source.unlink()
    return path


def encrypted(plain: Path, path: Path, key: bytes) -> Path:
    """Write the MindSpore checkpoint encrypted, as one block of AES-GCM, and return `path`."""
    vector = bytes(range(16))
    sealed = AESGCM(key).encrypt(vector[:12], plain.read_bytes(), None)
    content, tag = sealed[:-16], sealed[-16:]
    rest = struct.pack("<I", 16) + vector + struct.pack("<I", len(content)) + content
    path.write_bytes(struct.pack("<I", 0x7F3A5ED8) + tag + struct.pack("<I", len(rest)) + rest)
    return path


def pictures(folder: Path, count: int = 2) -> list[Path]:
    """Write JPEG files `0.jpg`, `1.jpg`, … of other pictures each, and return them."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(saved(picture(80 + 7 * number, 90, number), quality=90))
    return paths
