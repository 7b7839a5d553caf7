"""The canonical network as layers in call order, each with the sorts of its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

from effconvert.architecture.canonical import Shape, tensor_shapes
from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Block, Variant, blocks

NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Layer:
    """A layer of the canonical network.

    part: `stem`, `block` or `head`. block: None outside the blocks. role: its name in the part, such as `expand.bn`.
    shapes: the shapes of its tensors.
    """

    part: str
    block: Block | None
    role: str
    shapes: Mapping[str, Shape]

    @property
    def name(self) -> str:
        """The canonical name."""
        return f"{self.part}.{self.role}" if self.block is None else f"blocks.{self.block.index}.{self.role}"

    @property
    def is_norm(self) -> bool:
        """Whether the layer is a BatchNorm."""
        return "running_var" in self.shapes

    @property
    def width(self) -> int:
        """The number of its outputs; for experts, the outputs of each."""
        return self.shapes["weight"][-4 if len(self.shapes["weight"]) > 3 else 0]

    def sort_of(self, tensor: str) -> str:
        """Return the sort of a tensor: in a file, all tensors of a sort have the same order of axes."""
        if self.is_norm:
            return "norm"
        squeeze = self.role.startswith("se.")
        if tensor == "bias":
            return "squeeze bias" if squeeze else "bias"
        shape = self.shapes[tensor]
        if len(shape) == 5:
            return "depthwise experts" if self.role.startswith("depthwise") else "experts"
        if squeeze:
            return "squeeze"
        if self.role.startswith("depthwise"):
            return "depthwise"
        if len(shape) == 4:
            return "pointwise" if shape[2:] == (1, 1) else "conv"
        return "routing" if self.role == "routing" else "dense"


def network_layers(variant: Variant, facts: Facts) -> list[Layer]:
    """Return every layer of the network in call order."""
    found: dict[str, dict[str, Shape]] = {}
    for name, shape in tensor_shapes(variant, facts).items():
        layer, _, tensor = name.rpartition(".")
        found.setdefault(layer, {})[tensor] = shape
    return [_layer(name, shapes, variant) for name, shapes in found.items()]


def _layer(name: str, shapes: Mapping[str, Shape], variant: Variant) -> Layer:
    part, _, role = name.partition(".")
    if part != "blocks":
        return Layer(part, None, role, shapes)
    index, _, role = role.partition(".")
    return Layer("block", blocks(variant)[int(index)], role, shapes)
