"""The layers of a file: tensors that share a parent's name."""

from collections.abc import Mapping
from dataclasses import dataclass

from effconvert.drafting.contents import SEPARATORS
from effconvert.formats.checkpoint import Shape


@dataclass(frozen=True)
class FileLayer:
    """Tensors with a common parent. tensors: {name in the layer: shape}; separator: the text before that name."""

    name: str
    separator: str
    tensors: Mapping[str, Shape]

    @property
    def vectors(self) -> list[str]:
        """The tensors with at most one axis longer than one."""
        return [tensor for tensor, shape in self.tensors.items() if is_vector(shape)]

    @property
    def kernels(self) -> list[str]:
        """All other tensors."""
        return [tensor for tensor, shape in self.tensors.items() if not is_vector(shape)]

    def full(self, tensor: str) -> str:
        """Return the full name of a tensor."""
        return f"{self.name}{self.separator}{tensor}" if tensor else self.name


def is_vector(shape: Shape) -> bool:
    """Return whether at most one axis is longer than one; a tensor of two axes is a kernel, even with one output."""
    return sum(size > 1 for size in shape) <= 1 and len(shape) != 2


def separator_of(tensors: Mapping[str, Shape]) -> str:
    """Return the text between a layer and its tensors in most names; "" if there is none."""
    counts = {separator: sum(separator in name for name in tensors) for separator in SEPARATORS}
    best = max(counts, key=lambda separator: counts[separator])
    return best if counts[best] > len(tensors) / 2 else ""


def layers_of(tensors: Mapping[str, Shape], separator: str) -> list[FileLayer]:
    """Return the layers of a file, in its order. A single vector joins the only kernel below its parent."""
    parents: dict[str, dict[str, Shape]] = {}
    for name, shape in tensors.items():
        parent, found, tensor = name.rpartition(separator) if separator else (name, "", "")
        if not found:
            parent, tensor = name, ""
        parents.setdefault(parent, {})[tensor] = shape
    layers = [FileLayer(name, separator, held) for name, held in parents.items()]
    return _with_biases_above(layers, separator) if separator else layers


def _with_biases_above(layers: list[FileLayer], separator: str) -> list[FileLayer]:
    """Join `conv.bias` and `conv.inner.weight`: some libraries keep the bias one level above."""
    below: dict[str, list[FileLayer]] = {}
    for layer in layers:
        below.setdefault(layer.name.rpartition(separator)[0], []).append(layer)
    joined, gone = [], set()
    for layer in layers:
        inner = below.get(layer.name, [])
        if len(layer.tensors) == 1 == len(layer.vectors) and len(inner) == 1 and len(inner[0].kernels) == 1:
            if inner[0].vectors:
                continue
            tail = inner[0].name.removeprefix(layer.name + separator)
            tensors = {f"{tail}{separator}{tensor}": shape for tensor, shape in inner[0].tensors.items()}
            joined.append(FileLayer(layer.name, separator, {**layer.tensors, **tensors}))
            gone |= {layer.name, inner[0].name}
    return [layer for layer in layers if layer.name not in gone] + joined
