"""A recipe says how an image becomes the input of a network, exactly as one library does it."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from effconvert.architecture.variants import Variant, find_variant
from effconvert.errors import LayoutMismatch
from effconvert.reference_tables.published_weights import choose
from effconvert.reference_tables.reading import recipe_tables
from effconvert.reference_tables.weights import weights_table

_OFFICIAL, _TIMM = "tf-official", "timm"
UNKNOWN = "unknown"
# {what the channels are: how many}; of unknown ones there may be any number.
_CHANNELS = {"rgb": 3, "bgr": 3, "gray": 1, UNKNOWN: 0}
_NOT_IN_A_RECIPE = ("layouts", "variants", "weights", "sizes", "source")


@dataclass(frozen=True)
class Recipe:
    """A preprocessing, exactly as one library does it.

    decode, crop, resize: names of the steps; reference/recipes.toml says what each computes. crop_padding: pixels by
    which the crop is smaller than the image, at the scale of `size`. size: height and width in pixels. mean, std:
    (pixel - mean) / std, a number for each channel, in units of pixels, 0 to 255. channels: what they are: `rgb` or
    `bgr`; `gray`; or `unknown`, of any number, which no image file has: mean 0 and std 1 are then not known either.
    shorter_side: pixels that the image's shorter side is resized to before the crop; 0 where the crop comes first, or
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
    shorter_side: int = 0  # younger than files that hold a recipe

    def __post_init__(self) -> None:
        problems = [
            f"{name}={getattr(self, name)!r}: must be a text"
            for name in ("name", "decode", "crop", "resize", "channels")
            if not isinstance(getattr(self, name), str) or not getattr(self, name)
        ]
        problems += [
            f"{name}={getattr(self, name)!r}: must be a whole number of pixels, {least} or more"
            for name, least in (("size", 1), ("crop_padding", 0), ("shorter_side", 0))
            if type(getattr(self, name)) is not int or getattr(self, name) < least
        ]
        if self.channels not in _CHANNELS:
            problems.append(f"channels={self.channels!r}: must be one of {', '.join(_CHANNELS)}")
        wanted = _CHANNELS.get(self.channels) or (len(self.mean) if isinstance(self.mean, tuple) else 1)
        problems += [
            f"{name}={getattr(self, name)!r}: must be {_counted(wanted)}{' above 0' if name == 'std' else ''}"
            for name in ("mean", "std")
            if not _are_numbers(getattr(self, name), wanted) or (name == "std" and min(self.std) <= 0)
        ]
        if problems:
            raise LayoutMismatch("recipe: " + "; ".join(problems))

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for JSON."""
        return dataclasses.asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    def at(self, size: int) -> "Recipe":
        """Return the recipe for networks that take images of `size` pixels; a shorter side keeps its proportion."""
        return dataclasses.replace(self, size=size, shorter_side=self.shorter_side * size // self.size)

    @property
    def in_channels(self) -> int:
        """How many channels an image becomes."""
        return len(self.mean)

    @property
    def is_normalised(self) -> bool:
        """Whether mean and std are known: only of unknown channels they may not be."""
        return self.channels != UNKNOWN or set(self.mean) != {0.0} or set(self.std) != {1.0}

    @property
    def pixel_steps(self) -> tuple[str | int, ...]:
        """What decides the pixels: two recipes that agree in it can share them and normalise each in its own way."""
        return self.decode, self.crop, self.crop_padding, self.resize, self.shorter_side, self.size

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """Return the recipe that `to_dict` gave; every key must be there but `shorter_side`, and no other.

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
    """Return the preprocessing that the library of `layout` evaluates weights with; `weights` None are its usual ones.

    Of other than three channels only timm says how they come about, and only of one.

    layout: as the maps call it; `canonical` is taken for TensorFlow's. weights: as the library's publications are
    called, `imagenet1k_v2` or timm's `ra_in1k`; of timm also a network, `efficientnet_b0`. But for timm's they need not
    have been published for this variant: anybody may train B0 as `ra`. The size is that of the published weights, or
    else the library's for the variant.

    Raises LayoutMismatch for a layout, variant or weights whose preprocessing is not known.
    """
    usual = _published(layout, find_variant(variant_name), weights)
    if in_channels == 3:
        return usual
    return gray(usual) if in_channels == 1 and layout == _TIMM else unknown(usual, in_channels)


def layouts_with_recipes() -> frozenset[str]:
    """Return the layouts whose preprocessing reference/recipes.toml knows."""
    return frozenset({_TIMM}).union(*(table["layouts"] for table in recipe_tables().values()))


def gray(recipe: Recipe) -> Recipe:
    """Return `recipe` for networks of one channel: as Pillow converts to `L`, normalised by the average mean and std.

    timm does so: validate.py (`input_img_mode`) and timm/data/model_config.py of pytorch-image-models 1.0.31.
    """
    mean, std = ((round(sum(numbers) / len(numbers), 9),) for numbers in (recipe.mean, recipe.std))
    return dataclasses.replace(recipe, decode="pil-gray", channels="gray", mean=mean, std=std)


def unknown(recipe: Recipe, in_channels: int) -> Recipe:
    """Return `recipe` for networks of which nobody says what the channels are, nor how they are normalised."""
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
    asked = weights.lower() if weights else next(iter(tables.values()))["weights"][0]
    for name, table in tables.items():
        if asked in table["weights"]:
            return _recipe(name, table, *_sizes(name, table, variant, asked))
    known = ", ".join(known for table in tables.values() for known in table["weights"])
    raise LayoutMismatch(f"weights {asked!r} are unknown for {variant.name}; known are {known}")


def official_recipe(variant_name: str, weights: str | None = None) -> Recipe:
    """Return the preprocessing that tensorflow/tpu evaluates a training with; `weights` None is the usual one.

    Raises LayoutMismatch for a variant or weights that are unknown.
    """
    return recipe_for(_OFFICIAL, variant_name, weights)


def recipe_named(name: str, variant_name: str, in_channels: int = 3) -> Recipe:
    """Return the preprocessing that reference/recipes.toml calls `name`, as `timm-half`, at the size of a variant.

    timm's are also for one channel. Raises LayoutMismatch for a name that it does not have, a variant that the
    preprocessing has no size for, or another number of channels.
    """
    named = _named(name, find_variant(variant_name))
    if in_channels == 3:
        return named
    if in_channels == 1 and _TIMM in recipe_tables()[name]["layouts"]:
        return gray(named)
    raise LayoutMismatch(f"the preprocessing {name} gives images of 3 channels, the network takes {in_channels}")


def _named(name: str, variant: Variant) -> Recipe:
    tables = recipe_tables()
    if name not in tables:
        raise LayoutMismatch(f"no preprocessing is called {name!r}; known are {', '.join(tables)}")
    table = tables[name]
    if _TIMM in table["layouts"]:
        usual = _timm_recipe(variant, None)
        return _recipe(name, table, usual.shorter_side if table["crop"] != "none" else 0, usual.size)
    if "sizes" in table and variant.name not in table["sizes"]:
        raise LayoutMismatch(
            f"the preprocessing {name} has no size for {variant.name}, only for {', '.join(table['sizes'])}"
        )
    return _recipe(name, table, *_sizes(name, table, variant, table["weights"][0]))


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


def _counted(count: int) -> str:
    return {1: "one number", 3: "three numbers"}.get(count, f"{count} numbers")


def _are_numbers(value: Any, count: int) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == count > 0
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in value)
    )
