"""Pipeline of a recipe: its steps in order, each computed as in the recipe's library."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem, LayoutMismatch, listing
from effconvert.option_words import option
from effconvert.preprocessing.decoding import DECODERS, Pixels, Window, decode
from effconvert.preprocessing.limits import check_pixels, pixels_allowed
from effconvert.preprocessing.recipes import UNKNOWN, Recipe
from effconvert.preprocessing.resizing import RESIZES, UNROUNDED


def preprocess(image: str | Path | bytes, recipe: Recipe, *, max_pixels: int | None = None) -> NDArray[np.float32]:
    """Return the network's input for `image`, a path or a file's bytes: float32 [channels, size, size], normalised.

    recipe: of the weights, e.g. `effconvert.load_model("b0.safetensors").recipe`; `recipe.at(size)` has another size in
    pixels. Channels are in the recipe's order. max_pixels: the most that the image may have; by default 67,108,864.

    Raises DatasetProblem for an image that cannot be read or is too small; LayoutMismatch for a recipe with unknown
    steps; Unavailable when a package is missing; TypeError for an image or a recipe of another type.

    Example: `effconvert.preprocess("cat.jpg", network.recipe)[None]` is a batch of one image, [1, 3, 224, 224] for b0.
    """
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe: {recipe!r} is not an effconvert.Recipe, such as effconvert.load_model(file).recipe")
    if not isinstance(image, str | Path | bytes):
        raise TypeError(f"image: {type(image).__name__} is not a path or the bytes of an image file")
    with pixels_allowed(max_pixels):
        values = pixels(image, recipe)
    if recipe.channels == "bgr":
        values = values[..., ::-1]
    elif recipe.channels == "gray":
        values = values[..., :1]
    mean, std = (np.array(numbers, np.float32)[:, None, None] for numbers in (recipe.mean, recipe.std))
    planes = values.transpose(2, 0, 1).astype(np.float32, order="C")
    planes -= mean
    planes /= std
    return planes


def pixels(image: str | Path | bytes, recipe: Recipe, out: Pixels | None = None) -> Pixels:
    """Return the image, a path or a file's bytes, decoded, cropped and resized: [size, size, 3], RGB, 0 to 255.

    For a recipe of gray images the three channels are equal.

    The dtype is that of `pixel_type`: uint8, or float32 where the library does not round (TensorFlow neither rounds nor
    clips).

    out: an array to write into, of that shape and dtype, and contiguous. After a failure its contents are undefined.

    Raises DatasetProblem for an image that cannot be read or is too small; LayoutMismatch for a recipe with unknown
    steps; Unavailable when a package is missing; ValueError for an unsuitable `out`.
    """
    check(recipe)
    shape, dtype = (recipe.size, recipe.size, 3), pixel_type(recipe)
    if out is None:
        out = np.empty(shape, dtype)
    elif (out.shape, out.dtype, out.flags.c_contiguous) != (shape, dtype, True):
        raise ValueError(f"out is {out.dtype} {out.shape}; it must be {dtype} {shape}, contiguous")
    try:
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        _prepare(data, recipe, out)
        return out
    except OSError as error:
        raise DatasetProblem(f"{image!s}: cannot be read: {error.strerror}") from error
    except (DatasetProblem, MemoryError) as error:
        words = "does not fit into memory" if isinstance(error, MemoryError) else str(error)
        name = f"an image of {len(data)} bytes" if isinstance(image, bytes) else str(image)
        raise DatasetProblem(f"{name}: {words}") from error


def pixel_type(recipe: Recipe) -> np.dtype[Any]:
    """Return the dtype of the pixels of `recipe`: float32 where its library does not round, else uint8."""
    return np.dtype(np.float32 if recipe.resize in UNROUNDED else np.uint8)


def check(recipe: Recipe) -> None:
    """Raise LayoutMismatch with every value in `recipe` that no step here implements."""
    steps = (("decode", DECODERS), ("crop", [*_CROPS, "none"]), ("resize", RESIZES))
    problems = [
        f"{step}={getattr(recipe, step)!r} is unknown; known are {', '.join(known)}"
        for step, known in steps
        if getattr(recipe, step) not in known
    ]
    if 0 < recipe.shorter_side < recipe.size and recipe.crop != "none":
        problems.append(f"the crop of {recipe.size} pixels is larger than the shorter side of {recipe.shorter_side}")
    if recipe.channels == UNKNOWN:
        raise LayoutMismatch(_unknown(recipe.in_channels))
    if problems:
        raise LayoutMismatch(listing(f"recipe {recipe.name}:", problems))


def _unknown(channels: int) -> str:
    if channels == 1:
        gray = option("recipe", "timm")
        return f"the preprocessing for its one channel is not known; {gray} converts images to gray, as timm does"
    if channels == 3:
        chosen = option("recipe")
        return f"the preprocessing for its 3 channels is not known; choose one with {chosen}, e.g. timm or tf-official"
    takes = f"`effconvert.load_model` in Python takes tensors [N, {channels}, height, width]"
    return f"the preprocessing for its {channels} channels is not known, and no image file has that many; {takes}"


class Geometry(NamedTuple):
    """Geometry of a recipe for one image size: cut out `crop`, resize it to height and width, keep `window`."""

    crop: Window
    height: int
    width: int
    window: Window


def geometry(recipe: Recipe, height: int, width: int) -> Geometry:
    """Return the geometry for an image of `height` x `width` pixels. Raises DatasetProblem if it is too small."""
    if recipe.shorter_side and recipe.crop != "none":
        scaled = _scaled(recipe, height, width)
        check_pixels(*scaled, f"{height:,} x {width:,} pixels become ")
        return Geometry(_whole(height, width), *scaled, _window(recipe, *scaled))
    crop = _whole(height, width) if recipe.crop == "none" else _window(recipe, height, width)
    return Geometry(crop, recipe.size, recipe.size, _whole(recipe.size, recipe.size))


def _prepare(data: bytes, recipe: Recipe, out: Pixels) -> None:
    places: list[Geometry] = []

    def crop(height: int, width: int) -> Window:
        places.append(geometry(recipe, height, width))
        return places[0].crop

    image = decode(data, recipe.decode, crop)
    RESIZES[recipe.resize](image, *places[0][1:], out)


def _whole(height: int, width: int) -> Window:
    return Window(0, 0, height, width)


def _scaled(recipe: Recipe, height: int, width: int) -> tuple[int, int]:
    """Return height and width after scaling the shorter one to the recipe's."""
    shorter, longer = sorted((height, width))
    if recipe.resize.startswith("mindspore"):  # in float32, so sometimes one pixel less
        scaled = int(np.float32(longer) / np.float32(shorter) * np.float32(recipe.shorter_side))
    else:
        scaled = int(recipe.shorter_side * longer / shorter)
    return (recipe.shorter_side, scaled) if height <= width else (scaled, recipe.shorter_side)


def _window(recipe: Recipe, height: int, width: int) -> Window:
    window = _CROPS[recipe.crop](recipe, height, width)
    if min(window.height, window.width) < 1:
        raise DatasetProblem(f"too small to crop: {height} x {width} pixels")
    return window


Crop = Callable[[Recipe, int, int], Window]


def _tf_center(recipe: Recipe, height: int, width: int) -> Window:
    share = np.float32(recipe.size / (recipe.size + recipe.crop_padding))
    side = int(share * np.float32(min(height, width)))
    return Window((height - side + 1) // 2, (width - side + 1) // 2, side, side)


def _mmpretrain_center(recipe: Recipe, height: int, width: int) -> Window:
    side = recipe.size / (recipe.size + recipe.crop_padding) * min(height, width)
    top, left = (max(0, round((length - side) / 2)) for length in (height, width))
    bottom, right = (int(start + side - 1) for start in (top, left))
    return Window(top, left, bottom - top + 1, right - left + 1)


def _torchvision_center(recipe: Recipe, height: int, width: int) -> Window:
    top, left = (round((length - recipe.size) / 2) for length in (height, width))
    return Window(top, left, recipe.size, recipe.size)


def _mindspore_center(recipe: Recipe, height: int, width: int) -> Window:
    return Window((height - recipe.size) // 2, (width - recipe.size) // 2, recipe.size, recipe.size)


_CROPS: dict[str, Crop] = {
    "tf-center": _tf_center,
    "mmpretrain-center": _mmpretrain_center,
    "torchvision-center": _torchvision_center,
    "mindspore-center": _mindspore_center,
}
