"""Names and shapes of every tensor of the canonical network, computed from a variant and its facts."""

from functools import lru_cache

from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Block, Variant, blocks, head_channels, stem_channels

Shape = tuple[int, ...]

CANONICAL = "canonical"  # what this project's own layout is called
CANONICAL_NAMES = ("pytorch", "torch", "pt", "effconvert")  # its other names: its network is in PyTorch

_BN_TENSORS = ("weight", "bias", "running_mean", "running_var")
_STATISTICS = ("running_mean", "running_var")


def default_facts(variant: Variant) -> Facts:
    """Return the facts of the official TensorFlow network of `variant`."""
    return Facts(activation=variant.activation, classes=variant.classes)


def tensor_shapes(variant: Variant, facts: Facts | None = None) -> dict[str, Shape]:
    """Return {name: shape} of every canonical tensor, in file order, with PyTorch's order of axes."""
    return dict(_shapes(variant, facts or default_facts(variant)))


@lru_cache(maxsize=256)  # files may have any number of classes and channels
def _shapes(variant: Variant, facts: Facts) -> dict[str, Shape]:
    stem = stem_channels(variant)
    shapes: dict[str, Shape] = {"stem.conv.weight": (stem, facts.in_channels, 3, 3), **_bn("stem.bn", stem)}
    for block in blocks(variant):
        shapes |= {f"blocks.{block.index}.{name}": shape for name, shape in _block_shapes(block).items()}
    if facts.head_conv:
        head = head_channels(variant)
        shapes |= {"head.conv.weight": (head, blocks(variant)[-1].out_channels, 1, 1), **_bn("head.bn", head)}
        if facts.classes:
            shapes |= {"head.fc.weight": (facts.classes, head), "head.fc.bias": (facts.classes,)}
    return shapes


def is_trainable(name: str) -> bool:
    """Return whether the canonical tensor `name` is a parameter; BatchNorm's moving statistics are not."""
    return not name.endswith(_STATISTICS)


def _block_shapes(block: Block) -> dict[str, Shape]:
    expanded, kernel = block.expanded_channels, block.kernel
    experts = (block.experts,) if block.experts else ()
    shapes: dict[str, Shape] = {}
    if block.expanded:
        size = kernel if block.fused else 1
        shapes |= {"expand.conv.weight": (*experts, expanded, block.in_channels, size, size)}
        shapes |= _bn("expand.bn", expanded)
    if not block.fused:
        shapes |= {"depthwise.conv.weight": (*experts, expanded, 1, kernel, kernel), **_bn("depthwise.bn", expanded)}
    if block.se_channels:
        shapes |= {
            "se.reduce.weight": (block.se_channels, expanded, 1, 1),
            "se.reduce.bias": (block.se_channels,),
            "se.expand.weight": (expanded, block.se_channels, 1, 1),
            "se.expand.bias": (expanded,),
        }
    shapes |= {"project.conv.weight": (*experts, block.out_channels, expanded, 1, 1)}
    shapes |= _bn("project.bn", block.out_channels)
    if block.experts:
        shapes |= {"routing.weight": (block.experts, block.in_channels), "routing.bias": (block.experts,)}
    return shapes


def _bn(layer: str, channels: int) -> dict[str, Shape]:
    return {f"{layer}.{tensor}": (channels,) for tensor in _BN_TENSORS}
