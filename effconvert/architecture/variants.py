"""The table of variants, and the blocks that follow from it.

Rules and numbers: tensorflow/tpu, models/official/efficientnet (efficientnet_builder.py, condconv/, edgetpu/ and
lite/ beside it), revision 7dc921f.
"""

import math
from dataclasses import dataclass
from functools import cache

from effconvert.errors import UnknownName, known_names


@dataclass(frozen=True)
class Stage:
    """A group of equal blocks, before width and depth are scaled."""

    repeats: int
    kernel: int
    stride: int
    expand_ratio: int
    in_channels: int
    out_channels: int
    fused: bool = False
    skip: bool = True
    condconv: bool = False


@dataclass(frozen=True)
class Variant:
    """An architecture.

    resolution: height and width in pixels of the images for the published weights.
    experts: number of kernels in each convolution of a CondConv block; 0 for a network without CondConv.
    scale_ends: False for Lite, which does not scale its stem, head, first and last stage.
    classes: number of outputs of the published classifier; EdgeTPU has a background class at index 0.
    """

    name: str
    width: float
    depth: float
    resolution: int
    dropout: float
    stages: tuple[Stage, ...]
    activation: str = "silu"
    se_ratio: float = 0.25
    experts: int = 0
    scale_ends: bool = True
    classes: int = 1000


@dataclass(frozen=True)
class Block:
    """One block of a variant, with all numbers scaled.

    stage, repeat: its stage, and its place in the stage. group, member: the same for merged stages: a group begins at
    stage 0 and at each strided stage. se_channels and experts are 0 if the block has none. residual: the input is
    added to the output.
    """

    index: int
    stage: int
    repeat: int
    group: int
    member: int
    kernel: int
    stride: int
    in_channels: int
    expanded_channels: int
    out_channels: int
    se_channels: int
    experts: int
    expanded: bool
    fused: bool
    residual: bool

    @property
    def flags(self) -> frozenset[str]:
        """The flags of the map language that this block has."""
        held = {
            "expanded": self.expanded,
            "fused": self.fused,
            "separable": not self.fused,
            "se": self.se_channels > 0,
            "condconv": self.experts > 0,
            "ordinary": self.experts == 0,
        }
        return frozenset(name for name, holds in held.items() if holds)


FLAGS = frozenset({"expanded", "fused", "separable", "se", "condconv", "ordinary"})

_MOBILE = (
    Stage(1, 3, 1, 1, 32, 16),
    Stage(2, 3, 2, 6, 16, 24),
    Stage(2, 5, 2, 6, 24, 40),
    Stage(3, 3, 2, 6, 40, 80),
    Stage(3, 5, 1, 6, 80, 112),
    Stage(4, 5, 2, 6, 112, 192),
    Stage(1, 3, 1, 6, 192, 320),
)
_CONDCONV = (
    *_MOBILE[:4],
    Stage(3, 5, 1, 6, 80, 112, condconv=True),
    Stage(4, 5, 2, 6, 112, 192, condconv=True),
    Stage(1, 3, 1, 6, 192, 320, condconv=True),
)
_EDGETPU = (
    Stage(1, 3, 1, 4, 24, 24, fused=True, skip=False),
    Stage(2, 3, 2, 8, 24, 32, fused=True),
    Stage(4, 3, 2, 8, 32, 48, fused=True),
    Stage(5, 5, 2, 8, 48, 96),
    Stage(4, 5, 1, 8, 96, 144),
    Stage(2, 5, 2, 8, 144, 192),
)


def _condconv(name: str, depth: float, experts: int) -> Variant:
    return Variant(name, 1.0, depth, 224, 0.25, _CONDCONV, experts=experts)


def _edgetpu(name: str, width: float, depth: float, resolution: int, dropout: float) -> Variant:
    return Variant(name, width, depth, resolution, dropout, _EDGETPU, activation="relu", se_ratio=0, classes=1001)


def _lite(name: str, width: float, depth: float, resolution: int, dropout: float) -> Variant:
    return Variant(name, width, depth, resolution, dropout, _MOBILE, activation="relu6", se_ratio=0, scale_ends=False)


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("b0", 1.0, 1.0, 224, 0.2, _MOBILE),
        Variant("b1", 1.0, 1.1, 240, 0.2, _MOBILE),
        Variant("b2", 1.1, 1.2, 260, 0.3, _MOBILE),
        Variant("b3", 1.2, 1.4, 300, 0.3, _MOBILE),
        Variant("b4", 1.4, 1.8, 380, 0.4, _MOBILE),
        Variant("b5", 1.6, 2.2, 456, 0.4, _MOBILE),
        Variant("b6", 1.8, 2.6, 528, 0.5, _MOBILE),
        Variant("b7", 2.0, 3.1, 600, 0.5, _MOBILE),
        Variant("b8", 2.2, 3.6, 672, 0.5, _MOBILE),
        Variant("l2", 4.3, 5.3, 800, 0.5, _MOBILE),
        _condconv("cc-b0-4e", 1.0, 4),
        _condconv("cc-b0-8e", 1.0, 8),
        _condconv("cc-b1-8e", 1.1, 8),
        _edgetpu("edgetpu-s", 1.0, 1.0, 224, 0.2),
        _edgetpu("edgetpu-m", 1.0, 1.1, 240, 0.2),
        _edgetpu("edgetpu-l", 1.2, 1.4, 300, 0.3),
        _lite("lite0", 1.0, 1.0, 224, 0.2),
        _lite("lite1", 1.0, 1.1, 240, 0.2),
        _lite("lite2", 1.1, 1.2, 260, 0.3),
        _lite("lite3", 1.2, 1.4, 280, 0.3),
        _lite("lite4", 1.4, 1.8, 300, 0.3),
    )
}


_OFFICIAL_NAMES = {
    "condconv-b0-4e": "cc-b0-4e",
    "condconv-b0-8e": "cc-b0-8e",
    "condconv-b0-8e-depth": "cc-b1-8e",
}


def find_variant(name: str) -> Variant:
    """Return the variant called `name`, here or in TensorFlow; case and a leading `efficientnet-` are ignored.

    Raises UnknownName with the known names.
    """
    plain = name.lower().replace("_", "-").removeprefix("efficientnet-")
    plain = _OFFICIAL_NAMES.get(plain, plain)
    if plain not in VARIANTS:
        raise UnknownName(f"variant {name!r} is unknown; {known_names(plain, VARIANTS)}")
    return VARIANTS[plain]


def scaled_channels(channels: int, width: float) -> int:
    """Return `channels` times `width`, as a multiple of 8 and at least nine tenths of it (`round_filters`)."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return int(rounded + 8 if rounded < 0.9 * scaled else rounded)


def stem_channels(variant: Variant) -> int:
    """Return the number of outputs of the first convolution."""
    return scaled_channels(32, variant.width) if variant.scale_ends else 32


def head_channels(variant: Variant) -> int:
    """Return the number of outputs of the last convolution, which the classifier reads."""
    return scaled_channels(1280, variant.width) if variant.scale_ends else 1280


@cache
def blocks(variant: Variant) -> tuple[Block, ...]:
    """Return all blocks of the network in order."""
    result: list[Block] = []
    in_channels = stem_channels(variant)
    group = member = -1
    for number, stage in enumerate(variant.stages):
        scaled_depth = variant.scale_ends or number not in (0, len(variant.stages) - 1)
        repeats = math.ceil(variant.depth * stage.repeats) if scaled_depth else stage.repeats
        if number == 0 or stage.stride > 1:
            group, member = group + 1, -1
        for repeat in range(repeats):
            member += 1
            block = _block(variant, stage, (len(result), number, repeat, group, member), in_channels)
            result.append(block)
            in_channels = block.out_channels
    return tuple(result)


def _block(variant: Variant, stage: Stage, place: tuple[int, int, int, int, int], in_channels: int) -> Block:
    first = place[2] == 0
    out_channels = scaled_channels(stage.out_channels, variant.width)
    # The official code scales its *argument*. This is not the real input if the stem has other channels.
    argument = scaled_channels(stage.in_channels, variant.width) if first else out_channels
    expanded = stage.expand_ratio != 1
    stride = stage.stride if first else 1
    return Block(
        *place,
        kernel=stage.kernel,
        stride=stride,
        in_channels=in_channels,
        expanded_channels=argument * stage.expand_ratio if expanded else in_channels,
        out_channels=out_channels,
        se_channels=max(1, int(argument * variant.se_ratio)) if variant.se_ratio else 0,
        experts=variant.experts if stage.condconv else 0,
        expanded=expanded,
        fused=stage.fused,
        residual=stage.skip and stride == 1 and in_channels == out_channels,
    )


def has_fused_strides(variant: Variant) -> bool:
    """Return whether the variant has a fused block with a stride (EdgeTPU), so that `fused_stride` matters."""
    return any(block.fused and block.stride > 1 for block in blocks(variant))
