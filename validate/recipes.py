"""A recipe says how an image becomes the input of a network; the official one of every published training is known."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from effconvert.errors import LayoutMismatch
from effconvert.hub import published
from effconvert.reference_tables import recipe_tables
from effconvert.variants import find_variant


@dataclass(frozen=True)
class Recipe:
    """A preprocessing, exactly as one library does it.

    decode, crop, resize: names of the steps; reference/recipes.toml says what the official ones compute. crop_padding:
    pixels by which the crop is smaller than the image, at the scale of `size`. size: height and width in pixels. mean,
    std: (pixel - mean) / std for each of the three channels, in units of pixels, 0 to 255. channels: their order.

    Raises LayoutMismatch with every value that a recipe cannot have.
    """

    name: str
    decode: str
    crop: str
    crop_padding: int
    size: int
    resize: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: str = "rgb"

    def __post_init__(self) -> None:
        problems = [
            f"{name}={getattr(self, name)!r}: must be a text"
            for name in ("name", "decode", "crop", "resize", "channels")
            if not isinstance(getattr(self, name), str) or not getattr(self, name)
        ]
        problems += [
            f"{name}={getattr(self, name)!r}: must be a whole number of pixels, {least} or more"
            for name, least in (("size", 1), ("crop_padding", 0))
            if type(getattr(self, name)) is not int or getattr(self, name) < least
        ]
        problems += [
            f"{name}={getattr(self, name)!r}: must be three numbers{' above 0' if name == 'std' else ''}"
            for name in ("mean", "std")
            if not _is_triple(getattr(self, name)) or (name == "std" and min(self.std) <= 0)
        ]
        if self.channels not in ("rgb", "bgr"):
            problems.append(f"channels={self.channels!r}: must be rgb or bgr")
        if problems:
            raise LayoutMismatch("recipe: " + "; ".join(problems))

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for JSON."""
        return dataclasses.asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """Return the recipe that `to_dict` gave; every key must be there, and no other.

        Raises LayoutMismatch.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        problems = [f"{name} is missing" for name in known if name not in values]
        problems += [f"{name} is unknown" for name in values if name not in known]
        if problems:
            raise LayoutMismatch(f"recipe: {'; '.join(problems)}; its keys are {', '.join(known)}")
        triples = {name: _tuple(values[name]) for name in ("mean", "std")}
        return cls(**dict(values) | triples)


def official_recipe(variant_name: str, weights: str | None = None) -> Recipe:
    """Return the preprocessing that tensorflow/tpu evaluates a training with; `weights` None is the usual one.

    The training need not have been published for this variant: anybody may train B0 as `ra`. The size is that of the
    published weights, or else the variant's own.

    Raises LayoutMismatch for a variant or weights that are unknown.
    """
    variant = find_variant(variant_name)
    weights = weights.lower() if weights else "base"
    sizes = {row.weights: row.size for row in published(variant.name)}
    tables = {name: table for name, table in recipe_tables().items() if variant.name in table["variants"]}
    for name, table in tables.items():
        if weights in table["weights"]:
            left_out = ("variants", "weights", "source")
            values = {key: value for key, value in table.items() if key not in left_out}
            return Recipe.from_dict({"name": name, "size": sizes.get(weights, variant.resolution), **values})
    known = ", ".join(known for table in tables.values() for known in table["weights"])
    raise LayoutMismatch(f"weights {weights!r} are unknown for {variant.name}; known are {known}")


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_triple(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 3
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in value)
    )
