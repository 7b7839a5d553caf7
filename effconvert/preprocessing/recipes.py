"""Recipes: preprocessing of an image for a network, exactly as one library does it."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from effconvert.architecture.variants import Variant, find_variant
from effconvert.errors import LayoutMismatch, UnknownName, known_names
from effconvert.preprocessing.limits import LARGEST_SIZE
from effconvert.reference_tables.published_weights import choose
from effconvert.reference_tables.reading import recipe_tables
from effconvert.reference_tables.trainings import training_called
from effconvert.reference_tables.weights import weights_table
from effconvert.shown import Row, Shown

_OFFICIAL, _TIMM = "tf-official", "timm"
UNKNOWN = "unknown"
# {kind of channels: their number}; 0 is any number.
_CHANNELS = {"rgb": 3, "bgr": 3, "gray": 1, UNKNOWN: 0}
_LENGTHS = ("crop_padding", "shorter_side")
_LONGEST_SHOWN = 80
_LARGEST_NUMBER = 1e9  # of mean and std
_NOT_IN_A_RECIPE = ("layouts", "variants", "weights", "sizes", "source")


@dataclass(frozen=True, repr=False)
class Recipe(Shown):
    """A preprocessing, exactly as one library does it.

    decode, crop, resize: names of the steps; reference/recipes.toml defines each. crop_padding: pixels by which the
    crop is smaller than the image, at the scale of `size`. size: height and width in pixels. mean, std: for (pixel -
    mean) / std, a number for each channel, in units of pixels, 0 to 255. channels: `rgb`, `bgr`, `gray`, or `unknown`:
    any number of channels that no image file has; then mean 0 and std 1 mean that these are unknown too. shorter_side:
    the length in pixels to which the image's shorter side is resized before the crop; 0 where the crop comes first, or
    there is none.

    Raises LayoutMismatch with every value that a recipe cannot have.
    """

    name: str
    decode: str
    crop: str
    crop_padding: int
    size: int
    resize: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: str
    shorter_side: int = 0  # missing in recipes of old files

    def __post_init__(self) -> None:
        problems = [
            f"{name}={_shown(getattr(self, name))}: must be a string"
            for name in ("name", "decode", "crop", "resize", "channels")
            if not isinstance(getattr(self, name), str) or not getattr(self, name)
        ]
        problems += [
            f"{name}={_shown(getattr(self, name))}: must be a whole number of pixels, {least} to {most:,}"
            for name, least, most in (("size", 1, LARGEST_SIZE), *((name, 0, 2 * LARGEST_SIZE) for name in _LENGTHS))
            if type(getattr(self, name)) is not int or not least <= getattr(self, name) <= most
        ]
        if self.channels not in _CHANNELS:
            problems.append(f"channels={self.channels!r}: must be one of {', '.join(_CHANNELS)}")
        wanted = _CHANNELS.get(self.channels) or (len(self.mean) if isinstance(self.mean, tuple) else 1)
        problems += [
            f"{name}={_shown(getattr(self, name))}: must be {_counted(wanted)}{' above 0' if name == 'std' else ''}"
            for name in ("mean", "std")
            if not _are_numbers(getattr(self, name), wanted) or (name == "std" and min(self.std) <= 0)
        ]
        if problems:
            raise LayoutMismatch("recipe: " + "; ".join(problems))

    @property
    def line(self) -> str:
        """The steps in one line: decoder, crop, size, filter, normalisation."""
        side = f" of a shorter side of {self.shorter_side}" if self.shorter_side else ""
        crop = "whole image" if self.crop == "none" else f"crop {self.crop}{side}"
        mean, std = (", ".join(f"{number:g}" for number in numbers) for numbers in (self.mean, self.std))
        steps = f"decode {self.decode}, {crop}, {self.size} px {self.resize}, {self.channels}"
        return f"{self.name}: {steps}, mean ({mean}), std ({std})"

    def to_rows(self) -> list[Row]:
        """Return one row with every value."""
        return [dataclasses.asdict(self)]

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for JSON."""
        return dataclasses.asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    def at(self, size: int) -> "Recipe":
        """Return the recipe for images of `size` pixels; a shorter side is scaled in proportion."""
        return dataclasses.replace(self, size=size, shorter_side=self.shorter_side * size // self.size)

    @property
    def in_channels(self) -> int:
        """The number of channels of the network's input."""
        return len(self.mean)

    @property
    def is_normalised(self) -> bool:
        """Whether mean and std are known; they may be unknown only for unknown channels."""
        return self.channels != UNKNOWN or set(self.mean) != {0.0} or set(self.std) != {1.0}

    @property
    def pixel_steps(self) -> tuple[str | int, ...]:
        """The steps that decide the pixels; recipes with equal steps can share pixels before normalisation."""
        return self.decode, self.crop, self.crop_padding, self.resize, self.shorter_side, self.size

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """Return the recipe from the result of `to_dict`; only `shorter_side` may be missing, other keys are errors.

        Raises LayoutMismatch.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        problems = [f"{name} is missing" for name in known if name not in values and name != "shorter_side"]
        problems += [f"{name} is unknown" for name in values if name not in known]
        if problems:
            raise LayoutMismatch(f"recipe: {'; '.join(problems)}; its keys are {', '.join(known)}")
        numbers = {name: _tuple(values[name]) for name in ("mean", "std")}
        return cls(**dict(values) | numbers)


def recipe_for(layout: str, variant_name: str, weights: str | None = None, in_channels: int = 3) -> Recipe:
    """Return the preprocessing with which the library of `layout` evaluates weights; None is its usual weights.

    For another number of channels than three only timm defines a preprocessing, and only for one channel.

    layout: the name of a map; `canonical` counts as TensorFlow's. weights: a name in the library's publications,
    `imagenet1k_v2` or timm's `ra_in1k`, with timm also a network, `efficientnet_b0`. Except for timm, they need not be
    published for this variant: a user may train B0 as `ra`. The size is that of the published weights, else the
    library's size for the variant.

    Raises LayoutMismatch for a layout, variant or weights without a known preprocessing.
    """
    usual = _published(layout, find_variant(variant_name), weights)
    if in_channels == 3:
        return usual
    return gray(usual) if in_channels == 1 and layout == _TIMM else unknown(usual, in_channels)


def layouts_with_recipes() -> frozenset[str]:
    """Return the layouts with a preprocessing in reference/recipes.toml."""
    return frozenset({_TIMM}).union(*(table["layouts"] for table in recipe_tables().values()))


def gray(recipe: Recipe) -> Recipe:
    """Return `recipe` for networks with one channel: Pillow's conversion to `L`, with the average mean and std.

    timm does so: validate.py (`input_img_mode`) and timm/data/model_config.py of pytorch-image-models 1.0.31.
    """
    mean, std = ((round(sum(numbers) / len(numbers), 9),) for numbers in (recipe.mean, recipe.std))
    return dataclasses.replace(recipe, decode="pil-gray", channels="gray", mean=mean, std=std)


def unknown(recipe: Recipe, in_channels: int) -> Recipe:
    """Return `recipe` for networks with unknown channels and unknown normalisation."""
    mean, std = (0.0,) * in_channels, (1.0,) * in_channels
    return dataclasses.replace(recipe, channels=UNKNOWN, mean=mean, std=std)


def _published(layout: str, variant: Variant, weights: str | None) -> Recipe:
    if layout == _TIMM:
        return _timm_recipe(variant, weights)
    tables = {name: table for name, table in recipe_tables().items() if layout in table["layouts"]}
    if not tables:
        known = ", ".join(dict.fromkeys(known for table in recipe_tables().values() for known in table["layouts"]))
        raise LayoutMismatch(f"no preprocessing is known for the layout {layout!r}; known are {known}")
    tables = {name: table for name, table in tables.items() if variant.name in table["variants"]}
    if not tables:
        raise LayoutMismatch(f"no preprocessing is known for {variant.name} in the layout {layout}")
    asked = training_called(weights).lower() if weights else next(iter(tables.values()))["weights"][0]
    for name, table in tables.items():
        if asked in table["weights"]:
            return _recipe(name, table, *_sizes(name, table, variant, asked))
    known = known_names(asked, (name for table in tables.values() for name in table["weights"]))
    raise UnknownName(f"weights {asked!r} are unknown for {variant.name}; {known}")


def official_recipe(variant_name: str, weights: str | None = None) -> Recipe:
    """Return the preprocessing with which tensorflow/tpu evaluates a training; None is the usual training.

    Raises UnknownName for a variant or weights that are unknown.
    """
    return recipe_for(_OFFICIAL, variant_name, weights)


def recipe_named(name: str, variant_name: str, in_channels: int = 3) -> Recipe:
    """Return the preprocessing `name` of reference/recipes.toml, e.g. `timm-half`, at the size of a variant.

    timm's exist also for one channel. Raises UnknownName for an unknown name, and LayoutMismatch for a variant for
    which the preprocessing has no size, or for another number of channels.
    """
    named = _named(name, find_variant(variant_name))
    if in_channels == 3:
        return named
    if in_channels == 1 and _TIMM in recipe_tables()[name]["layouts"]:
        return gray(named)
    raise LayoutMismatch(f"the preprocessing {name} gives images with 3 channels; the network takes {in_channels}")


def _named(name: str, variant: Variant) -> Recipe:
    tables = recipe_tables()
    if name not in tables:
        raise UnknownName(f"the preprocessing {name!r} is unknown; {known_names(name, tables)}")
    table = tables[name]
    if _TIMM in table["layouts"] and "sizes" not in table:
        usual = _timm_recipe(variant, None)
        return _recipe(name, table, usual.shorter_side if table["crop"] != "none" else 0, usual.size)
    if "sizes" in table and variant.name not in table["sizes"]:
        raise LayoutMismatch(
            f"the preprocessing {name} has no size for {variant.name}, only for {', '.join(table['sizes'])}"
        )
    return _recipe(name, table, *_sizes(name, table, variant, table.get("weights", [""])[0]))


def _timm_recipe(variant: Variant, weights: str | None) -> Recipe:
    row = choose(variant.name, weights, _TIMM)
    table = recipe_tables()[row.recipe]
    if table["crop"] == "none" or row.crop_pct is None:
        return _recipe(row.recipe, table, 0, row.size)
    return _recipe(row.recipe, table, math.floor(row.size / row.crop_pct), row.size)


def _sizes(name: str, table: Mapping[str, Any], variant: Variant, weights: str) -> tuple[int, int]:
    """Return the shorter side and the size."""
    if "sizes" in table:
        shorter_side, size = table["sizes"][variant.name]
        return shorter_side, size
    asked = (name, variant.name, weights)
    sizes = [row.size for row in weights_table() if (row.recipe, row.variant, row.weights) == asked]
    return 0, sizes[0] if sizes else variant.resolution


def _recipe(name: str, table: Mapping[str, Any], shorter_side: int, size: int) -> Recipe:
    values = {key: value for key, value in table.items() if key not in _NOT_IN_A_RECIPE}
    return Recipe.from_dict({"name": name, "shorter_side": shorter_side, "size": size, **values})


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _shown(value: Any) -> str:
    """Return a wrong value for a message, not longer than it helps."""
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"


def _counted(count: int) -> str:
    return {1: "one number", 3: "three numbers"}.get(count, f"{count} numbers")


def _are_numbers(value: Any, count: int) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == count > 0
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in value)
        and all(-_LARGEST_NUMBER <= number <= _LARGEST_NUMBER for number in value)
    )
