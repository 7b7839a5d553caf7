"""The preprocessor_config.json beside weights of Hugging Face, for its EfficientNetImageProcessor.

Source: huggingface/transformers 5.23, models/efficientnet/image_processing_efficientnet.py and its base class. It
resizes before it crops. Missing values have the default of transformers.
"""

import reprlib
from collections.abc import Mapping
from typing import Any

from effconvert.errors import LayoutMismatch, listing
from effconvert.preprocessing.recipes import UNKNOWN, Recipe

_Numbers = tuple[float, ...]

_UNSAID: dict[str, Any] = {
    "do_resize": True,
    "size": {"height": 346, "width": 346},
    "resample": 3,
    "do_center_crop": False,
    "crop_size": {"height": 289, "width": 289},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "rescale_offset": False,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "include_top": True,
}
_FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # PIL's numbers
_WHOLE, _CENTER = "none", "mindspore-center"  # the crops of reference/recipes.toml that it has


def make_preprocessor(recipe: Recipe) -> dict[str, Any]:
    """Return preprocessor_config.json for the nearest processing to `recipe` that the image processor has.

    A crop of the original image becomes the same part of the resized one. Raises LayoutMismatch for a filter or an
    order of channels that the image processor does not have.
    """
    numbers = {name: number for number, name in _FILTERS.items()}
    resample = numbers.get(recipe.resize.rpartition("-")[2])
    problems = []
    if resample is None:
        problems.append(f"resize {recipe.resize}: it knows only {', '.join(numbers)}")
    if recipe.channels == "bgr":
        problems.append("channels bgr: it keeps the order of the image, rgb")
    if problems:
        raise LayoutMismatch(listing("Hugging Face's image processor does not have this recipe:", problems))
    square = {"height": recipe.size, "width": recipe.size}
    whole = recipe.crop == _WHOLE
    return {
        "image_processor_type": "EfficientNetImageProcessor",
        "do_resize": True,
        "size": square if whole else {"shortest_edge": recipe.shorter_side or recipe.size + recipe.crop_padding},
        "resample": resample,
        "do_center_crop": not whole,
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "rescale_offset": False,
        "do_normalize": True,
        "image_mean": [round(value / 255, 9) for value in recipe.mean],
        "image_std": [round(value / 255, 9) for value in recipe.std],
        "include_top": False,  # or it divides by image_std once more
    }


def recipe_of(values: Mapping[str, Any], in_channels: int = 3) -> Recipe:
    """Return the recipe that preprocessor_config.json describes, for a network with `in_channels`.

    Raises LayoutMismatch with every value that is impossible in a recipe.
    """
    said = {**_UNSAID, **values}
    crop = side_of(said["crop_size"]) if said["do_center_crop"] else None
    size, shorter_side = side_of(said["size"]), _shortest_edge(said["size"])
    problems = []
    if not said["do_resize"]:
        problems.append("do_resize false: the size of the input is missing")
    elif crop and not shorter_side:
        problems.append(f"size {reprlib.repr(said['size'])} with a crop, expected a shortest_edge")
    elif not crop and not size:
        problems.append(f"size {reprlib.repr(said['size'])} without a crop, expected one height and width")
    if said["do_center_crop"] and crop is None:
        problems.append(f"crop_size {reprlib.repr(said['crop_size'])}, expected one height and width")
    if type(said["resample"]) is not int or said["resample"] not in _FILTERS:
        problems.append(f"resample {reprlib.repr(said['resample'])}, expected one of {', '.join(map(str, _FILTERS))}")
    statistics = _statistics(said, in_channels)
    if statistics is None:
        problems.append("rescale_factor, image_mean or image_std: are not numbers for a normalisation")
    if problems or statistics is None:
        raise LayoutMismatch(listing("preprocessor_config.json describes a recipe that is not known:", problems))
    return Recipe(
        name="huggingface",
        decode="pil-gray" if in_channels == 1 else "pil",
        crop=_CENTER if crop else _WHOLE,
        crop_padding=0,
        size=crop or size or 0,
        resize=f"pil-{_FILTERS[said['resample']]}",
        mean=statistics[0],
        std=statistics[1],
        channels={1: "gray", 3: "rgb"}.get(in_channels, UNKNOWN),
        shorter_side=shorter_side or 0,
    )


def side_of(value: Any) -> int | None:
    """Return the side of a square: 224, [224, 224] or {"height": 224, "width": 224}; None for anything else."""
    sides = list(value.values()) if isinstance(value, dict) and value.keys() == {"height", "width"} else value
    sides = [sides] * 2 if type(sides) is int else sides
    if not isinstance(sides, list) or len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        return None
    return int(sides[0]) if sides[0] == sides[1] else None


def is_number(value: Any) -> bool:
    """Return whether `value` is a number of JSON that does not overflow."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _shortest_edge(size: Any) -> int | None:
    edge = size["shortest_edge"] if isinstance(size, dict) and size.keys() == {"shortest_edge"} else None
    return edge if type(edge) is int and edge > 0 else None


def _statistics(said: Mapping[str, Any], in_channels: int) -> tuple[_Numbers, _Numbers] | None:
    """Return mean and std in units of pixels; None if they are not numbers.

    The processor computes (scale * pixel - offset - mean) / std, and with include_top divides by std once more.
    """
    scale = said["rescale_factor"] if said["do_rescale"] else 1.0
    mean, std = _numbers(said["image_mean"], in_channels), _numbers(said["image_std"], in_channels)
    if not mean or not std or min(std) < 1e-9 or not is_number(scale) or scale < 1e-9:
        return None
    offset = 1.0 if said["do_rescale"] and said["rescale_offset"] else 0.0
    divisions = bool(said["do_normalize"]) + bool(said["include_top"])
    means = [(offset + (value if said["do_normalize"] else 0.0)) / scale for value in mean]
    stds = [value**divisions / scale for value in std]
    # Without the noise of the division by 255: the square of 0.47853944 is 0.229.
    return tuple(round(value, 4) for value in means), tuple(round(value, 4) for value in stds)


def _numbers(value: Any, in_channels: int) -> list[float] | None:
    """Return one number for each channel; a single number counts for all."""
    values = [value] * in_channels if is_number(value) else value
    return values if isinstance(values, list) and len(values) == in_channels and all(map(is_number, values)) else None
