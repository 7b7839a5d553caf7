"""Small example without published weights: a TensorFlow checkpoint is made, converted, checked and run.

Beside it are synthetic images, each in the folder of the class that the network predicts for it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.conversion.loading import load_model
from effconvert.conversion.outputs import BUNDLE_PREFIX
from effconvert.conversion.steps import Report, convert
from effconvert.errors import NumericMismatch, listing
from effconvert.formats import Array, TensorInfo, open_checkpoint
from effconvert.formats.checkpoint import as_bytes
from effconvert.formats.tensorflow.bundle import write_bundle
from effconvert.identify.inspection import Inspection, inspect
from effconvert.identify.weight_sets import average_name
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_moves, invert
from effconvert.model.calibration import calibrate, random_weights, sensitivity, synthetic_images
from effconvert.model.network import EfficientNet, create_model
from effconvert.preprocessing import synthetic
from effconvert.preprocessing.decoding import image_package
from effconvert.preprocessing.pipeline import preprocess
from effconvert.preprocessing.recipes import Recipe, official_recipe
from effconvert.validate.data.classes import imagenet_classes

_VARIANT = "b0"
_IMAGES = "images"
WRITTEN = {
    f"efficientnet-{_VARIANT}", f"{_VARIANT}.safetensors", f"{_VARIANT}-raw.safetensors", "back", "back-raw", _IMAGES,
}  # fmt: skip
# Below this sensitivity a network ignores its images.
_LEAST_SENSITIVITY = 0.1
_TOLERANCE = 2e-5


@dataclass(frozen=True)
class Example:
    """The files and measurements of the example.

    returned: number of tensors that came back bit for bit. sensitivity: of the logits of two images. difference:
    between the logits of the original and the converted network, relative to the largest. images: a folder of images,
    each in the folder of the class that the original network predicts.
    """

    checkpoint: Path
    converted: Path
    source: Inspection
    report: Report
    result: Inspection
    returned: int
    sensitivity: float
    difference: float
    images: Path


def make_example(folder: Path) -> Example:
    """Write a TensorFlow checkpoint of a calibrated random B0 into `folder`, convert it, and check the result.

    Raises NumericMismatch when a check fails.
    """
    checkpoint, converted = folder / f"efficientnet-{_VARIANT}", folder / f"{_VARIANT}.safetensors"
    averages, raw = _calibrated(seed=0), _calibrated(seed=1)
    _write_checkpoint(checkpoint, averages, raw)
    source = inspect(checkpoint)
    report = convert(checkpoint, converted, force=True)
    convert(checkpoint, folder / f"{_VARIANT}-raw.safetensors", raw=True, force=True)
    returned = _prove_inverse(checkpoint, converted, folder / "back", "average")
    returned += _prove_inverse(checkpoint, folder / f"{_VARIANT}-raw.safetensors", folder / "back-raw", "raw")
    images = synthetic_images(2, 224, 224, seed=7)
    with torch.inference_mode():
        expected, logits = averages(images), load_model(converted)(images)
    difference = float((logits - expected).abs().max() / expected.abs().max())
    seen = sensitivity(logits)
    if not (difference <= _TOLERANCE and seen >= _LEAST_SENSITIVITY):  # also for NaN
        raise NumericMismatch(f"{converted}: logits differ by {difference:.1e}, sensitivity {seen:.2f}")
    write_images(folder / _IMAGES, averages, official_recipe(_VARIANT))
    result = inspect(converted)
    return Example(checkpoint, converted, source, report, result, returned, seen, difference, folder / _IMAGES)


def _calibrated(seed: int) -> EfficientNet:
    network = random_weights(create_model(_VARIANT), seed)
    return calibrate(network, synthetic_images(8, 128, 128, seed=seed), seed=seed)


def _write_checkpoint(folder: Path, averages: EfficientNet, raw: EfficientNet) -> None:
    """Write both networks as the two sets of weights of one official checkpoint."""
    layout, variant = find_layout("tf-official"), VARIANTS[_VARIANT]
    tensors: dict[str, Array] = {"global_step": np.array(218949, np.int64)}
    for move in invert(compile_moves(layout, variant, default_facts(variant))):
        tensors[move.target] = move.apply(raw.state_dict()[move.source].numpy())
        tensors[average_name(layout, move.target)] = move.apply(averages.state_dict()[move.source].numpy())
    folder.mkdir(exist_ok=True)
    names = sorted(tensors)
    infos = [TensorInfo(name, tensors[name].shape, tensors[name].dtype) for name in names]
    arrays = (np.ascontiguousarray(tensors[name]).reshape(tensors[name].shape) for name in names)
    data, index = (folder / f"{BUNDLE_PREFIX}.{suffix}" for suffix in ("data-00000-of-00001", "index"))
    with data.open("wb") as data_file, index.open("wb") as index_file:
        write_bundle(data_file, index_file, infos, arrays)


def _prove_inverse(checkpoint: Path, converted: Path, back: Path, names: str) -> int:
    """Convert back, compare every tensor of the set with the checkpoint bit for bit, and return their number."""
    convert(converted, back, to="tf-official", names=names, force=True)
    layout, variant = find_layout("tf-official"), VARIANTS[_VARIANT]
    plain = [move.source for move in compile_moves(layout, variant)]
    wanted = plain if names == "raw" else [average_name(layout, name) for name in plain]
    with open_checkpoint(checkpoint) as original, open_checkpoint(back) as returned:
        problems = [f"{name}: is missing" for name in wanted if name not in returned.tensors]
        if not problems:
            problems = [name for name in wanted if as_bytes(original.read(name)) != as_bytes(returned.read(name))]
    if problems:
        raise NumericMismatch(listing(f"{back}: these tensors differ from {checkpoint}:", problems))
    return len(wanted)


_COUNT, _HEIGHT, _WIDTH = 20, 240, 320


def write_images(folder: Path, network: EfficientNet, recipe: Recipe) -> int:
    """Write JPEGs into `folder`, in a folder per class as in ImageNet, and return their number."""
    simplejpeg = image_package("simplejpeg")
    drawn = synthetic.synthetic_images(_COUNT, _HEIGHT, _WIDTH, seed=11).transpose(0, 2, 3, 1)
    pixels = np.clip(drawn * 50 + 120, 0, 255).astype(np.uint8)
    files = [simplejpeg.encode_jpeg(np.ascontiguousarray(image), 92, colorsubsampling="420") for image in pixels]
    with torch.inference_mode():
        seen = network(torch.from_numpy(np.stack([preprocess(file, recipe) for file in files]))).argmax(1).tolist()
    for number, (file, index) in enumerate(zip(files, seen, strict=True)):
        path = folder / imagenet_classes().identifiers[index] / f"demo_{number:02}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file)
    return len(files)
