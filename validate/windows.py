"""Which part of an image a recipe shows the network, in pixels of the image itself."""

from dataclasses import dataclass

from effconvert.validate.recipes import Recipe


@dataclass(frozen=True)
class Extent:
    """A part of an image, in fractions of pixels."""

    top: float
    left: float
    height: float
    width: float

    def scaled(self, vertically: float, horizontally: float) -> "Extent":
        """Return the same part of an image that is so many times as high and as wide."""
        return Extent(
            self.top * vertically, self.left * horizontally, self.height * vertically, self.width * horizontally
        )


def extent_of(recipe: Recipe, height: int, width: int) -> Extent:
    """Return what `recipe` shows of an image of `height` x `width` pixels, not rounded to whole ones."""
    if recipe.crop == "none":
        return Extent(0, 0, height, width)
    shorter = min(height, width)
    if recipe.shorter_side:  # resized first
        side = shorter * min(1.0, recipe.size / recipe.shorter_side)
    else:
        side = shorter * recipe.size / (recipe.size + recipe.crop_padding)
    return Extent((height - side) / 2, (width - side) / 2, side, side)
