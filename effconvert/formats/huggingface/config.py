"""The config.json beside weights of Hugging Face, which describes the network and so its facts.

Source: huggingface/transformers 5.23, models/efficientnet (configuration_efficientnet.py, modeling_efficientnet.py).
Missing values have the default of transformers: B7's.
"""

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.facts import MOST_CHANNELS, Facts
from effconvert.architecture.variants import VARIANTS, Variant, blocks, head_channels
from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.huggingface.preprocessor import is_number, recipe_of, side_of
from effconvert.formats.strict_json import read_json_object
from effconvert.preprocessing.recipes import Recipe

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
_HEADLESS = "EfficientNetModel"

_STRUCTURE: dict[str, Any] = {
    "depth_divisor": 8,
    "kernel_sizes": [3, 3, 5, 3, 5, 5, 3],
    "in_channels": [32, 16, 24, 40, 80, 112, 192],
    "out_channels": [16, 24, 40, 80, 112, 192, 320],
    "strides": [1, 2, 2, 2, 1, 2, 1],
    "num_block_repeats": [1, 2, 2, 3, 3, 4, 1],
    "expand_ratios": [1, 6, 6, 6, 6, 6, 6],
    "squeeze_expansion_ratio": 0.25,
    "pooling_type": "mean",
}
_UNSAID: dict[str, Any] = {
    **_STRUCTURE,
    "num_channels": 3,
    "image_size": 600,
    "width_coefficient": 2.0,
    "depth_coefficient": 3.1,
    "depthwise_padding": [],
    "hidden_act": "swish",
    "hidden_dim": 2560,
    "batch_norm_eps": 1e-3,
    "num_labels": 2,
}
_ACTIVATIONS = {"swish": "silu", "silu": "silu", "relu": "relu", "relu6": "relu6"}


@dataclass(frozen=True)
class Network:
    """The network in config.json, with the recipe in preprocessor_config.json.

    size: the image size in pixels for which the paddings are made. recipe: None if there is no known one. cautions:
    warnings about anything that facts and recipe cannot express. labels: names of the classes; empty if they only have
    numbers.
    """

    variant: Variant
    facts: Facts
    size: int
    recipe: Recipe | None = None
    cautions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def make_config(variant: Variant, facts: Facts, size: int | None = None, labels: Sequence[str] = ()) -> dict[str, Any]:
    """Return config.json for the network of `variant` with `facts`, for images of `size` pixels, by default its own.

    labels: names of the classes. Raises LayoutMismatch if transformers does not have this network.
    """
    size = size or variant.resolution
    problems = [f"{variant.name}: transformers does not have it"] if not _is_scaled_b0(variant) else []
    if facts.padding != "tf-same":
        problems.append(f"padding {facts.padding}: its network pads as TensorFlow does")
    if not facts.head_conv:
        problems.append("head_conv False: its network always has the head's convolution")
    if size % 2:
        problems.append(f"image_size {size}: its stem pads odd sizes differently from TensorFlow; only even sizes fit")
    if problems:
        raise LayoutMismatch(listing("Hugging Face cannot hold this network:", problems))
    return {
        "architectures": ["EfficientNetForImageClassification" if facts.classes else _HEADLESS],
        "model_type": "efficientnet",
        **_STRUCTURE,
        "num_channels": facts.in_channels,
        "image_size": size,
        "width_coefficient": variant.width,
        "depth_coefficient": variant.depth,
        "depthwise_padding": depthwise_padding(variant, size),
        "hidden_act": "swish" if facts.activation == "silu" else facts.activation,
        "hidden_dim": head_channels(variant),
        "batch_norm_eps": facts.bn_eps,
        "dropout_rate": variant.dropout,
        **(_label_maps(labels) if len(labels) == facts.classes > 0 else {"num_labels": facts.classes}),
    }


def network_of(values: Mapping[str, Any]) -> Network:
    """Return the network that config.json describes: the inverse of `make_config`.

    Raises LayoutMismatch with every value that is impossible for an EfficientNet.
    """
    said = {**_UNSAID, **values}
    problems = [
        f"{key} {_shown(said[key])}, expected {expected}"
        for key, expected in _STRUCTURE.items()
        if _plain(said[key]) != expected
    ]
    found = [v for v in VARIANTS.values() if _is_scaled_b0(v) and v.width == said["width_coefficient"]]
    variant = next((v for v in found if v.depth == said["depth_coefficient"]), None)
    if variant is None:
        scales = f"{_shown(said['width_coefficient'])}, depth_coefficient {_shown(said['depth_coefficient'])}"
        problems.append(f"width_coefficient {scales}: no variant has these")
    elif said["hidden_dim"] != head_channels(variant):
        problems.append(f"hidden_dim {_shown(said['hidden_dim'])}, expected {head_channels(variant)} of {variant.name}")
    activation = _ACTIVATIONS.get(said["hidden_act"]) if isinstance(said["hidden_act"], str) else None
    if activation is None:
        problems.append(f"hidden_act {_shown(said['hidden_act'])}, expected one of {', '.join(_ACTIVATIONS)}")
    bn_eps, size, classes = said["batch_norm_eps"], side_of(said["image_size"]), _classes(said)
    if not is_number(bn_eps) or not 0 < bn_eps < 1:
        problems.append(f"batch_norm_eps {_shown(bn_eps)}, expected a number between 0 and 1")
    if size is None:
        problems.append(f"image_size {_shown(said['image_size'])}, expected one number of pixels")
    if classes is None:
        problems.append(f"num_labels {_shown(said['num_labels'])}, expected a number of classes")
    channels = said["num_channels"]
    if type(channels) is not int or not 1 <= channels <= MOST_CHANNELS:
        problems.append(f"num_channels {_shown(channels)}, expected a number from 1 to {MOST_CHANNELS:,}")
    if problems or variant is None or activation is None or size is None or classes is None:
        raise LayoutMismatch(listing("describes a network that is not known:", problems))
    facts = replace(
        default_facts(variant),
        bn_eps=float(bn_eps),
        activation=activation,
        classes=classes,
        in_channels=channels,
    )
    cautions = _padding_cautions(variant, size, said["depthwise_padding"])
    return Network(variant, facts, size, cautions=cautions, labels=_labels(said.get("id2label"), classes))


def _label_maps(labels: Sequence[str]) -> dict[str, Any]:
    return {
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }


def _labels(named: Any, classes: int) -> tuple[str, ...]:
    """Return the names of the classes; empty if there are none, or only the numbers of transformers."""
    if not isinstance(named, dict) or len(named) != classes:
        return ()
    labels = [named.get(str(number)) for number in range(classes)]
    texts = tuple(label for label in labels if isinstance(label, str))
    numbered = tuple(f"LABEL_{number}" for number in range(classes))
    return texts if len(texts) == classes and texts != numbered else ()


def contradictions(said: Network, variant: Variant, facts: Facts) -> list[str]:
    """Return the differences between config.json and the tensors, which tell `variant` and the classes of `facts`."""
    problems = []
    if said.variant != variant:
        problems.append(f"{CONFIG} describes {said.variant.name}, the tensors are {variant.name}'s")
    if facts.classes and said.facts.classes != facts.classes:
        problems.append(f"{CONFIG} has {said.facts.classes:,} classes, the classifier {facts.classes:,}")
    if said.facts.in_channels != facts.in_channels:
        told = f"{CONFIG} has num_channels {said.facts.in_channels}"
        problems.append(f"{told}, the first convolution takes {facts.in_channels}")
    return problems


def depthwise_padding(variant: Variant, size: int) -> list[int]:
    """Return the strided blocks with an input of odd size, which pad both sides equally; images have `size` pixels."""
    side, found = math.ceil(size / 2), []
    for block in blocks(variant):
        if block.stride == 2 and side % 2:
            found.append(block.index)
        side = math.ceil(side / block.stride)
    return found


def read_config(folder: Path) -> Network | None:
    """Return the network in the two files of `folder`; None without a config.json, or with another model's (timm's).

    Raises UnreadableCheckpoint for a file that is not JSON, LayoutMismatch for a network that is not an EfficientNet;
    the messages name the file. A preprocessing without a recipe gives a warning.
    """
    if not (folder / CONFIG).is_file():
        return None
    values = read_json_object(folder / CONFIG)
    if values.get("model_type") != "efficientnet":
        return None
    try:
        said = network_of(values)
    except LayoutMismatch as error:
        raise LayoutMismatch(f"{folder / CONFIG}: {error}") from error
    if not (folder / PREPROCESSOR).is_file():
        return said
    steps = read_json_object(folder / PREPROCESSOR)
    try:
        return replace(said, recipe=recipe_of(steps, said.facts.in_channels))
    except LayoutMismatch as error:
        return replace(said, cautions=(*said.cautions, str(error)))


def _is_scaled_b0(variant: Variant) -> bool:
    return (variant.stages, variant.se_ratio, variant.scale_ends) == (VARIANTS["b0"].stages, 0.25, True)


def _padding_cautions(variant: Variant, size: int, said: Any) -> tuple[str, ...]:
    wanted = depthwise_padding(variant, size)
    if size % 2:
        return (f"{CONFIG}: its stem pads images of {size} pixels differently from TensorFlow; even sizes agree",)
    if not isinstance(said, list) or not all(type(index) is int for index in said):
        return (f"{CONFIG}: depthwise_padding {_shown(said)} is not a list of blocks",)
    strided = {block.index for block in blocks(variant) if block.stride == 2}
    if set(said) & strided == set(wanted):
        return ()
    words = f"depthwise_padding {_shown(said)} instead of {wanted} for image_size {size}"
    return (f"{CONFIG}: {words}: its network pads differently from TensorFlow",)


def _classes(said: Mapping[str, Any]) -> int | None:
    """Return the number of classes: 0 for a bare model, else the names in id2label, else num_labels."""
    if said.get("architectures") == [_HEADLESS]:
        return 0
    names = said.get("id2label")
    number = len(names) if isinstance(names, dict) else said["num_labels"]
    return number if type(number) is int and number >= 0 else None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    return reprlib.repr(value)
