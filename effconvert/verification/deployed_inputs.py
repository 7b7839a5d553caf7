"""How a deployed file takes its images: learnt from its graph, set by the user, and tried where the answers differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.deployed.files import DeployedFile
from effconvert.deployed.graph import Quantization
from effconvert.deployed.layers import answer_of
from effconvert.deployed.needs import Normalization
from effconvert.option_words import flag, option
from effconvert.preprocessing.recipes import Recipe

NORMALISED, UNIT, PIXELS = "normalised", "0-1", "0-255"  # what the numbers of an image are when a file takes them
RANGES = (NORMALISED, UNIT, PIXELS)
_UNITS = {NORMALISED: None, UNIT: 1, PIXELS: 255}
_LIKE_PIXELS = 2.0  # a std of pixels is about 58, one of numbers from 0 to 1 about 0.23
_ALIKE = 0.003  # of the std: two normalisations that differ by less are one that was rounded; 127 is not 127.5
# Normalisations that files are made with, in pixels: mean, std, and what people call them.
_OTHERS = (
    ((127.5,) * 3, (127.5,) * 3, "(pixel - 127.5) / 127.5"),
    ((127.0,) * 3, (128.0,) * 3, "(pixel - 127) / 128"),
    ((127.5,) * 3, (128.0,) * 3, "(pixel - 127.5) / 128"),
    ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "ImageNet's mean and std"),
    ((0.0,) * 3, (255.0,) * 3, "pixel / 255"),
    ((0.0,) * 3, (1.0,) * 3, "pixels as they are"),
)


@dataclass(frozen=True)
class InputWay:
    """How images are given to a file.

    range: one of RANGES. bgr: blue first. swapped: width before height. other: a normalisation in pixels, in place of
    the recipe's. undone: the normalisation of the graph; images are given so that behind it they are as the weights
    want them.
    """

    range: str
    bgr: bool = False
    swapped: bool = False
    other: Normalization | None = None
    undone: Normalization | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {"range": self.range, "bgr": self.bgr}


@dataclass(frozen=True)
class Attempt:
    """Another way to give images to a file. words: the fault, if it is the right one; change: what to do."""

    way: InputWay
    words: str
    change: str


def way_of(file: DeployedFile, given_range: str | None = None, bgr: bool = False) -> InputWay:
    """Return how `file` takes images, by its graph, unless the user says it."""
    found = file.needs.normalization
    if given_range is not None:
        return InputWay(given_range, bgr)
    if found is None:
        return InputWay(NORMALISED, bgr)
    return InputWay(UNIT if max(found.std) < _LIKE_PIXELS else PIXELS, bgr)


def disagreement(file: DeployedFile, recipe: Recipe) -> str:
    """Return how the normalisation in the graph differs from the recipe's, "" if it does not or there is none."""
    found = file.needs.normalization
    if found is None:
        return ""
    unit = 255.0 if max(found.std) < _LIKE_PIXELS else 1.0
    mean, std = (np.broadcast_to(np.array(values) * unit, len(recipe.mean)) for values in (found.mean, found.std))
    apart = max(np.abs((mean - recipe.mean) / recipe.std).max(), np.abs(std / recipe.std - 1).max())
    if apart <= _ALIKE:
        return ""
    ours, theirs = (_numbers(recipe.mean, recipe.std), _numbers(mean, std))
    return f"its graph normalises pixels with {theirs}, but the weights want {ours}"


def settings_of_input(way: InputWay, file: DeployedFile) -> dict[str, Any]:
    """Return the part of a runner's settings that says how images are given."""
    needs = file.needs
    return {
        "layout": needs.layout,
        "unit": _UNITS[way.range],
        "bgr": way.bgr,
        "swapped": way.swapped,
        "input": {"dtype": needs.dtype, **_quantization(needs.quantization)},
        "output": {"dtype": needs.output_dtype, **_quantization(needs.output_quantization)},
        "batch": needs.batch,
        "answer": answer_of(file.graph).name,
        "outputs": [one.name for one in file.graph.outputs],
        "softmax": needs.ends == "softmax",
        "quantised": file.is_quantised,
        "layers": list(file.layers.outputs.items()),  # in order
    }


def images_for(way: InputWay, images: NDArray[np.float32], recipe: Recipe) -> NDArray[np.float32]:
    """Return `images` [N, C, H, W], normalised by the recipe, as a runner gets them for `way`.

    The runner makes pixels of them with the recipe's mean and std, if the file takes pixels.
    """
    if way.other is None and way.undone is None:
        return images
    mean, std = _columns(recipe.mean, recipe.std)
    if way.other is not None:
        others = _columns(way.other.mean, way.other.std)
        return ((images * std + mean - others[0]) / others[1]).astype(np.float32)
    assert way.undone is not None
    own = _columns(way.undone.mean, way.undone.std)
    scale = 255 / (_UNITS[way.range] or 255)
    return (((images * own[1] + own[0]) * scale - mean) / std).astype(np.float32)


def _columns(*values: Sequence[float]) -> tuple[NDArray[np.float64], ...]:
    return tuple(np.reshape(np.asarray(each, np.float64), (1, -1, 1, 1)) for each in values)


def attempts(way: InputWay, recipe: Recipe, file: DeployedFile) -> Iterator[Attempt]:
    """Yield the other ways to give images to a file, one change at a time."""
    channels = file.needs.channels
    if words := disagreement(file, recipe):
        undone = replace(way, undone=file.needs.normalization)
        yield Attempt(
            undone, "another normalisation inside", f"{words}: export it again with the numbers of the weights"
        )
    if channels == 3:
        first = "red" if way.bgr else "blue"
        change = f"leave {flag('input_bgr')} away" if way.bgr else f"{flag('input_bgr')}, or export it with red first"
        yield Attempt(replace(way, bgr=not way.bgr), f"the file takes {first} first", change)
    yield Attempt(replace(way, swapped=True), "height and width are exchanged", "export it with height before width")
    for name in RANGES:
        if name != way.range:
            words = {
                NORMALISED: "the file takes normalised images: its graph's normalisation is not the first",
                UNIT: "the file takes pixels divided by 255: normalisation is inside, or was left out",
                PIXELS: "the file takes pixels from 0 to 255: normalisation is inside, or was left out",
            }[name]
            yield Attempt(InputWay(name, way.bgr), words, option("input_range", name))
    if way.range == NORMALISED and channels == 3:
        for mean, std, words in _OTHERS[:4]:
            if not np.allclose((mean, std), (recipe.mean, recipe.std), atol=1e-3):
                yield Attempt(
                    replace(way, other=Normalization(mean, std)),
                    f"the file was made for images normalised as {words}",
                    f"prepare its images with {words}",
                )


def _quantization(found: Quantization | None) -> dict[str, float]:
    return {} if found is None else {"scale": found.scale, "zero_point": found.zero_point}


def _numbers(*numbers: Sequence[float] | NDArray[np.float64]) -> str:
    means, stds = (", ".join(f"{value:g}" for value in np.round(values, 3)) for values in numbers)
    return f"mean {means} and std {stds}"
