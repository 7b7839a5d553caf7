"""The axes of a map, such as `HWIO -> OIHW`: reshapes and a permutation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from effconvert.errors import BadMap

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Axes:
    """The axes of a source and of its target; each axis is a string of letters, empty for an axis of size one."""

    source: tuple[str, ...]
    target: tuple[str, ...]

    def letter_sizes(self, target_shape: Shape) -> dict[str, int]:
        """Return the size of each letter, taken from the shape of the target.

        Raises ValueError if the shape does not fit.
        """
        if len(target_shape) != len(self.target):
            raise ValueError(f"{len(self.target)} axes, but the shape {target_shape} has {len(target_shape)}")
        sizes = {}
        for letters, size in zip(self.target, target_shape, strict=True):
            if len(letters) > 1:
                raise ValueError("the target's axes are flattened; their sizes do not follow from its shape")
            if not letters and size != 1:
                raise ValueError(f"an axis of size one has the size {size} in {target_shape}")
            if letters:
                sizes[letters] = size
        return sizes

    def source_shape(self, sizes: Mapping[str, int]) -> Shape:
        """Return the shape of the source for these sizes of letters."""
        return tuple(math.prod(sizes[letter] for letter in letters) for letters in self.source)

    def parted(self, sizes: Mapping[str, int]) -> tuple[Shape, tuple[int, ...]]:
        """Return the shape of the source with one axis for each letter, and the permutation to the target's axes."""
        letters, wanted = "".join(self.source), "".join(self.target)
        return tuple(sizes[letter] for letter in letters), tuple(letters.index(letter) for letter in wanted)


def parse_axes(text: str) -> Axes:
    """Return the axes in `text`, such as `E(HWIO) -> EOIHW` or `1C11 -> C`. Raises BadMap with the reason."""
    sides = text.split("->")
    if len(sides) != 2:
        raise BadMap(f"{text!r} must read 'source -> target'")
    source, target = (_parse_side(side.strip(), text) for side in sides)
    for letters in (source, target):
        flat = "".join(letters)
        if len(set(flat)) != len(flat):
            raise BadMap(f"{text!r} has an axis twice on one side")
    if set("".join(source)) != set("".join(target)):
        raise BadMap(f"{text!r} must have the same axes on both sides")
    if any(len(letters) > 1 for letters in target):
        raise BadMap(f"{text!r} flattens axes on the canonical side; only the source's can be flattened")
    return Axes(source, target)


def _parse_side(side: str, text: str) -> tuple[str, ...]:
    axes: list[str] = []
    group: str | None = None
    for character in side:
        if character == "(" and group is None:
            group = ""
        elif character == ")" and group:
            axes.append(group)
            group = None
        elif character.isascii() and character.isupper():
            if group is None:
                axes.append(character)
            else:
                group += character
        elif character == "1" and group is None:
            axes.append("")
        else:
            raise BadMap(f"{text!r}: {character!r} is not an axis (a capital letter, 1, or letters in parentheses)")
    if group is not None:
        raise BadMap(f"{text!r}: a parenthesis is not closed")
    if not axes:
        raise BadMap(f"{text!r}: a side is empty")
    return tuple(axes)
