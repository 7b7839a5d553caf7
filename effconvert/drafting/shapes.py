"""Evidence from shapes: the facts of the network, and the order of axes of each sort of tensor."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from effconvert.architecture.canonical import default_facts, tensor_shapes
from effconvert.architecture.facts import Facts, changed
from effconvert.architecture.variants import VARIANTS, Variant, blocks, head_channels, stem_channels
from effconvert.drafting.layers_of_file import is_vector
from effconvert.drafting.network_layers import Layer, network_layers
from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.checkpoint import Shape
from effconvert.maps.axes import parse_axes
from effconvert.option_words import option

# The orders that frameworks have, by sort; "" is the canonical order. Height comes before width in all.
_CONV = ("", "HWIO -> OIHW", "OHWI -> OIHW", "HWOI -> OIHW", "IOHW -> OIHW")
_FLAT = ("OI -> OI11", "IO -> OI11")
_DENSE = ("", "IO -> OI", "OI11 -> OI", "11IO -> OI")
_VECTOR = ("", "1C11 -> C", "C11 -> C", "111C -> C", "11C -> C")
ORDERS = {
    "conv": _CONV,
    "pointwise": (*_CONV, *_FLAT),
    "squeeze": (*_CONV, *_FLAT),
    "depthwise": (
        *("", "HWCM -> CMHW", "HWMC -> CMHW", "MCHW -> CMHW", "MHWC -> CMHW", "CHWM -> CMHW"),
        *("CHW -> C1HW", "HWC -> C1HW"),
    ),
    "dense": _DENSE,
    "routing": _DENSE,
    "experts": ("", "E(OIHW) -> EOIHW", "E(HWIO) -> EOIHW", "EHWIO -> EOIHW"),
    "depthwise experts": ("", "E(CMHW) -> ECMHW", "E(HWCM) -> ECMHW", "EHWCM -> ECMHW"),
    "norm": _VECTOR,
    "bias": _VECTOR,
    "squeeze bias": _VECTOR,
}  # fmt: skip
# Sorts with the same order of axes as another sort, if both can have it.
_ALIKE = (("conv", "pointwise"), ("pointwise", "conv"), ("squeeze", "pointwise"))


@dataclass(frozen=True)
class Measured:
    """Evidence from shapes. layers: the network with `facts`, in call order. orders: {sort: orders that fit it}."""

    facts: Facts
    layers: tuple[Layer, ...]
    orders: Mapping[str, tuple[str, ...]]

    def shapes_of(self, layer: Layer, tensor: str) -> set[Shape]:
        """Return the possible shapes in the file of a tensor of the network."""
        orders = self.orders[layer.sort_of(tensor)]
        return {shape for order in orders if (shape := stored_shape(layer.shapes[tensor], order))}


def stored_shape(canonical: Shape, order: str) -> Shape | None:
    """Return the shape of a tensor in a file with this order of axes; None if that is not possible."""
    if not order:
        return canonical
    axes = parse_axes(order)
    try:
        return axes.source_shape(axes.letter_sizes(canonical))
    except ValueError:
        return None


def measure(tensors: Mapping[str, Shape], variant: Variant, where: str) -> Measured:
    """Return the evidence from the shapes of `tensors` for the network `variant`.

    Raises LayoutMismatch if they do not fit this network, with the variants that they fit.
    """
    held = Counter(tensors.values())
    facts = _facts(held, variant)
    layers = network_layers(variant, facts)
    orders, problems = _orders(layers, held)
    if problems:
        fitting = [name for name, other in VARIANTS.items() if other is not variant and _fits(held, other)]
        others = sorted(fitting, key=lambda name: -len(tensor_shapes(VARIANTS[name])))
        remedy = f"; the shapes fit {' or '.join(others)}: give {option('variant', others[0])}" if others else ""
        raise LayoutMismatch(listing(f"{where}: does not hold the tensors of {variant.name}{remedy}:", problems))
    _check_classifiers(tensors, variant, where)
    return Measured(facts, tuple(layers), orders)


def _fits(held: Counter[Shape], variant: Variant) -> bool:
    return not _orders(network_layers(variant, _facts(held, variant)), held)[1]


def _orders(layers: Iterable[Layer], held: Counter[Shape]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return {sort: the orders in which every tensor of the sort is found}, and what is missing."""
    sorts: dict[str, dict[str, Shape]] = {}
    for layer in layers:
        for tensor, shape in layer.shapes.items():
            sorts.setdefault(layer.sort_of(tensor), {})[f"{layer.name}.{tensor}"] = shape
    found, problems = {}, []
    for sort, shapes in sorts.items():
        missing = {order: _missing(shapes, order, held) for order in ORDERS[sort]}
        found[sort] = tuple(order for order, names in missing.items() if not names)
        if not found[sort]:
            nearest = min(missing.values(), key=len)
            words = "has no tensor of this shape" if len(nearest) < len(shapes) else "has no tensor of this sort"
            problems += [f"{name} {shapes[name]}: the file {words}" for name in nearest]
    for sort, like in _ALIKE:  # (8, 32, 1, 1) and (32, 8, 1, 1) are a pair in both orders
        alike = tuple(order for order in found.get(sort, ()) if order in found.get(like, ()))
        found |= {sort: alike} if alike else {}
    return found, problems


def _missing(shapes: Mapping[str, Shape], order: str, held: Counter[Shape]) -> list[str]:
    left = Counter(held)
    missing = []
    for name, shape in shapes.items():
        stored = stored_shape(shape, order)
        if stored is None or not left[stored]:
            missing.append(name)
        else:
            left[stored] -= 1
    return missing


def _check_classifiers(tensors: Mapping[str, Shape], variant: Variant, where: str) -> None:
    """Raise LayoutMismatch if layers with different numbers of classes read the features."""
    head = head_channels(variant)
    classes = _classes(tensors.values(), variant)
    if len(classes) > 1:
        shapes = [sorted((head, size)) for size in classes]
        names = [f"{name} {shape}" for name, shape in tensors.items() if sorted(shape) in shapes]
        heading = (
            f"{where}: several layers may be the classifier; leave out the others with {option('leave', ['PATTERN'])}:"
        )
        raise LayoutMismatch(listing(heading, names))


def _classes(held: Iterable[Shape], variant: Variant) -> list[int]:
    """Return the numbers of classes of all dense layers that may be the classifier."""
    held = set(held)
    vectors = {max(shape) for shape in held if is_vector(shape)}
    return [size for size in _sizes(held, _DENSE, {"I": head_channels(variant)}, "O") if size in vectors]


def _facts(held: Counter[Shape], variant: Variant) -> Facts:
    """Return the facts that shapes tell: channels of the images, convolution of the head, classes."""
    facts = default_facts(variant)
    channels = _sizes(held, _CONV, {"O": stem_channels(variant), "H": 3, "W": 3}, "I")
    # A depthwise kernel of the same width looks like a stem for images of one channel.
    channels = [size for size in channels if size > 1] or channels
    head, last = head_channels(variant), blocks(variant)[-1].out_channels
    has_head = any(held[shape] for order in (*_CONV, *_FLAT) if (shape := stored_shape((head, last, 1, 1), order)))
    classes = _classes(held, variant) if has_head else []
    return changed(
        facts,
        {
            "in_channels": 3 if 3 in channels else min(channels, default=3),
            "head_conv": has_head,
            "classes": facts.classes if facts.classes in classes else min(classes, default=0),
        },
    )


def _sizes(held: Iterable[Shape], orders: Iterable[str], known: Mapping[str, int], wanted: str) -> list[int]:
    """Return the sizes of the axis `wanted` in every shape whose other axes have the `known` sizes."""
    found = set()
    for order in orders:
        axes = parse_axes(order or {4: "OIHW -> OIHW", 2: "OI -> OI"}[2 if wanted == "O" else 4])
        for shape in held:
            if len(shape) != len(axes.source):
                continue
            sizes = dict(zip(axes.source, shape, strict=True))
            if sizes.pop("", 1) == 1 and all(sizes.get(letter) == size for letter, size in known.items()):
                found.add(sizes[wanted])
    return sorted(found)
